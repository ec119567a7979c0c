"""From a table to its recordings: which column is what, and which rows are one series.

Long form: a row is one step of one series; the column `data.series` says of which. Wide form: for a forecast a row is
one step of many series, a column each; for the other tasks a row is a whole series, a column for each of its steps
("temp_0", "temp_1", ..., or all numeric columns where there is only one feature), or a list in one cell.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgewright.pipeline.data.files.tables import Table
from edgewright.pipeline.data.samples import Skipped
from edgewright.pipeline.data.series.recordings import Columns, Recording, Recordings, as_data_error
from edgewright.pipeline.recipe.recipe import Recipe
from edgewright.runtime.errors import DataError, InputError
from edgewright.runtime.series.wide import check_order, filled_part, numbered_columns, row_block, row_names
from edgewright.runtime.tables.numbers import numbers, time_numbers

LABEL_COLUMNS = ("label", "class", "target")
"""What the column of the classes may be called where the recipe does not name it."""

_VALUE = "value"


def table_recordings(table: Table, recipe: Recipe, name: str, label: str | None = None) -> Recordings:
    """The series of a table. `name` is that of a series where no column names it; `label` the class of all rows.

    Raises `DataError` for a column that is missing or cannot be used as the recipe says.
    """
    if recipe.data.layout == "long":
        return _long(table, recipe, name, label)
    return _wide_columns(table, recipe) if recipe.spec.forecasts else _wide_rows(table, recipe, label)


@dataclass(frozen=True)
class _Roles:
    """Columns of a table by what they are for."""

    series: str | None
    time: str | None
    label: str | None
    targets: tuple[str, ...]
    known: tuple[str, ...]

    def others(self, table: Table) -> list[str]:
        """The columns without a role."""
        taken = {self.series, self.time, self.label, *self.targets, *self.known}
        return [column for column in table.columns if column not in taken]


def _roles(table: Table, recipe: Recipe, has_label: bool) -> _Roles:
    data = recipe.data
    classifies = recipe.spec.classifies
    series = _special(table, data.series, "series", "data.series")
    time = _special(table, data.time, "time", "data.time")
    # In the wide form of a regression a target is what several columns begin with.
    numbered = data.layout == "wide" and recipe.spec.every_step
    given = tuple(column if numbered else table.need(column, "data.target") for column in data.target or ())
    known = tuple(table.need(column, "forecast.known") for column in recipe.forecast.known or ())
    if classifies and not has_label:
        if len(given) > 1:
            raise DataError(
                f"data.target: a classifier has one column of classes, not {len(given)}: name one"
            )
        label = given[0] if given else next((name for name in LABEL_COLUMNS if name in table.cells), None)
        if label is None:
            raise DataError(
                f"{table.name} has no column called {', '.join(LABEL_COLUMNS[:-1])} or {LABEL_COLUMNS[-1]}: "
                f"name the column of the classes in data.target; it has {', '.join(table.columns[:20])}"
            )
        return _Roles(series, time, label, (), known)
    return _Roles(series, time, None, given, known)


def _special(table: Table, named: str | None, default: str, key: str) -> str | None:
    """The column of the series or of the times: the one that is named, or the one that the device would take for it."""
    if named is not None:
        return table.need(named, key)
    return default if default in table.cells else None


def _targets(table: Table, roles: _Roles, recipe: Recipe) -> tuple[str, ...]:
    """The target columns; found where only one column can be meant."""
    if roles.targets:
        return roles.targets
    if recipe.spec.every_step and "target" in table.cells:
        return ("target",)
    numeric = [column for column in roles.others(table) if table.is_numeric(column)]
    if recipe.spec.forecasts and len(numeric) == 1:
        return (numeric[0],)
    what = "to forecast" if recipe.spec.forecasts else "that the model is to answer with"
    raise DataError(
        f"{table.name}: which column is it {what}? Name it in data.target: {', '.join(table.columns[:20])}"
    )


def _features(table: Table, roles: _Roles, recipe: Recipe) -> tuple[tuple[str, ...], list[str]]:
    """The feature columns beside the targets and the known ones, and a note about what is left out."""
    if recipe.data.features is not None:
        names = [table.need(column, "data.features") for column in recipe.data.features]
        return tuple(name for name in names if name not in (*roles.targets, *roles.known)), []
    others = roles.others(table)
    numeric = tuple(column for column in others if table.is_numeric(column))
    text = [column for column in others if column not in numeric]
    dates = [column for column in text if roles.time is None and _holds_dates(table, column)]
    notes = [f"{dates[0]}: dates, but not used: data.time names the column of the times"] if dates else []
    text = [column for column in text if column not in dates[:1]]
    notes += [f"{', '.join(text[:5])}: text, and no feature (data.features names others)"] if text else []
    return numeric, notes


def _holds_dates(table: Table, column: str) -> bool:
    cell = next((cell for cell in table.cells[column] if cell is not None and cell != ""), None)
    try:
        return len(time_numbers([cell], "")) == 1
    except InputError:
        return False


def _long(table: Table, recipe: Recipe, name: str, label: str | None) -> Recordings:
    roles = _roles(table, recipe, label is not None)
    classifies = recipe.spec.classifies
    if not classifies:
        roles = _Roles(roles.series, roles.time, None, _targets(table, roles, recipe), roles.known)
    own, notes = _features(table, roles, recipe)
    if recipe.spec.forecasts:
        columns = Columns((*roles.targets, *own, *roles.known), roles.targets)
    else:
        columns = Columns(own, roles.targets, roles.label)
    if not columns.features:
        raise DataError(
            f"{table.name} has no numeric column left to learn from: name the columns in data.features"
        )
    values = np.column_stack([table.numbers(column) for column in columns.features])
    regression = recipe.spec.every_step
    targets = np.column_stack([table.numbers(column) for column in roles.targets]) if regression else None
    times = table.times(roles.time) if roles.time else None
    labels = table.texts(roles.label) if roles.label else None
    series = []
    skipped: list[Skipped] = []
    for series_name, rows in _groups(table, roles.series, name):
        classes: tuple[str, ...] | None = (label,) if label is not None else None
        if labels is not None:
            found = [labels[row] for row in rows]
            if None in found:
                place = table.place(int(rows[found.index(None)]))
                skipped.append(Skipped(series_name, f"has no class in {place}: fill the cell"))
                continue
            classes = tuple(str(one) for one in found)
            classes = classes[:1] if len(set(classes)) == 1 else classes
        series.append(
            Recording(
                series_name,
                values[rows],
                None if times is None else times[rows],
                None if targets is None else targets[rows],
                classes,
            )
        )
    return Recordings(columns, tuple(series), tuple(skipped), tuple(notes))


def _groups(table: Table, column: str | None, name: str) -> list[tuple[str, NDArray[np.intp]]]:
    """The rows of each series, in the order in which the series first occur."""
    if column is None:
        return [(name, np.arange(table.rows))]
    members: dict[str, list[int]] = {}
    for row, cell in enumerate(table.texts(column)):
        if cell is None:
            raise DataError(
                f"{table.name}, {table.place(row)}: the series column {column!r} is empty: "
                "say which series the row belongs to"
            )
        members.setdefault(cell, []).append(row)
    return [(series, np.array(rows)) for series, rows in members.items()]


def _wide_columns(table: Table, recipe: Recipe) -> Recordings:
    """A forecast's wide form: each numeric column is a series, without the empty cells at its ends."""
    data = recipe.data
    time = _special(table, data.time, "time", "data.time")
    notes: list[str] = []
    if data.target is not None:
        names = [table.need(column, "data.target") for column in data.target]
    else:
        others = [column for column in table.columns if column != time]
        names = [column for column in others if table.is_numeric(column)]
        text = [column for column in others if column not in names]
        notes = [f"{', '.join(text[:5])}: text, and no series"] if text else []
    if not names:
        raise DataError(f"{table.name} has no numeric column: with layout: wide every series is one")
    times = table.times(time) if time else None
    series = []
    skipped = []
    for name in names:
        values = table.numbers(name)
        part = filled_part(values)
        if not part.stop:
            skipped.append(Skipped(name, "has no value at all"))
            continue
        series.append(Recording(name, values[part, np.newaxis], None if times is None else times[part]))
    return Recordings(Columns((_VALUE,), (_VALUE,)), tuple(series), tuple(skipped), tuple(notes))


