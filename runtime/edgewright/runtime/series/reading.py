"""Whatever a user gives as a series to one whose columns are the trained features, in their order."""

import itertools
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgewright.runtime.arguments import check_text, kind_of
from edgewright.runtime.errors import InputError
from edgewright.runtime.hints import near_names
from edgewright.runtime.series.settings import Series, SeriesSettings
from edgewright.runtime.series.values import check_times
from edgewright.runtime.series.wide import is_wide, special_columns, wide_series
from edgewright.runtime.tables.cells import cell_text
from edgewright.runtime.tables.delimited import write_csv
from edgewright.runtime.tables.numbers import numbers, time_numbers, unmasked
from edgewright.runtime.tables.packed import PackedTexts
from edgewright.runtime.tables.reading import Table, read_table


def label_of(series: Series) -> str:
    """What messages call a series."""
    return f"the series {series.name!r}" if series.name else "the series"


def as_series(raw: Any, settings: SeriesSettings) -> Series:
    """One raw input to a series [steps, features] in the trained order; NaN stays.

    `raw` is a `Series`, the path of a table (.csv, .jsonl, .parquet, .npz), columns by name (a mapping or a data
    frame), or an array [steps, features]. Raises `InputError` for missing, unknown and ragged columns, for text, and
    for a file of several series.
    """
    if isinstance(raw, Series):
        return _ordered(raw, settings)
    if isinstance(raw, (str, Path)):
        found = read_series(Path(raw), settings)
        if len(found) != 1:
            names = ", ".join(series.name for series in found[:5]) + (", ..." if len(found) > 5 else "")
            raise InputError(
                f"{raw} holds {len(found)} series ({names}): give one at a time, engine.task.inputs(path) lists them"
            )
        return found[0]
    if isinstance(raw, Mapping):
        return columns_series(raw, settings, strict=True)
    if hasattr(raw, "columns") and hasattr(raw, "__getitem__"):  # a data frame, of whichever library
        return columns_series({str(name): _array(raw[name]) for name in raw.columns}, settings, strict=True)
    if isinstance(raw, (np.ndarray, list, tuple)):
        return _ordered(Series(_matrix(raw, len(settings.features))), settings)
    raise InputError(
        f"cannot read a series from {type(raw).__name__}: give a path, columns by name, an array or a Series"
    )


def _array(column: Any) -> Any:
    return column.to_numpy() if hasattr(column, "to_numpy") else np.asarray(column)


def _matrix(raw: Any, features: int) -> NDArray[np.float64]:
    if not isinstance(raw, np.ndarray):
        rows = [row if isinstance(row, (list, tuple)) or np.ndim(row) else [row] for row in raw]
        lengths = {len(row) for row in rows}
        if len(lengths) > 1:
            row = next(index for index, row in enumerate(rows) if len(row) != len(rows[0]))
            raise InputError(
                f"row {row + 1} has {len(rows[row])} values, row 1 has {len(rows[0])}: give every row all columns"
            )
        parts = [numbers(row, f"row {index + 1}") for index, row in enumerate(rows)]
        return np.array(parts) if parts else np.zeros((0, features))
    if raw.dtype.kind == "O" and raw.ndim:
        return _matrix(np.asarray(raw).tolist(), features)
    if raw.dtype.kind not in "fiub":
        raise InputError(f"the array holds {raw.dtype}, not numbers: convert it to float64")
    if raw.ndim == 1 and features == 1:
        raw = raw[:, np.newaxis]
    if raw.ndim != 2:
        shape = "x".join(map(str, raw.shape)) or "a scalar"
        raise InputError(f"the array is {shape}: give steps x {features} features")
    return unmasked(raw)


def _ordered(series: Series, settings: SeriesSettings) -> Series:
    check_text(series.name, "the name of a series", "a str")
    values, where = series.values, label_of(series)
    if not isinstance(values, np.ndarray) or values.ndim != 2 or values.dtype.kind not in "fiub":
        raise InputError(f"{where}: its values must be an array of numbers, steps x columns")
    _check_parts(series, where)
    values = unmasked(values)
    if series.columns is None:
        if values.shape[1] != len(settings.features):
            raise InputError(
                f"{where} has {values.shape[1]} columns, the model takes {len(settings.features)} "
                f"({_listed(settings.features)}): give these, in this order"
            )
    else:
        if len(series.columns) != values.shape[1]:
            raise InputError(
                f"{where} has {values.shape[1]} columns and {len(series.columns)} names for them"
            )
        if series.columns != settings.features:
            values = values[:, _places(series.columns, settings, where, strict=True)]
    if series.times is not None and series.times.shape != values.shape[:1]:
        raise InputError(f"{where} has {len(values)} steps and {series.times.size} times: give one for each")
    known = series.known
    horizon, names = _known_shape(settings)
    if known is not None and known.shape != (horizon, len(names)):
        wanted = (
            f"{horizon} x {len(names)} ({_listed(names)})" if names else "none, the model knows nothing ahead"
        )
        raise InputError(f"{where}: known is {'x'.join(map(str, known.shape))}: give {wanted}")
    if known is None and names:
        raise _unknown_future(where, horizon, names)
    return Series(values, settings.features, series.times, series.name, known)


