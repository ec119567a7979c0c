"""Wide tables: for a forecast a column is a whole series, for the other tasks a row is.

The rules by which columns are steps are here once, for the workstation and the device.
"""

import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgewright.runtime.errors import InputError
from edgewright.runtime.series.settings import Series, SeriesSettings
from edgewright.runtime.tables.cells import cell_text, mostly_numbers
from edgewright.runtime.tables.numbers import numbers
from edgewright.runtime.tables.reading import Table

_LISTED = 20


def special_columns(settings: SeriesSettings) -> tuple[str | None, str | None]:
    """The columns that hold the time and the name of the series; None where the model has no use for them.

    Series that were no table in training, or a wide one, may have both without a name for the column.
    """
    named = settings.per_series is not None or settings.wide is not None
    time = settings.time_column or ("time" if settings.step is not None else None)
    series = settings.series_column or ("series" if named else None)
    return (
        None if time in settings.features else time,
        None if series in settings.features else series,
    )


def numbered_columns(columns: Sequence[str], name: str) -> list[str]:
    """The columns that hold the steps of `name` (temp_0, temp_1, ...), in the order of their numbers; [] for none.

    Raises `InputError` when a number is left out or occurs twice.
    """
    pattern = re.compile(rf"{re.escape(name)}[ _.\[-]*(\d+)\]?")
    found = sorted(
        (int(match[1]), column) for column in columns if (match := pattern.fullmatch(column)) is not None
    )
    for (before, _), (number, column) in itertools.pairwise(found):
        if number != before + 1:
            raise InputError(f"the columns of {name!r} jump from {before} to {number} ({column!r})")
    return [column for _, column in found]


def check_order(steps: Sequence[str], way_out: str) -> None:
    """Raise `InputError` when numbered columns of one name stand in no order, neither up nor down.

    `way_out` may hold {name}, what they begin with.
    """
    matches = [re.fullmatch(r"(.*?)(\d+)\D?", column) for column in steps]
    numbered = [(match[1], int(match[2])) for match in matches if match is not None]
    if len(numbered) < len(steps) or len({name for name, _ in numbered}) > 1:
        return
    if all(number <= before for (_, before), (_, number) in itertools.pairwise(numbered)):
        return
    for (_, before), (name, number) in itertools.pairwise(numbered):
        if number < before:
            called = name.rstrip(" _.[-") or "NAME"
            raise InputError(
                f"the columns are no steps in order, {name}{number} stands after {name}{before}: "
                + way_out.format(name=called)
            )


def row_block(parts: Sequence[NDArray[np.float64]], names: Sequence[str]) -> NDArray[np.float64]:
    """One row's values of each feature as [steps, features], without the empty steps at its end.

    Raises `InputError` where there are not as many of each.
    """
    for name, part in zip(names, parts, strict=True):
        if len(part) != len(parts[0]):
            raise InputError(
                f"{len(parts[0])} values of {names[0]!r} and {len(part)} of {name!r}: give as many of each"
            )
    block = np.column_stack(parts)
    filled = np.flatnonzero(~np.isnan(block).all(axis=1))
    return block[: int(filled[-1]) + 1 if len(filled) else 0]


def filled_part(values: NDArray[np.float64]) -> slice:
    """A column [steps] without the empty cells at its ends."""
    filled = np.flatnonzero(~np.isnan(values))
    return slice(int(filled[0]), int(filled[-1]) + 1) if len(filled) else slice(0, 0)


def row_names(count: int) -> list[str]:
    """What rows without names are called: their numbers, from 0, of one width."""
    width = len(str(count - 1))
    return [f"{row:0{width}d}" for row in range(count)]


def is_wide(table: Table, settings: SeriesSettings) -> bool:
    """Whether a table is to be read in the wide form that training read; never where training read another."""
    wide, columns = settings.wide, table.columns
    if wide is None:
        return False
    if not set(settings.features) <= set(columns):
        return True
    if settings.forecast is None:
        # One feature may have the name of lists, or of a column beside those of its steps.
        try:
            return any(
                _lists(columns, name) or numbered_columns(list(columns), name) for name in wide.columns
            )
        except InputError:  # reading them says it again, and where
            return True
    series = settings.series_column or "series"
    if series in columns:
        return False
    time = settings.time_column or "time"
    return settings.per_series is not None or not set(columns) <= {*settings.features, time}


