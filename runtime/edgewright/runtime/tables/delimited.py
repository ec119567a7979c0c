"""Delimited text, the only place where it is read: comma, semicolon or tab, quotes, line breaks within them, UTF-8.

Every cell is the text that is written; what it means is for whoever needs it.
"""

import contextlib
import csv
import io
import itertools
import re
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgewright.runtime.errors import InputError

_DELIMITERS = ",;\t"
_QUOTED = re.compile(r'(^|[,;\t])"[^"]*(?:""[^"]*)*"')
_OPEN = re.compile(r'(?:^|[,;\t])"')  # where quoted parts are left out: one that is not closed yet

_LONGEST_HEADER = 100
"""Lines among which the end of a quoted name is looked for."""

_LARGEST_HEADER = 1 << 20
"""Characters among which it is looked for."""

_ROWS_AT_ONCE = 4096

_ROWS_IN_A_ROW = 64
"""Rows that are read without a look at how large they are."""

_BYTES_AT_ONCE = 4 << 20
"""Rows are handed on once so much of the file is read: thousands of long texts never stand in memory together."""

_BLOCK = 1 << 18
"""Bytes that are decoded at once."""

_LONGEST_LINE = 64 << 20
"""Bytes of one line of the file."""

_LONGEST_CELL = 64 << 20
"""Characters of one cell; Python's own limit is for the whole process, and less than a long text."""

_LIMIT = threading.Lock()


@dataclass(frozen=True)
class Header:
    """The first line of a table: the names of its columns, what parts them, and how many lines of the file it takes."""

    names: tuple[str, ...]
    delimiter: str
    lines: int


@dataclass(frozen=True)
class Rows:
    """Some rows of a table, and the line on which each of them ends."""

    lines: Sequence[int]
    cells: list[list[str]]


def read_header(path: Path) -> Header:
    """The header of the table at `path`. Raises `InputError` for one that names no columns, or one of them twice."""
    return _header(path, iter(_Lines(path)))[0]


def delimited_rows(path: Path) -> tuple[Header, Iterator[Rows]]:
    """The header, and every row that is not empty, some thousands at once. A row may have any length.

    Raises `InputError`, at once or while rows are read, for what is not UTF-8, and for quotes that make no sense.
    """
    lines = _Lines(path)
    header, below = _header(path, iter(lines))
    return header, _rows(path, lines, below, header)