def _check_parts(series: Series, where: str) -> None:
    """Raise `InputError` for parts of a series that are not of their type."""
    columns = series.columns
    if columns is not None and not (
        isinstance(columns, tuple) and all(isinstance(name, str) for name in columns)
    ):
        raise InputError(f"{where}: its columns are {kind_of(columns)}: give a tuple of names")
    for name, axes, part in (("times", 1, series.times), ("known", 2, series.known)):
        numbers_alone = isinstance(part, np.ndarray) and part.dtype.kind in "fiub" and part.ndim == axes
        if part is not None and not numbers_alone:
            raise InputError(f"{where}: its {name} must be an array of numbers with {axes} axes, or None")


def _unknown_future(where: str, horizon: int, names: Sequence[str]) -> InputError:
    return InputError(
        f"{where} says nothing of the {horizon} steps to forecast: give {_listed(names)} for them "
        "(in a table: rows below the others, with the targets left empty)"
    )


def _known_shape(settings: SeriesSettings) -> tuple[int, tuple[str, ...]]:
    return (0, ()) if settings.forecast is None else (settings.forecast.horizon, settings.forecast.known)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (f", ... ({len(names)} in all)" if len(names) > 8 else "")


def _places(columns: Sequence[str], settings: SeriesSettings, where: str, strict: bool) -> list[int]:
    """Where each feature stands among `columns`; `strict` refuses names that mean nothing to the model."""
    meaningful = {*settings.features, *settings.targets, settings.series_column, settings.time_column}
    extra = [name for name in columns if name not in meaningful]
    missing = [name for name in settings.features if name not in columns]
    if missing:
        near = near_names(missing[0], extra, 1)
        found = f"is {near[0]!r} meant?" if near else f"it has {_listed(list(columns))}"
        raise InputError(
            f"{where} has no column {_listed([repr(name) for name in missing])} ({found}): "
            f"the model takes {_listed(settings.features)}"
        )
    if strict and extra:
        raise InputError(
            f"{where} has the column {extra[0]!r}, which the model does not take: "
            f"leave it out, it takes {_listed(settings.features)}"
        )
    twice = [name for index, name in enumerate(columns) if name in columns[:index]]
    if twice:
        raise InputError(f"{where} has the column {twice[0]!r} twice: leave one out")
    return [list(columns).index(name) for name in settings.features]


def columns_series(raw: Mapping[str, Any], settings: SeriesSettings, strict: bool) -> Series:
    """Columns by name to one series; those known ahead may be longer than the others, by the horizon."""
    named = {str(name): cells for name, cells in raw.items()}
    if "values" in named and "values" not in settings.features:
        return _ordered(_from_parts(named, len(settings.features)), settings)
    time_name, series_name = special_columns(settings)
    name = "" if series_name is None else _one_name(named.pop(series_name, ""), series_name)
    stamps = None if time_name is None else named.pop(time_name, None)
    where = label_of(Series(np.zeros((0, 0)), name=name))
    _places(list(named), settings, where, strict)
    columns = {
        feature: numbers(_one(named[feature]), f"{where}: the column {feature!r}")
        for feature in settings.features
    }
    horizon, known = _known_shape(settings)
    steps = len(columns[settings.features[0]]) - (horizon if settings.features[0] in known else 0)
    for feature, cells in columns.items():
        wanted = steps + (horizon if feature in known else 0)
        if len(cells) != wanted:
            raise InputError(
                f"{where}: the column {feature!r} has {len(cells)} values where {wanted} are needed "
                f"({settings.features[0]!r} has {len(columns[settings.features[0]])}): give columns of one length"
                + (f", those known ahead {horizon} more" if known else "")
            )
    times = None if stamps is None else time_numbers(_one(stamps), f"{where}: the column {time_name!r}")
    future = np.column_stack([columns[feature][steps:] for feature in known]) if known else None
    values = np.column_stack([columns[feature][:steps] for feature in settings.features])
    if times is not None and len(times) == steps + horizon:
        times = times[:steps]
    return _ordered(Series(values, settings.features, times, name, future), settings)


def _one(cells: Any) -> Any:
    """A single number as the list of one step."""
    return [cells] if isinstance(cells, (int, float, np.integer, np.floating)) or cells is None else cells


def _one_name(cells: Any, column: str) -> str:
    if isinstance(cells, str) or not hasattr(cells, "__len__") or not getattr(cells, "ndim", 1):
        return str(cells)
    names = dict.fromkeys(map(str, cells))
    if len(names) > 1:
        raise InputError(f"the column {column!r} names {len(names)} series: give one at a time")
    return next(iter(names), "")


