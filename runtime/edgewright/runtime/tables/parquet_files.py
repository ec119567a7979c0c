"""Parquet, the only place where it is read. pyarrow is asked for when the first file comes: a device may do without."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgewright.runtime.errors import InputError, MachineError
from edgewright.runtime.tables.bombs import check_cells

_ROWS_AT_ONCE = 4096


def read_parquet(path: Path) -> dict[str, Any]:
    """The columns of a Parquet file by name: float64 with NaN for null, datetime64, or lists of Python values.

    Raises `InputError` for a file that is none, `MachineError` where pyarrow is missing.
    """
    with _opened(path) as file:
        check_cells(path, file.metadata.num_rows, file.metadata.num_columns)
        return _columns(file.read(), path)


def parquet_parts(path: Path) -> Iterator[dict[str, Any]]:
    """The same for some thousands of rows at once, so that the file may be larger than the memory."""
    with _opened(path) as file:
        for batch in file.iter_batches(_ROWS_AT_ONCE):
            yield _columns(_table(batch), path)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """An open Parquet file; what is wrong with it is said in one line."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise MachineError(
            f"{path} is Parquet, and pyarrow cannot be used ({error}): pip install pyarrow, or convert it to .csv"
        ) from None
    try:
        with path.open("rb") as file:
            opened = parquet.ParquetFile(file)
            names = opened.schema_arrow.names
            twice = [name for index, name in enumerate(names) if name in names[:index]]
            if twice:
                raise InputError(f"{path}: the column {twice[0]!r} occurs twice: rename one")
            yield opened
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not a Parquet file that can be read: {_first_line(error)}") from None


def _table(batch: Any) -> Any:
    """A batch of rows as a table."""
    import pyarrow

    return pyarrow.Table.from_batches([batch])


def _columns(table: Any, path: Path) -> dict[str, Any]:
    return {name: _column(table.column(name), path, name) for name in table.column_names}


def _column(column: Any, path: Path, name: str) -> Any:
    import pyarrow

    try:
        return _cells(column)
    except (
        pyarrow.ArrowException,
        ValueError,
        OverflowError,
    ) as error:  # a time beyond 2262, text that is not UTF-8
        raise InputError(f"{path}: the column {name!r} cannot be read: {_first_line(error)}") from None


def _cells(column: Any) -> Any:
    """A column of pyarrow as float64 with NaN for null, datetime64, or a list of Python values."""
    import pyarrow as arrow

    kind = column.type
    if arrow.types.is_dictionary(kind):
        column = column.cast(kind.value_type)
        kind = column.type
    if arrow.types.is_floating(kind):
        return column.cast(arrow.float64(), safe=False).to_numpy()
    if arrow.types.is_integer(kind) and column.null_count:
        try:
            return column.cast(arrow.float64()).to_numpy()
        except arrow.ArrowInvalid:  # a whole number that float64 would round
            return column.to_pylist()
    if arrow.types.is_integer(kind) or (arrow.types.is_boolean(kind) and not column.null_count):
        return column.to_numpy()
    if arrow.types.is_timestamp(kind) or arrow.types.is_date(kind):
        if arrow.types.is_timestamp(kind) and kind.tz is not None:
            column = column.cast(arrow.timestamp(kind.unit))
        return column.cast(arrow.timestamp("ns")).to_numpy()
    if arrow.types.is_decimal(kind):
        return column.cast(arrow.float64()).to_numpy()
    return column.to_pylist()


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or ["no reason given"])[0]