class _Lines:
    """The lines of a file with their ends, and how many bytes of it are read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.read = 0

    def __iter__(self) -> Iterator[str]:
        number, coding = 1, "utf-8-sig"
        with self._path.open("rb") as file:
            while block := file.read(_BLOCK):
                rest = file.readline(_LONGEST_LINE)  # whole lines
                if len(rest) == _LONGEST_LINE:
                    raise InputError(
                        f"{self._path} has a line of more than {_LONGEST_LINE >> 20} MiB: divide it"
                    )
                block += rest
                self.read += len(block)
                try:
                    text = block.decode(coding)
                except UnicodeDecodeError:
                    yield from self._one_by_one(block, coding, number)
                else:
                    yield from io.StringIO(text, newline="")  # a lone carriage return ends a line as well
                number, coding = number + block.count(b"\n"), "utf-8"

    def _one_by_one(self, block: bytes, coding: str, number: int) -> Iterator[str]:
        """The lines above one that is not UTF-8, which takes none of them with it."""
        for line in block.splitlines(keepends=True):
            try:
                yield from io.StringIO(line.decode(coding), newline="")
            except UnicodeDecodeError as error:
                raise InputError(
                    f"{self._path}, line {number} is not UTF-8 text ({error.reason}): save the file as UTF-8"
                ) from None
            number, coding = number + line.endswith(b"\n"), "utf-8"


def _header(path: Path, lines: Iterator[str]) -> tuple[Header, Iterator[str]]:
    """The header, and the lines below it."""
    above = [next(lines, "")]
    while _OPEN.search(bare := _QUOTED.sub(r"\1", text := "".join(above))):
        if len(above) == _LONGEST_HEADER or len(text) > _LARGEST_HEADER:
            break
        above.append(next(lines, ""))
    delimiter = max(_DELIMITERS, key=bare.count)
    row, count = _first_row(path, above, lines, delimiter)
    names = tuple(name.strip() for name in row)
    if not any(names):
        raise InputError(f"{path} is empty: give a table whose first line names the columns")
    twice = [name for index, name in enumerate(names) if name in names[:index]]
    if twice:
        raise InputError(f"{path}: the column {twice[0]!r} occurs twice: rename one")
    if all(map(_is_number, names)):
        raise InputError(f"{path}: the first line holds numbers: write the names of the columns above it")
    return Header(names, delimiter, count), itertools.chain(above[count:], lines)


def _first_row(path: Path, above: list[str], lines: Iterator[str], delimiter: str) -> tuple[list[str], int]:
    """The cells of the first row, and how many lines it takes; `above` are the lines that are read already."""
    reader = csv.reader(itertools.chain(above, lines), delimiter=delimiter, strict=True)
    try:
        with _long_cells():
            return next(reader, []), reader.line_num
    except csv.Error as error:
        if reader.line_num > 1:
            raise InputError(f"{path}, line 1 cannot be read ({error}): mend it") from None
    return next(csv.reader(above[:1], delimiter=delimiter), []), 1  # odd quotes in a name are let pass


def _rows(path: Path, file: _Lines, below: Iterator[str], header: Header) -> Iterator[Rows]:
    reader = csv.reader(below, delimiter=header.delimiter, strict=True)  # a quote never closed is an error
    line, more = header.lines, True
    while more:
        found, more, error = _some(reader, file)
        above, line = line, header.lines + reader.line_num
        if any(found):
            yield _numbered(found, above, line)
        if isinstance(error, csv.Error):
            raise InputError(f"{path}, line {line} cannot be read ({error}): mend it")
        if error is not None:
            raise error


def _some(
    reader: Iterator[list[str]], file: _Lines
) -> tuple[list[list[str]], bool, csv.Error | InputError | None]:
    """The next rows, whether there may be more, and what stopped the reading of them: the rows before it may have a
    mistake that comes first.
    """
    found: list[list[str]] = []
    enough = file.read + _BYTES_AT_ONCE
    try:
        with _long_cells():
            while len(found) < _ROWS_AT_ONCE and file.read <= enough:
                count = len(found)
                found.extend(itertools.islice(reader, _ROWS_IN_A_ROW))  # those above an error are kept
                if len(found) - count < _ROWS_IN_A_ROW:
                    return found, False, None
            return found, True, None
    except (csv.Error, InputError) as error:
        return found, False, error


def _numbered(rows: list[list[str]], above: int, line: int) -> Rows:
    """The rows that are not empty, read from the lines behind `above` up to `line`."""
    if line - above == len(rows) and all(rows):
        return Rows(range(above + 1, line + 1), rows)
    ends = itertools.accumulate(map(_height, rows), initial=above)
    full = [(end, row) for end, row in zip(itertools.islice(ends, 1, None), rows, strict=True) if row]
    return Rows([end for end, _ in full], [row for _, row in full])


def _height(row: list[str]) -> int:
    """How many lines of the file a row takes."""
    return 1 + sum(cell.count("\n") + cell.count("\r") - cell.count("\r\n") for cell in row)


@contextlib.contextmanager
def _long_cells() -> Iterator[None]:
    """Let the csv module read long cells, and leave its limit as it was."""
    with _LIMIT:
        before = csv.field_size_limit(_LONGEST_CELL)
        try:
            yield
        finally:
            csv.field_size_limit(before)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def write_csv(names: Sequence[str], columns: Sequence[Sequence[str] | NDArray[np.float64]]) -> bytes:
    """Columns of one length as CSV that reads back to the same numbers, to the last bit; NaN as "nan"."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(names)
    texts = [
        [repr(value) for value in column.tolist()] if isinstance(column, np.ndarray) else column
        for column in columns
    ]
    writer.writerows(zip(*texts, strict=True))
    return buffer.getvalue().encode()