def _from_parts(named: Mapping[str, Any], features: int) -> Series:
    unknown = set(named) - {"values", "columns", "times", "name", "known"}
    if unknown:
        raise InputError(f"{sorted(unknown)[0]!r} beside 'values' means nothing: leave it out")
    columns, times, known = named.get("columns"), named.get("times"), named.get("known")
    if columns is not None and (isinstance(columns, str) or not hasattr(columns, "__iter__")):
        raise InputError(f"'columns' is {kind_of(columns)}: give a list of names")
    return Series(
        _matrix(np.asarray(named["values"]), features),
        None if columns is None else tuple(map(str, columns)),
        None if times is None else time_numbers(times, "times"),
        str(named.get("name", "")),
        None if known is None else _matrix(np.asarray(known), 1),
    )


def read_series(path: Path, settings: SeriesSettings) -> list[Series]:
    """Every series of a table, in the order in which they begin; the file may hold more columns than are used.

    Where training read a wide table, the table is in that form, or a long one as every model takes it.
    Raises `InputError` naming the file and the line.
    """
    table = read_table(path)
    time_name, series_name = special_columns(settings)
    if table.form == "npz" and not _holds_several(table, series_name):
        try:
            return [columns_series(table.columns, settings, strict=False)]
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
    if is_wide(table, settings):
        return wide_series(table, settings)
    names = [name for name in table.columns if name not in (time_name, series_name)]
    _places(names, settings, str(path), strict=False)
    values = np.empty((table.rows, len(settings.features)))
    for place, feature in enumerate(settings.features):
        values[:, place] = table.numbers(feature)
    times = table.times(time_name) if time_name is not None and time_name in table.columns else None
    return [
        _cut(values[rows], None if times is None else times[rows], name, settings, path)
        for name, rows in _groups(table, series_name)
    ]


def _groups(table: Table, series_name: str | None) -> Iterator[tuple[str, slice | NDArray[np.int64]]]:
    """The name and the rows of each series, in the order in which they begin."""
    if series_name is None or series_name not in table.columns:
        yield "", slice(None)
        return
    numbers_of: defaultdict[str, int] = defaultdict(itertools.count().__next__)
    cells = table.columns[series_name]
    names = cells if isinstance(cells, PackedTexts) else (cell_text(cell) or "" for cell in cells)
    series = np.fromiter(map(numbers_of.__getitem__, names), np.int64, table.rows)
    order = np.argsort(series, kind="stable")
    ends = np.cumsum(np.bincount(series, minlength=len(numbers_of)))
    for name, rows in zip(numbers_of, np.split(order, ends[:-1]), strict=True):
        together = rows[-1] - rows[0] + 1 == len(rows)
        yield name, slice(int(rows[0]), int(rows[-1]) + 1) if together else rows


def _holds_several(table: Table, series_name: str | None) -> bool:
    """Whether arrays are the columns of a table, a row for each step, and one of them names several series."""
    names = table.columns.get(series_name or "")
    if names is None or any(array.shape != (table.rows,) for array in table.columns.values()):
        return False
    return len(set(names.tolist())) > 1


def _cut(
    values: NDArray[np.float64],
    own: NDArray[np.float64] | None,
    name: str,
    settings: SeriesSettings,
    path: Path,
) -> Series:
    """One series of a table with its `own` times, its last rows split off where they are known ahead."""
    horizon, known = _known_shape(settings)
    where = f"{path}: the series {name!r}" if name else str(path)
    if not known:
        return Series(values, settings.features, own, name)
    ahead = [settings.features.index(column) for column in known]
    rest = [index for index in range(len(settings.features)) if index not in ahead]
    future = values[-horizon:]
    if len(values) <= horizon or not np.isnan(future[:, rest]).all() or np.isnan(future[:, ahead]).any():
        raise _unknown_future(where, horizon, known)
    if own is not None:
        check_times(own, settings.step, settings.irregular, where)
        own = own[:-horizon]
    return Series(values[:-horizon], settings.features, own, name, future[:, ahead])


def series_csv(series: Series, settings: SeriesSettings) -> bytes:
    """A series as CSV that `read_series` turns into the same one again, to the last bit."""
    ordered = _ordered(series, settings)
    time_name, series_name = special_columns(settings)
    values = ordered.values
    if ordered.known is not None and settings.forecast is not None:
        future = np.full((len(ordered.known), values.shape[1]), np.nan)
        future[:, [settings.features.index(name) for name in settings.forecast.known]] = ordered.known
        values = np.vstack((values, future))
    names: list[str] = []
    columns: list[Any] = []
    if ordered.name and series_name is not None:
        names.append(series_name)
        columns.append([ordered.name] * len(values))
    if ordered.times is not None and time_name is not None:
        ahead = len(values) - len(ordered.times)
        step = settings.step or _last_step(ordered.times)
        more = ordered.times[-1:] + step * np.arange(1, ahead + 1)
        names.append(time_name)
        columns.append(np.concatenate((ordered.times, more)))
    return write_csv([*names, *settings.features], [*columns, *values.T])


def _last_step(times: NDArray[np.float64]) -> float:
    return float(times[-1] - times[-2]) if len(times) > 1 else 1.0
