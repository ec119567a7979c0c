"""A table as its columns."""

from edgewright.exporters.table import Column, cells, figure, interval, megabytes, number


def test_a_column_says_what_stands_below_its_title() -> None:
    names: Column[dict[str, float]] = Column("names", lambda row: " ".join(row))
    sizes: Column[dict[str, float]] = figure("size", lambda row: row.get("size"), "+.2f")
    assert (names.right, sizes.right) == (False, True)
    assert cells([names, sizes], [{"size": 1.0}, {"other": 2.0}]) == [
        ["names", "size"],
        ["size", "+1.00"],
        ["other", "-"],
    ]


def test_what_is_not_known_is_a_dash() -> None:
    assert [number(value, ".1e") for value in (0.0, 12, None)] == ["0.0e+00", "1.2e+01", "-"]
    assert number(1_234_567, ",d") == "1,234,567"
    assert interval((-0.5, 0.25), "+.2f") == "-0.50 +0.25"
    assert interval((-0.5, 0.25), ".1f", " to ") == "-0.5 to 0.2"
    assert interval(None, ".1f") == "-"
    assert (megabytes(1_500_000), megabytes(0), megabytes(None)) == (1.5, 0.0, None)
