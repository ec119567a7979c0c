"""Tables as they come: CSV, JSON lines and Parquet, column by column, with the place of every cell.

CSV and JSON lines are read by the device's own reader, and cells become numbers and times by its rules, so that a file
means the same here and there. Parquet, and a CSV too large for that, are read by pyarrow.
"""

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgewright.runtime.errors import DataError, InputError
from edgewright.runtime.hints import did_you_mean
from edgewright.runtime.series import tables as series_files
from edgewright.runtime.series.values import numbers, parse_number, parse_time, time_numbers
from edgewright.runtime.series.wide import is_number, mostly_numbers

TABLE_SUFFIXES: Mapping[str, str] = {
    ".csv": "csv", ".tsv": "csv", ".parquet": "parquet", ".pq": "parquet", ".jsonl": "jsonl", ".ndjson": "jsonl",
}  # fmt: skip
"""Suffix of a file to its format."""

_ARROW_BYTES = 4 << 20
"""From this size on a CSV is read by pyarrow: ten times faster and smaller, but does not say where it stumbled."""

_MISSING = [
    "",
    "nan",
    "NaN",
    "NAN",
    "na",
    "NA",
    "Na",
    "n/a",
    "N/A",
    "null",
    "NULL",
    "Null",
    "none",
    "None",
    "?",
]


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
        if isinstance(cells, np.ndarray):
            return bool(cells.dtype.kind in "fiub")
        return mostly_numbers(cells)

    def numbers(self, column: str) -> NDArray[np.float64]:
        """The column as float64 [rows], NaN where a cell is missing.

        Raises `DataError` for text and for infinity, naming the line.
        """
        cells = self.cells[column]
        try:
            values = self._numbers(cells, column)
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

    def _numbers(self, cells: Any, column: str) -> NDArray[np.float64]:
        if isinstance(cells, np.ndarray):
            return numbers(cells, f"the column {column!r}")
        fast = _plain_numbers(cells)
        if fast is not None:
            return fast
        result = np.empty(len(cells))
        for row, cell in enumerate(cells):
            if isinstance(cell, str):
                result[row] = parse_number(cell, f"{self.place(row)}: the column {column!r}")
            elif cell is None:
                result[row] = math.nan
            elif is_number(cell):
                result[row] = float(cell)
            else:
                raise InputError(
                    f"{self.place(row)}: the column {column!r} holds {_kind(cell)} where a number is needed"
                )
        return result

    def times(self, column: str) -> NDArray[np.float64]:
        """The column as float64 [rows]: seconds since 1970 for dates, plain numbers as they are."""
        cells = self.cells[column]
        try:
            if isinstance(cells, np.ndarray) or not any(isinstance(cell, str) for cell in cells):
                return time_numbers(cells, f"the time column {column!r}")
            fast = _plain_numbers(cells)
            if fast is not None and np.isfinite(fast).all():
                return fast
            return np.array(
                [
                    parse_time(str(cell), f"{self.place(row)}: the time column {column!r}")
                    for row, cell in enumerate(cells)
                ]
            )
        except InputError as error:
            raise DataError(f"{self.name}: {error}") from None

    def texts(self, column: str) -> list[str | None]:
        """The column as texts, None for an empty cell; whole numbers without a point."""
        return [_text(cell) for cell in self.cells[column]]


def read_table(path: Path, form: str, text_columns: Sequence[str] = ()) -> Table:
    """Read the table at `path`; `form` is csv, jsonl or parquet; `text_columns` are not numbers whatever they hold.

    Raises `DataError` for a file that cannot be read, has no rows, or whose rows differ in length.
    """
    if form == "parquet":
        table = _read_parquet(path)
    else:
        large = form == "csv" and path.stat().st_size >= _ARROW_BYTES
        table = (_read_large_csv(path, text_columns) if large else None) or _read_as_the_device(path, form)
    check_header(table.columns, path.name)
    if not table.rows:
        raise DataError(f"{path} holds no rows: give at least one")
    return table


def _read_as_the_device(path: Path, form: str) -> Table:
    try:
        read = series_files.read_table(path, f".{form}")
    except InputError as error:
        raise DataError(str(error)) from None
    return Table(path.name, read.columns, read.rows, read.lines or None)


