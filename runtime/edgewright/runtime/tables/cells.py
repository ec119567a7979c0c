"""Cells of a column to numbers, times and texts: each rule once, and always over the whole column.

A column is a list of texts (delimited text), of plain JSON values, or a typed array (Parquet, .npz), or whatever else
has a length and gives a list for a slice. Rows count from 0.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgewright.runtime.errors import InputError
from edgewright.runtime.tables.numbers import (
    as_float,
    cell_number,
    numbers,
    parse_number,
    parse_time,
    time_numbers,
)
from edgewright.runtime.tables.packed import PackedTexts

_PART = 1 << 16
"""Cells that are looked at in one go: a long column is never a list as a whole where it need not be."""

_EPOCH = datetime(1970, 1, 1)


def column_numbers(
    cells: Any, where: Callable[[int], str], name: str, kind: Callable[[Any], str] | None = None
) -> NDArray[np.float64]:
    """A column as float64 [rows], NaN where a cell is missing.

    `where(row)` and `name` are the place of a cell and of the column in messages, `kind` says what a cell is that is
    neither number nor text. Raises `InputError` for a cell that is no number.
    """
    if isinstance(cells, np.ndarray):
        return numbers(cells, name)
    result = np.empty(len(cells))
    for start, part in _parts(cells):
        quick = _quick_numbers(part)
        if quick is None:
            quick = np.array([_number(cell, where, start + row, kind) for row, cell in enumerate(part)])
        result[start : start + len(part)] = quick
    return result


def column_times(cells: Any, where: Callable[[int], str], name: str) -> NDArray[np.float64]:
    """A column as times, float64 [rows]: seconds since 1970 for dates, plain numbers as they are.

    Raises `InputError` for a cell that is no time, an empty one too.
    """
    if isinstance(cells, np.ndarray):
        return time_numbers(cells, name)
    result = np.empty(len(cells))
    for start, part in _parts(cells):
        quick = _quick_times(part)
        if quick is None:
            quick = np.array([_time(cell, where, start + row) for row, cell in enumerate(part)])
        result[start : start + len(part)] = quick
    return result


def cell_text(cell: object) -> str | None:
    """A cell as text, as it is written; None for an empty one. Whole numbers are written without a point."""
    if isinstance(cell, str):
        return cell or None
    if cell is None or (isinstance(cell, (float, np.floating)) and math.isnan(cell)):
        return None
    if isinstance(cell, (float, np.floating)) and float(cell).is_integer():
        return str(int(cell))
    return str(cell) or None


def is_number(cell: object) -> bool:
    """Whether a cell is a number, or a word for a missing one."""
    if isinstance(cell, str):
        return cell_number(cell) is not None
    return isinstance(cell, (bool, int, float, np.integer, np.floating)) and not isinstance(
        cell, np.timedelta64
    )


def mostly_numbers(cells: Any) -> bool:
    """Whether most of the filled cells are numbers: one text among numbers is a mistake, not a column of text."""
    if isinstance(cells, np.ndarray):
        return bool(cells.dtype.kind in "fiub")
    filled = numeric = 0
    for _, part in _parts(cells):
        found = [cell for cell in part if cell is not None and cell != ""]
        filled += len(found)
        numeric += len(found) if _quick_numbers(found) is not None else _count_numbers(found)
        if filled - numeric > len(cells) / 2:  # whatever the others are
            return False
    return numeric > filled / 2 or not filled


def _parts(cells: Any) -> Iterator[tuple[int, Sequence[Any]]]:
    if isinstance(cells, PackedTexts):
        yield from cells.parts()
        return
    for start in range(0, len(cells), _PART):
        yield start, cells[start : start + _PART]


def _quick_numbers(cells: Sequence[Any]) -> NDArray[np.float64] | None:
    """Texts that are numbers or empty, ten times faster than cell by cell; None where there are others."""
    try:
        if "_" in "".join(cells):  # Python reads 1_000 as a number, tables do not
            return None
        if "" in cells:
            return np.array([float(cell) if cell else math.nan for cell in cells])
        return np.fromiter(map(float, cells), np.float64, len(cells))
    except (TypeError, ValueError):
        return None


def _quick_times(cells: Sequence[Any]) -> NDArray[np.float64] | None:
    """Texts that are all numbers, or all dates."""
    values = _quick_numbers(cells)
    if values is not None:
        return values if np.isfinite(values).all() else None
    try:
        if not all(
            cell[4:5] == "-" for cell in cells
        ):  # "20240101" is a date as well, and is read as a number
            return None
        moments = list(map(datetime.fromisoformat, cells))
        start = _EPOCH.replace(tzinfo=None if moments[0].tzinfo is None else UTC)
        return np.array([(moment - start).total_seconds() for moment in moments])
    except (TypeError, ValueError):  # some with a zone and some without, too
        return None


def _number(cell: Any, where: Callable[[int], str], row: int, kind: Callable[[Any], str] | None) -> float:
    if isinstance(cell, str):
        value = cell_number(cell)
        return parse_number(cell, where(row)) if value is None else value
    if cell is None:
        return math.nan
    if is_number(cell):
        return as_float(cell)
    called = type(cell).__name__ if kind is None else kind(cell)
    raise InputError(f"{where(row)} holds {called} where a number is needed: give numbers")


def _time(cell: Any, where: Callable[[int], str], row: int) -> float:
    if cell is None or isinstance(cell, str):
        return parse_time(cell or "", where(row))
    return float(time_numbers([cell], where(row))[0])


def _count_numbers(cells: Sequence[Any]) -> int:
    """How many cells are numbers; a text that occurs often is looked at once."""
    texts = Counter(cell for cell in cells if isinstance(cell, str))
    others = sum(is_number(cell) for cell in cells if not isinstance(cell, str))
    return others + sum(count for text, count in texts.items() if is_number(text))
