"""Tables as they come, column by column, with the place of every cell.

They are read by the device's own readers, and cells become numbers, times and texts by its rules, so that a file means
the same here and there, whatever its form and its size.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgewright.pipeline.data.files.large_csv import TextColumn, read_large_csv
from edgewright.runtime.errors import DataError, InputError
from edgewright.runtime.hints import did_you_mean
from edgewright.runtime.tables import reading as tables
from edgewright.runtime.tables.cells import cell_text, column_numbers, column_times, mostly_numbers

TABLE_SUFFIXES: Mapping[str, str] = {
    suffix: form for suffix, form in tables.TABLE_SUFFIXES.items() if form != "npz"
}
"""Suffix of a file to its format."""

_LARGE = 4 << 20
"""From this size on delimited text is read by pyarrow: to the same cells, several times faster and smaller."""


@dataclass(frozen=True, eq=False)
class Table:
    """A table: `cells` maps each column to its cells, a list of texts, numbers, lists and None, or a typed array.

    `lines` are the line numbers of the rows, None where a row is known by its number alone.
    """

    name: str
    cells: Mapping[str, Any]
    rows: int
    lines: Sequence[int] | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns, in their order."""
        return tuple(self.cells)

    def place(self, row: int) -> str:
        """ "line 17" for the row of this index."""
        return f"line {self.lines[row]}" if self.lines is not None else f"row {row + 1}"

    def need(self, column: str, key: str) -> str:
        """`column` itself. Raises `DataError` when the table has no such column; `key` is what asked for it."""
        if column in self.cells:
            return column
        raise DataError(
            f"{key}: {self.name} has no column {column!r}{did_you_mean(column, self.columns)}: "
            f"it has {_listed(self.columns)}"
        )

    def is_numeric(self, column: str) -> bool:
        """Whether most of the filled cells are numbers: one text among numbers is a mistake, not a column of text."""
        cells = self.cells[column]
        return (isinstance(cells, TextColumn) and cells.floats() is not None) or mostly_numbers(cells)

    def numbers(self, column: str) -> NDArray[np.float64]:
        """The column as float64 [rows], NaN where a cell is missing.

        Raises `DataError` for text and for infinity, naming the line.
        """
        called = f"the column {column!r}"
        cells = self.cells[column]
        values = cells.floats() if isinstance(cells, TextColumn) else None
        try:
            if values is None:
                values = column_numbers(cells, lambda row: f"{self.place(row)}: {called}", called, _kind)
        except InputError as error:
            raise DataError(f"{self.name}: {error}") from None
        infinite = np.isinf(values)
        if infinite.any():
            row = int(infinite.argmax())
            raise DataError(
                f"{self.name}, {self.place(row)}: the column {column!r} is infinite: "
                "correct the value, or leave the cell empty"
            )
        return values

    def times(self, column: str) -> NDArray[np.float64]:
        """The column as float64 [rows]: seconds since 1970 for dates, plain numbers as they are."""
        called = f"the time column {column!r}"
        try:
            return column_times(self.cells[column], lambda row: f"{self.place(row)}: {called}", called)
        except InputError as error:
            raise DataError(f"{self.name}: {error}") from None

    def texts(self, column: str) -> list[str | None]:
        """The column as texts, None for an empty cell; whole numbers without a point."""
        cells = self.cells[column]
        if isinstance(cells, TextColumn):
            return [cell or None for cell in cells]
        return [cell_text(cell) for cell in cells]


def read_table(path: Path, form: str) -> Table:
    """Read the table at `path`; `form` is csv, jsonl or parquet.

    Raises `DataError` for a file that cannot be read, has no rows, or whose rows differ in length.
    """
    table = (_read_large(path) if form == "csv" else None) or _read(path, form)
    _check_names(table.columns, path.name)
    return table


def _read_large(path: Path) -> Table | None:
    try:
        found = read_large_csv(path) if path.stat().st_size >= _LARGE else None
    except OSError:  # the plain reader says it
        return None
    if found is None:
        return None
    columns, lines = found
    return Table(path.name, columns, len(next(iter(columns.values()))), lines)


def _read(path: Path, form: str) -> Table:
    try:
        read = tables.read_table(path, form)
    except InputError as error:
        raise DataError(str(error)) from None
    return Table(path.name, read.columns, read.rows, read.lines)


def _check_names(names: Sequence[str], where: str) -> None:
    """Raise `DataError` for a column without a name."""
    if not all(names):
        column = [bool(name) for name in names].index(False) + 1
        raise DataError(f"{where}: column {column} has no name: write one into the first line")


def _kind(value: object) -> str:
    kinds = {dict: "an object", list: "a list", str: "text", type(None): "nothing", bool: "true or false"}
    return kinds.get(type(value), type(value).__name__)


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(names[:20])}{' ...' if len(names) > 20 else ''}"