def check_header(names: Sequence[str], where: str) -> None:
    """Raise `DataError` for a column without a name, or two of one name."""
    for index, column in enumerate(names):
        if not column:
            raise DataError(f"{where}: column {index + 1} has no name: write one into the first line")
        if column in names[:index]:
            raise DataError(f"{where}: two columns are called {column!r}: rename one")


def _read_large_csv(path: Path, text_columns: Sequence[str]) -> Table | None:
    """The table by pyarrow, None where it finds something that the other reader explains better."""
    import pyarrow as arrow
    from pyarrow import csv as arrow_csv

    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline()
    except UnicodeDecodeError:
        return None
    delimiter = max(",;\t", key=first.count)
    header = [cell.strip() for cell in next(csv.reader([first], delimiter=delimiter), [])]
    if len(set(header)) != len(header) or not all(header) or all(map(is_number, header)):
        return None
    convert = arrow_csv.ConvertOptions(
        null_values=_MISSING,
        timestamp_parsers=[],
        column_types={name: arrow.string() for name in text_columns if name in header},
        true_values=[],
        false_values=[],
    )
    try:
        read = arrow_csv.read_csv(
            path,
            read_options=arrow_csv.ReadOptions(column_names=header, skip_rows=1, block_size=16 << 20),
            parse_options=arrow_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            convert_options=convert,
        )
    except (arrow.ArrowInvalid, arrow.ArrowKeyError):
        return None
    cells = {name: _from_arrow(read.column(name)) for name in header}
    return Table(path.name, cells, read.num_rows)


def _read_parquet(path: Path) -> Table:
    import pyarrow as arrow
    from pyarrow import parquet

    try:
        read = parquet.read_table(path)
    except (arrow.ArrowInvalid, arrow.ArrowNotImplementedError, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else "no reason given"
        raise DataError(f"{path.name} is not a Parquet file that can be read: {reason}") from None
    check_header(read.column_names, path.name)
    cells = {name: _from_arrow(read.column(name)) for name in read.column_names}
    return Table(path.name, cells, read.num_rows)


def _from_arrow(column: Any) -> Any:
    """A column of pyarrow as float64 with NaN for null, datetime64, or a list of Python values."""
    import pyarrow as arrow

    kind = column.type
    if arrow.types.is_dictionary(kind):
        column = column.cast(kind.value_type)
        kind = column.type
    if arrow.types.is_floating(kind) or (arrow.types.is_integer(kind) and column.null_count):
        return column.cast(arrow.float64(), safe=False).to_numpy()
    if arrow.types.is_integer(kind) or (arrow.types.is_boolean(kind) and not column.null_count):
        return column.to_numpy()
    if arrow.types.is_timestamp(kind) or arrow.types.is_date(kind):
        if arrow.types.is_timestamp(kind) and kind.tz is not None:
            column = column.cast(arrow.timestamp(kind.unit))
        return column.cast(arrow.timestamp("ns")).to_numpy()
    if arrow.types.is_decimal(kind):
        return column.cast(arrow.float64()).to_numpy()
    return column.to_pylist()


def _plain_numbers(cells: Sequence[Any]) -> NDArray[np.float64] | None:
    """A column of texts that are numbers or empty, ten times faster than cell by cell; None where it has others."""
    try:
        if "_" in "".join(cells):  # Python reads 1_000 as a number, tables do not
            return None
        return np.array([float(cell) if cell else math.nan for cell in cells])
    except (TypeError, ValueError):
        return None


def _text(cell: object) -> str | None:
    if cell is None or (isinstance(cell, (float, np.floating)) and math.isnan(cell)):
        return None
    if isinstance(cell, (float, np.floating)) and float(cell).is_integer():
        return str(int(cell))
    return str(cell) or None


def _kind(value: object) -> str:
    kinds = {dict: "an object", list: "a list", str: "text", type(None): "nothing", bool: "true or false"}
    return kinds.get(type(value), type(value).__name__)


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(names[:20])}{' ...' if len(names) > 20 else ''}"
