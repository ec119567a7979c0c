"""Delimited text: dialects, odd headers, long cells, and what is said of a file that cannot be read."""

import csv
import io
from pathlib import Path

import pytest

from edgewright.runtime.errors import InputError
from edgewright.runtime.tables import delimited as module
from edgewright.runtime.tables.delimited import Header, delimited_rows, read_header
from tests.messages import refused


def written(folder: Path, content: str | bytes) -> Path:
    path = folder / "t.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def numbered(path: Path) -> list[tuple[int, list[str]]]:
    return [one for some in delimited_rows(path)[1] for one in zip(some.lines, some.cells, strict=True)]


def read(folder: Path, content: str | bytes) -> tuple[tuple[str, ...], list[list[str]]]:
    path = written(folder, content)
    return delimited_rows(path)[0].names, [row for _, row in numbered(path)]


def refusal(folder: Path, content: str | bytes) -> str:
    with pytest.raises(InputError) as caught:
        read(folder, content)
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(str(folder / "t.csv"))


CELLS = [["a, b", "01"], ["c; d", ""], ['e "f"', "1,5"], ["g\th", "1.0"], ["i\nj", "\u00fc"], ["", " x "]]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_every_dialect_holds_the_same_cells(tmp_path: Path, delimiter: str, mark: str, end: str) -> None:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator=end).writerows([["text", "label"], *CELLS])
    assert read(tmp_path, mark + text.getvalue()) == (("text", "label"), CELLS)
    assert read_header(tmp_path / "t.csv") == Header(("text", "label"), delimiter, 1)


def test_every_cell_is_the_text_that_is_written(tmp_path: Path) -> None:
    cells = ["01", "1.0", "+1", "1e3", "007", "nan", "None", "2024-01-31", "", "1_000", "0x10", "TRUE"]
    found = read(tmp_path, "a,b\n" + "".join(f'{cell},"{cell}"\n' for cell in cells))[1]
    assert found == [[cell, cell] for cell in cells]


def test_decimal_commas_are_no_delimiters_beside_semicolons(tmp_path: Path) -> None:
    assert read(tmp_path, "a;b\n1,5;2,25\n") == (("a", "b"), [["1,5", "2,25"]])


def test_one_column(tmp_path: Path) -> None:
    assert read(tmp_path, 'text\ngood\n\n" "\n\n""\n') == (("text",), [["good"], [" "], [""]])


def test_the_line_of_a_row_is_its_last(tmp_path: Path) -> None:
    path = written(tmp_path, 'text\n"one\ntwo"\n\nthree\n')
    assert numbered(path) == [(3, ["one\ntwo"]), (5, ["three"])]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("within", ["\n", "\r\n", "\r", "\r\r\n"])
def test_lines_are_counted_as_an_editor_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str, within: str
) -> None:
    monkeypatch.setattr(module, "_ROWS_AT_ONCE", 3)
    rows = ["a", f'"b{within}c"', "", "d", "", "", "", "e", f'"g{within}{within}h"', "f"]
    path = written(tmp_path, end.join(["H", *rows]))
    found = numbered(path)
    assert [cells[0] for _, cells in found] == ["a", f"b{within}c", "d", "e", f"g{within}{within}h", "f"]
    for line, (cell,) in found:
        above = path.read_bytes().decode().split(cell)[0] + cell
        assert line == len(above.splitlines())


@pytest.mark.parametrize(
    ("header", "delimiter", "names"),
    [
        (' text ,"label"', ",", ("text", "label")),
        (",text", ",", ("", "text")),
        ('"a, b";c', ";", ("a, b", "c")),
        ('"a;b;c",d', ",", ("a;b;c", "d")),
        ('"one\ntwo",b', ",", ("one\ntwo", "b")),
        ('"one\n\ntwo";b', ";", ("one\n\ntwo", "b")),
        ('size (5"),b', ",", ('size (5")', "b")),
        ('"a" ,b', ",", ("a", "b")),
        ('"a" ,"b" ,c', ",", ("a", "b", "c")),
        ("a,b;c", ",", ("a", "b;c")),
        ('x ";y,z', ",", ('x ";y', "z")),
        ('a";"b"', ";", ('a"', "b")),
    ],
)
def test_names_of_columns(tmp_path: Path, header: str, delimiter: str, names: tuple[str, ...]) -> None:
    cells = list("xyz")[: len(names)]
    path = written(tmp_path, f"{header}\n{delimiter.join(cells)}\n")
    assert read_header(path).names == names
    assert numbered(path) == [(header.count("\n") + 2, cells)]


def test_the_first_mistake_is_named(tmp_path: Path) -> None:
    _, rows = delimited_rows(written(tmp_path, 'a,b\n1\n2,3\n4,"5"6\n'))
    assert next(rows).cells == [["1"], ["2", "3"]], (
        "whoever needs two cells refuses line 2 before line 4 is read"
    )
    with refused(InputError):
        next(rows)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", " is empty: give a table whose first line names the columns"),
        ("\na\n1\n", " is empty: give a table whose first line names the columns"),
        (",\n1,2\n", " is empty: give a table whose first line names the columns"),
        ("a, a\n1,2\n", ": the column 'a' occurs twice: rename one"),
        ("1,2\n3,4\n", ": the first line holds numbers: write the names of the columns above it"),
        ('a,b\n1,"2\n3,4\n', ", line 3 cannot be read (unexpected end of data): mend it"),
        ('a,b\n1,"2"3\n', ", line 2 cannot be read (',' expected after '\"'): mend it"),
        ('"a,b\n1,2\n3,4\n', ", line 1 cannot be read (unexpected end of data): mend it"),
        (b"a,b\n1,\xff\n", ", line 2 is not UTF-8 text (invalid start byte): save the file as UTF-8"),
        (b"\xe9,b\n1,2\n", ", line 1 is not UTF-8 text (invalid continuation byte): save the file as UTF-8"),
    ],
)
def test_what_cannot_be_read(tmp_path: Path, content: str | bytes, message: str) -> None:
    assert refusal(tmp_path, content) == message


def test_long_cells_are_read_and_the_limit_of_the_process_stays(tmp_path: Path) -> None:
    before = csv.field_size_limit()
    text = "x" * (before + 1)
    assert read(tmp_path, f"{text}a,b\n{text},1\n") == ((f"{text}a", "b"), [[text, "1"]])
    assert csv.field_size_limit() == before
    refusal(tmp_path, f'a,b\n1,"{text}\n')
    assert csv.field_size_limit() == before