def wide_series(table: Table, settings: SeriesSettings) -> list[Series]:
    """Every series of a wide table. Raises `InputError` naming the file."""
    try:
        return _columns(table, settings) if settings.forecast is not None else _rows(table, settings)
    except InputError as error:
        text = str(error)
        raise InputError(text if text.startswith(str(table.path)) else f"{table.path}: {text}") from None


def _columns(table: Table, settings: SeriesSettings) -> list[Series]:
    """Each column as a series, without the empty cells at its ends."""
    assert settings.wide is not None
    time = settings.time_column or "time"
    if settings.wide.columns:
        names = [name for name in settings.wide.columns if name in table.columns]
    else:
        others = [name for name in table.columns if name != time]
        names = [name for name in others if mostly_numbers(table.columns[name])]
    if not names:
        wanted = f"{_listed(settings.wide.columns)}" if settings.wide.columns else "one with numbers"
        raise InputError(
            f"no column is a series, as in training ({wanted}), nor is there {_listed(settings.features)}, as in a "
            f"long table: it has {_listed(list(table.columns))}"
        )
    times = table.times(time) if time in table.columns else None
    series = []
    for name in names:
        values = table.numbers(name)
        part = filled_part(values)
        own = None if times is None else times[part]
        series.append(Series(values[part, np.newaxis], settings.features, own, name))
    return series


def _rows(table: Table, settings: SeriesSettings) -> list[Series]:
    """Each row as a series."""
    assert settings.wide is not None
    names = list(settings.wide.columns)
    parts = [_steps(table, name) for name in names] if names else [_only_steps(table, settings)]
    called = _names(table, settings.series_column or "series")
    series = []
    for row in range(table.rows):
        try:
            block = row_block([part[row] for part in parts], names or settings.features)
        except InputError as error:
            raise InputError(f"{table.place(row)}: {error}") from None
        series.append(Series(block, settings.features, None, called[row]))
    return series


_Part = NDArray[np.float64] | list[NDArray[np.float64]]
"""One feature of all rows: [rows, steps], or an array of any length for each."""


def _steps(table: Table, name: str) -> _Part:
    if _lists(table.columns, name):
        return [_list(cell, f"{table.place(row)}: {name!r}") for row, cell in enumerate(table.columns[name])]
    columns = numbered_columns(list(table.columns), name)
    if not columns:
        raise InputError(
            f"there is neither a column {name!r}, as in a long table, nor are there {name}_0, {name}_1, ..., as in "
            f"training: it has {_listed(list(table.columns))}"
        )
    return np.column_stack([table.numbers(column) for column in columns])


def _list(cell: Any, where: str) -> NDArray[np.float64]:
    if cell is not None and not isinstance(cell, list):
        raise InputError(f"{where} must be a list of numbers here too")
    return numbers([] if cell is None else cell, where)


def _lists(columns: Mapping[str, Any], name: str) -> bool:
    return name in columns and any(isinstance(cell, list) for cell in columns[name])


def _only_steps(table: Table, settings: SeriesSettings) -> _Part:
    """The steps of the only feature: all columns with numbers that are nothing else."""
    assert settings.wide is not None
    label = next((name for name in settings.wide.labels if name in table.columns), None)
    others = [
        name for name in table.columns if name not in (label, settings.series_column or "series", "time")
    ]
    steps = [name for name in others if mostly_numbers(table.columns[name])]
    if not steps:
        raise InputError(
            f"there is neither a column {settings.features[0]!r}, as in a long table, nor are there columns of numbers "
            f"for the steps, as in training: it has {_listed(list(table.columns))}"
        )
    check_order(steps, "sort them")
    return np.column_stack([table.numbers(name) for name in steps])


def _names(table: Table, column: str) -> list[str]:
    if column not in table.columns:
        return row_names(table.rows)
    names: dict[str, None] = {}
    for row, cell in enumerate(table.columns[column]):
        name = cell_text(cell) or ""
        if not name or name in names:
            what = f"names {name!r} twice" if name else "is empty"
            raise InputError(
                f"{table.place(row)}: the series column {column!r} {what}: give each row its own name"
            )
        names[name] = None
    return list(names)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:_LISTED]) + (" ..." if len(names) > _LISTED else "")