def _wide_rows(table: Table, recipe: Recipe, label: str | None) -> Recordings:
    """The wide form of the other tasks: each row is a series; empty cells at its end are not part of it."""
    data = recipe.data
    if data.time is not None:
        raise DataError(
            "data.time: with layout: wide a row is a whole series and has no column of times: remove the key"
        )
    roles = _roles(table, recipe, label is not None)
    regression = recipe.spec.every_step
    if regression and (data.features is None or data.target is None):
        raise DataError(
            "data.features and data.target: with layout: wide name what the columns of each begin with "
            "(temp for temp_0, temp_1, ...)"
        )
    notes: list[str] = []
    if data.features is None:
        steps, notes = _features(table, roles, recipe)
        if not steps:
            raise DataError(
                f"{table.name} has no numeric column to learn from: name what they begin with in data.features"
            )
        with as_data_error(table.name):
            check_order(steps, "sort them, or set data.features: [{name}]")
        columns = Columns((_VALUE,), (), roles.label)
        blocks = _blocks(
            table, [np.column_stack([table.numbers(column) for column in steps])], columns.features
        )
    else:
        columns = Columns(data.features, data.target or () if regression else (), roles.label)
        blocks = _blocks(
            table, [_rows_of(table, name, "data.features") for name in columns.features], columns.features
        )
    targets = None
    if regression:
        known = _blocks(
            table, [_rows_of(table, name, "data.target") for name in columns.targets], columns.targets
        )
        targets = [_as_long_as(block, target) for block, target in zip(blocks, known, strict=True)]
    names = _row_names(table, roles.series)
    labels = table.texts(roles.label) if roles.label else None
    series: list[Recording] = []
    skipped: list[Skipped] = []
    for row, block in enumerate(blocks):
        own = labels[row] if labels is not None else label
        if not len(block):
            skipped.append(Skipped(names[row], f"has no values ({table.place(row)})"))
        elif labels is not None and own is None:
            skipped.append(Skipped(names[row], f"has no class ({table.place(row)}): fill the cell"))
        else:
            target = targets[row] if targets is not None else None
            series.append(Recording(names[row], block, None, target, None if own is None else (own,)))
    return Recordings(columns, tuple(series), tuple(skipped), tuple(notes))


