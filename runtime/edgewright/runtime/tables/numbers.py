"""Cells as numbers and as times."""

import datetime
import math
from collections.abc import Mapping, Set
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgewright.runtime.errors import InputError

_MISSING_CELLS = frozenset({"", "nan", "na", "n/a", "null", "none", "?"})


_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


def cell_number(cell: str) -> float | None:
    """One cell of a table as a number; NaN for an empty cell and the usual words for a missing value, None for text."""
    try:
        return None if "_" in cell else float(cell)  # Python reads 1_000 as a number, tables do not
    except ValueError:
        return math.nan if cell.strip().lower() in _MISSING_CELLS else None


def parse_number(cell: str, where: str) -> float:
    """One cell of a table as a number; NaN for an empty cell and the usual words for a missing value.

    `where` names the place in messages ("the column 'a', line 3"). Raises `InputError` for text.
    """
    value = cell_number(cell)
    if value is not None:
        return value
    hint = "write the decimals with a point" if "," in cell else "give numbers, or leave the cell empty"
    raise InputError(f"{where} holds text where a number is needed ({_short(cell)}): {hint}")


def parse_time(cell: str, where: str) -> float:
    """One cell of a time column: a number as it is, an ISO 8601 date or time as seconds since 1970.

    A time without a zone is taken as UTC. Raises `InputError` for anything else, an empty cell too.
    """
    text = cell.strip()
    try:
        value = float(text)
    except ValueError:
        try:
            return _seconds(datetime.datetime.fromisoformat(text))
        except ValueError:
            pass
    else:
        if math.isfinite(value) and "_" not in text:
            return value
    raise InputError(
        f"{where} is no time ({_short(cell)}): give a number, or a date such as 2026-01-31T12:00:00"
    )


def numbers(cells: Any, where: str) -> NDArray[np.float64]:
    """A column of numbers, None for a missing one, as float64 [rows]. Raises `InputError` for anything else."""
    if isinstance(cells, np.ndarray):
        if cells.ndim != 1:
            raise InputError(f"{where} has {cells.ndim} axes: give one value for each step")
        if cells.dtype.kind in "fiub":
            return unmasked(cells)
    if not _is_list(cells):
        raise InputError(f"{where} is {type(cells).__name__}: give a list of numbers")
    result = np.empty(len(cells))
    for row, cell in enumerate(cells):
        if cell is None:
            result[row] = math.nan
        elif isinstance(cell, (int, float, np.integer, np.floating, np.bool_)) and not _is_duration(cell):
            result[row] = as_float(cell)
        else:
            shown = _short(cell) if isinstance(cell, str) else type(cell).__name__
            raise InputError(f"{where}, row {row + 1} holds {shown} where a number is needed: give numbers")
    return result


def time_numbers(cells: Any, where: str) -> NDArray[np.float64]:
    """A column of times as float64 [rows]: numbers, ISO 8601 texts, datetimes, or numpy's datetime64."""
    if isinstance(cells, np.ndarray) and cells.ndim != 1:
        raise InputError(f"{where} has {cells.ndim} axes: give one time for each step")
    if isinstance(cells, np.ndarray) and cells.dtype.kind == "M":
        whole = cells.astype("datetime64[ns]")
        if np.isnat(whole).any():
            raise InputError(f"{where}, row {int(np.isnat(whole).argmax()) + 1} is empty: give every time")
        seconds: NDArray[np.float64] = whole.astype(np.int64) / 1e9
        return seconds
    if isinstance(cells, np.ndarray) and cells.dtype.kind in "fiu":
        return numbers(cells, where)
    if not _is_list(cells):
        raise InputError(f"{where} is {type(cells).__name__}: give a list of times")
    result = np.empty(len(cells))
    for row, cell in enumerate(cells):
        place = f"{where}, row {row + 1}"
        if isinstance(cell, str):
            result[row] = parse_time(cell, place)
        elif isinstance(cell, datetime.datetime):
            result[row] = _seconds(cell)
        elif isinstance(cell, (int, float, np.integer, np.floating)) and not isinstance(
            cell, (bool, np.timedelta64)
        ):
            result[row] = as_float(cell)
        else:
            raise InputError(f"{place} is {type(cell).__name__}: give a number or an ISO date")
    return result


def unmasked(array: NDArray[Any]) -> NDArray[np.float64]:
    """An array of numbers as a plain one of float64, NaN where a masked one is masked."""
    if isinstance(array, np.ma.MaskedArray):
        array = np.ma.filled(array.astype(np.float64), np.nan)
    plain: NDArray[np.float64] = np.asarray(array, np.float64)
    return plain


def as_float(number: Any) -> float:
    """A number as float64; a whole one of hundreds of digits is infinite."""
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf


def _is_duration(cell: Any) -> bool:
    return isinstance(cell, np.timedelta64)  # which numpy takes for a whole number


def _is_list(cells: Any) -> bool:
    return (
        hasattr(cells, "__len__")
        and hasattr(cells, "__iter__")
        and not isinstance(cells, (str, bytes, Mapping, Set))
    )


def _seconds(moment: datetime.datetime) -> float:
    return ((moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)) - _EPOCH).total_seconds()


def _short(cell: str) -> str:
    return repr(cell if len(cell) <= 40 else f"{cell[:37]}...")
