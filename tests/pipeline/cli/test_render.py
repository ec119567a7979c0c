"""Every table of the terminal: aligned columns, and nothing at the end of a line."""

from edgewright.exporters.table import Column, figure
from edgewright.pipeline.cli.render import table

COLUMNS: list[Column[tuple[str, float | None, str]]] = [
    Column("name", lambda row: row[0]),
    figure("p50", lambda row: row[1], ".1f"),
    Column("on", lambda row: row[2]),
]


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    assert table(COLUMNS, [("fp32", 10.25, "cpu"), ("int8-static", None, "")]).splitlines() == [
        "name          p50  on",
        "-----------  ----  ---",
        "fp32         10.2  cpu",
        "int8-static     -",
    ]


def test_a_table_without_rows_is_its_titles() -> None:
    assert table(COLUMNS, []) == "name  p50  on\n----  ---  --"


def test_without_a_rule_and_closer_together() -> None:
    assert table(COLUMNS, [("a", 1.0, "b")], gap=" ", rule=False) == "name p50 on\na    1.0 b"
