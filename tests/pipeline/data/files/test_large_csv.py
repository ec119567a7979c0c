"""The two readers of delimited text: cell for cell the same, and the plain one is asked wherever they might differ."""

import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from edgewright.pipeline.data.files import large_csv
from edgewright.pipeline.data.files.large_csv import TextColumn, read_large_csv
from edgewright.runtime.errors import InputError
from edgewright.runtime.tables.numbers import cell_number
from edgewright.runtime.tables.reading import Table, read_table

CELLS = [
    "", "0", "01", "1.0", "+1", "1e3", "007", "-0", "nan", "None", "NA", "null", "true", "2024-01-31", "12:30", "a b",
    " x ", "\u00fc", "\u6587\u5b57", "\U0001f600", "\t", ",", ";", "1,5", '"', '5"', 'say "so"', "a\nb", "a\r\nb",
    "a\rb", "\n", "x" * 70, "\\", "'", "#", "\x00", "\x0b", "\u2028", "\x85", "\ufeff",
]  # fmt: skip
PLAIN = [cell for cell in CELLS if not set(cell) & set(',;\t"\r\n')]


def field(cell: str, draws: random.Random, always: bool) -> str:
    needed = bool(set(cell) & set(',;\t"\r\n'))
    return '"' + cell.replace('"', '""') + '"' if needed or always or draws.random() < 0.1 else cell


def table(seed: int, cells: Sequence[str], always: bool) -> bytes:
    """A table with every kind of cell, now and then an empty line, and no mistake in it."""
    draws = random.Random(seed)
    delimiter, end = draws.choice(",;\t"), draws.choice(["\n", "\r\n", "\r"])
    width = draws.randint(1, 5)
    rows = [[f"column {number}" for number in range(width)]]
    rows += [draws.choices(cells, k=width) for _ in range(draws.randint(1, 60))]
    lines = [delimiter.join(field(cell, draws, always) for cell in row) for row in rows]
    empty = draws.random() < 0.3
    text = "".join(line + end * (1 + (empty and draws.random() < 0.2)) for line in lines)
    content = (text if draws.random() < 0.7 else text.rstrip("\r\n")).encode()
    return (b"\xef\xbb\xbf" if draws.random() < 0.3 else b"") + content


def broken(seed: int) -> bytes:
    """A table into which anything was written or from which anything was taken."""
    draws = random.Random(seed)
    content = bytearray(table(seed, CELLS, always=seed % 3 == 0))
    for _ in range(draws.randint(1, 4)):
        place = draws.randrange(len(content))
        if draws.random() < 0.5:
            content[place:place] = draws.choice([b'"', b'""', b",", b";", b"\t", b"\n", b"\r", b"\xff", b"x"])
        else:
            del content[place : place + draws.randint(1, 3)]
    return bytes(content)


def plain(path: Path) -> Table | None:
    try:
        return read_table(path, "csv")
    except InputError:
        return None


def compare(path: Path) -> bool:
    """Whether the reader of large files read it; what it read is what the plain one reads."""
    found, expected = read_large_csv(path), plain(path)
    if found is None:
        return False
    columns, lines = found
    assert expected is not None, f"{path} is refused by the plain reader"
    assert {name: list(cells) for name, cells in columns.items()} == expected.columns
    assert expected.lines is not None
    assert lines is None or list(lines) == list(expected.lines)
    return True


@pytest.mark.parametrize("block", [16 << 20, 1 << 8])
def test_what_is_written_well_is_read_to_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(large_csv, "_BLOCK", block)
    for cells in (PLAIN, CELLS):
        taken = 0
        for seed in range(150):
            path = tmp_path / "t.csv"
            path.write_bytes(table(seed, cells, always=seed % 4 == 0))
            taken += compare(path)
        assert taken > (130 if block > 1 << 8 else 40), "nearly all are read by it"