_Rows = NDArray[np.float64] | list[NDArray[np.float64]]
"""One value column of a wide table: [rows, steps], or an array of any length for each row."""


def _rows_of(table: Table, name: str, key: str) -> _Rows:
    """The values of the feature or target `name`: a column of lists, or its numbered columns in their order."""
    if name in table.cells and any(isinstance(cell, list) for cell in table.cells[name]):
        with as_data_error(table.name):
            return [_listed(table, row, name) for row in range(table.rows)]
    with as_data_error(table.name):
        found = numbered_columns(table.columns, name)
    if not found:
        raise DataError(
            f"{key}: {table.name} has no columns {name}_0, {name}_1, ... and no column of lists called {name!r}: "
            f"it has {', '.join(table.columns[:20])}"
        )
    return np.column_stack([table.numbers(column) for column in found])


def _listed(table: Table, row: int, name: str) -> NDArray[np.float64]:
    """The numbers of a cell that holds a list of them, or nothing."""
    cell = table.cells[name][row]
    values = [] if cell is None else cell
    if not isinstance(values, list):
        raise DataError(f"{table.name}, {table.place(row)}: {name!r} must be a list of numbers here too")
    return numbers(values, f"{table.place(row)}: {name!r}")


def _blocks(table: Table, values: Sequence[_Rows], names: Sequence[str]) -> list[NDArray[np.float64]]:
    """[steps, columns] of each row, without the empty steps at its end."""
    blocks = []
    for row in range(table.rows):
        try:
            blocks.append(row_block([value[row] for value in values], names))
        except InputError as error:
            raise DataError(f"{table.name}, {table.place(row)}: {error}") from None
    return blocks


def _as_long_as(block: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """`target` cut or filled with NaN (not known) to the steps of `block`."""
    result = np.full((len(block), target.shape[1]), np.nan)
    count = min(len(block), len(target))
    result[:count] = target[:count]
    return result


def _row_names(table: Table, column: str | None) -> list[str]:
    """The name of each row: its number, or what the series column says."""
    if column is None:
        return row_names(table.rows)
    names = []
    seen: set[str] = set()
    for row, cell in enumerate(table.texts(column)):
        if cell is None or cell in seen:
            what = "is empty" if cell is None else f"names {cell!r} twice"
            raise DataError(
                f"{table.name}, {table.place(row)}: the series column {column!r} {what}: give each row its own name"
            )
        seen.add(cell)
        names.append(cell)
    return names