def test_what_is_broken_is_left_to_the_plain_reader(tmp_path: Path) -> None:
    taken = refused = 0
    for seed in range(600):
        path = tmp_path / "t.csv"
        path.write_bytes(broken(seed))
        taken += compare(path)
        refused += plain(path) is None
    assert taken > 50 and refused > 100, "both are tried"


@pytest.mark.parametrize(
    ("content", "taken"),
    [
        ('a,b\n"x","y"\n', True),
        ('a,b\n"x""y",""\n', True),
        ('a,b\n"""",""""""\n', True),
        ('a,b\n5",x\n', False),
        ('a,b\n"x"y,z\n', False),
        ('a,b\n"x" ,z\n', False),
        ('a,b\n ,"x\n', False),
        ('a,b\n1\n', False),
        ('a,b\n1,2,3\n', False),
        ("a,b\n", False),
        ("a,a\n1,2\n", False),
        ('"a\nb",c\n1,2\n', True),
        ("a,b\n1,2\n\n3,4\n", True),
    ],
)  # fmt: skip
def test_quotes_and_lengths(tmp_path: Path, content: str, taken: bool) -> None:
    path = tmp_path / "t.csv"
    path.write_text(content)
    assert compare(path) is taken


def test_lines_are_known_where_rows_and_lines_go_together(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    for content, lines in [
        ("a,b\n1,2\n3,4", range(2, 4)),
        ('"a\nb",c\r\n1,2\r\n', range(3, 4)),
        ("a,b\n1,2\n\n3,4\n", None),
        ('a,b\n"1\n",2\n', None),
        ("a,b\r1,2\r", None),
    ]:
        path.write_bytes(content.encode())
        found = read_large_csv(path)
        assert found is not None and found[1] == lines, content


def test_a_column_is_a_sequence_of_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large_csv, "_AT_ONCE", 3)
    cells = [str(number) for number in range(10)]
    (tmp_path / "t.csv").write_text("\n".join(["a", *cells]))
    found = read_large_csv(tmp_path / "t.csv")
    assert found is not None
    column = found[0]["a"]
    assert isinstance(column, TextColumn) and len(column) == 10 and list(column) == cells
    for part in (slice(2, 5), slice(8, 99), slice(5, 2), slice(None, None, 4), slice(None, None, -3)):
        assert column[part] == cells[part]
    assert column[3] == "3" and column[-1] == "9" and "7" in column and "x" not in column
    with pytest.raises(IndexError):
        column[10]


@pytest.mark.parametrize(
    ("cells", "taken"),
    [
        (["1", "01", "-0.5", "1e3", ".5", "5.", "", "-0", "+1", "1E-5", "0.1", "123456789012345678"], True),
        (["nan", "inf", "-Infinity", "NaN"], True),
        ([" 1"], False),
        (["NA"], False),
        (["1e999"], None),
        (["1e-999", "4.9e-324", "2.2250738585072011e-308"], None),
        (["nan(1)"], False),
        (["1_0"], False),
        (["0x10"], False),
        (["1,5"], False),
        (["\u0661"], False),
        (["2024-01-31"], False),
    ],
)
def test_numbers_are_those_of_python(tmp_path: Path, cells: list[str], taken: bool | None) -> None:
    draws = np.random.default_rng(0)
    cells = cells + [
        repr(float(value)) for value in draws.normal(size=200) * 10.0 ** draws.integers(-30, 30, 200)
    ]
    (tmp_path / "t.csv").write_text("\n".join(["a;b", *(f"{cell};x" for cell in cells)]))
    found = read_large_csv(tmp_path / "t.csv")
    assert found is not None
    values = found[0]["a"].floats()
    assert taken is None or (values is not None) is taken
    if values is not None:
        expected = np.array([cell_number(cell) for cell in cells], np.float64)
        np.testing.assert_array_equal(values, expected)
        assert (np.signbit(values) == np.signbit(expected))[~np.isnan(expected)].all()
