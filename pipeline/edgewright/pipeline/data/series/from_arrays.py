"""From a .npz file to its recordings: arrays of whole series, or one array for each column of a table.

Array form: `values` [series, steps, features] or [series, steps], and, where they are needed, `target` ([series] of
classes, [series, steps] or [series, steps, targets] of numbers), `lengths` [series], `times` [steps] or [series,
steps], and the names `series`, `features` and `targets`. Table form: arrays of one axis and equal length.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgewright.pipeline.data.files.tables import Table
from edgewright.pipeline.data.series.from_tables import table_recordings
from edgewright.pipeline.data.series.recordings import Columns, Recording, Recordings, as_data_error
from edgewright.pipeline.recipe.recipe import Recipe
from edgewright.runtime.errors import DataError
from edgewright.runtime.hints import did_you_mean
from edgewright.runtime.series.wide import row_names
from edgewright.runtime.tables import reading as tables
from edgewright.runtime.tables.numbers import time_numbers

_KNOWN = ("values", "target", "lengths", "times", "series", "features", "targets")


def array_recordings(path: Path, recipe: Recipe, name: str, label: str | None = None) -> Recordings:
    """The series of the .npz file at `path`. Nothing in it is unpickled. Raises `DataError`."""
    with as_data_error():
        arrays = tables.read_table(path, "npz").columns
    return arrays_to_recordings(arrays, recipe, path.name, name, label)


def arrays_to_recordings(
    arrays: Mapping[str, NDArray[Any]], recipe: Recipe, where: str, name: str, label: str | None = None
) -> Recordings:
    """The series in `arrays`, in either form; `where` is what messages call them."""
    if not arrays:
        raise DataError(f"{where} holds no arrays: save some with numpy.savez")
    if "values" not in arrays or arrays["values"].ndim == 1:
        return table_recordings(_as_table(arrays, where), recipe, name, label)
    for key in arrays:
        if key not in _KNOWN:
            raise DataError(
                f"{where}: unknown array {key!r}{did_you_mean(key, _KNOWN)}: beside values there may be "
                f"{', '.join(_KNOWN[1:])}"
            )
    return _whole(arrays, recipe, where, label)


def _as_table(arrays: Mapping[str, NDArray[Any]], where: str) -> Table:
    lengths = {key: len(array) if array.ndim == 1 else -1 for key, array in arrays.items()}
    rows = next(iter(lengths.values()))
    for key, length in lengths.items():
        if length == -1:
            raise DataError(
                f"{where}: the array {key!r} has {arrays[key].ndim} axes: call it values, or give one axis"
            )
        if length != rows:
            raise DataError(
                f"{where}: {key!r} has {length} rows, {next(iter(lengths))!r} has {rows}: give as many"
            )
    if not rows:
        raise DataError(f"{where} has no rows: give it some")
    cells = {key: array if array.dtype.kind in "fiubM" else array.tolist() for key, array in arrays.items()}
    return Table(where, cells, rows)


def _whole(arrays: Mapping[str, NDArray[Any]], recipe: Recipe, where: str, label: str | None) -> Recordings:
    values = _numbers(arrays["values"], f"{where}: values")
    if values.ndim == 2:
        values = values[:, :, np.newaxis]
    if values.ndim != 3 or not values.size:
        shape = "x".join(map(str, arrays["values"].shape))
        raise DataError(f"{where}: values is {shape}: give series x steps x features, or series x steps")
    count, steps, width = values.shape
    features = _names(arrays, "features", width, where) or _default_features(width)
    names = _names(arrays, "series", count, where) or row_names(count)
    lengths = _lengths(arrays, count, steps, where)
    times = _times(arrays, count, steps, where)
    targets, target_names, labels = _targets(arrays, recipe, (count, steps), features, where, label)
    order = [*range(width)]
    if recipe.spec.forecasts:
        order.sort(key=lambda index: features[index] not in target_names)  # stable: targets stand first
        features = tuple(features[index] for index in order)
    series = []
    for row in range(count):
        stop = lengths[row]
        series.append(
            Recording(
                names[row],
                values[row, :stop][:, order],
                None if times is None else times[row, :stop],
                None if targets is None else targets[row, :stop],
                None if labels is None else (labels[row],),
            )
        )
    label_column = "target" if labels is not None else None
    return Recordings(Columns(features, target_names, label_column), tuple(series))


def _default_features(width: int) -> tuple[str, ...]:
    return ("value",) if width == 1 else tuple(f"value_{index}" for index in range(width))


def _numbers(array: NDArray[Any], where: str) -> NDArray[np.float64]:
    if array.dtype.kind not in "fiub":
        raise DataError(f"{where} holds {array.dtype}, not numbers: convert them to float64")
    return array.astype(np.float64)


def _names(arrays: Mapping[str, NDArray[Any]], key: str, count: int, where: str) -> tuple[str, ...] | None:
    if key not in arrays:
        return None
    names = tuple(str(name) for name in arrays[key].ravel().tolist())
    if len(names) != count or len(set(names)) != count:
        raise DataError(f"{where}: {key} has {len(set(names))} different names where {count} are needed")
    return names


def _lengths(arrays: Mapping[str, NDArray[Any]], count: int, steps: int, where: str) -> list[int]:
    if "lengths" not in arrays:
        return [steps] * count
    lengths = arrays["lengths"]
    if (
        lengths.shape != (count,)
        or lengths.dtype.kind not in "iu"
        or (lengths < 0).any()
        or (lengths > steps).any()
    ):
        raise DataError(
            f"{where}: lengths must be {count} whole numbers from 0 to {steps}, one for each series"
        )
    return [int(length) for length in lengths]


def _times(
    arrays: Mapping[str, NDArray[Any]], count: int, steps: int, where: str
) -> NDArray[np.float64] | None:
    if "times" not in arrays:
        return None
    array = arrays["times"]
    if array.shape not in ((steps,), (count, steps)):
        raise DataError(f"{where}: times must be [steps] or [series, steps], {steps} or {count}x{steps}")
    with as_data_error():
        flat = time_numbers(array.ravel(), f"{where}: times")
    return np.broadcast_to(flat.reshape(array.shape), (count, steps))


def _targets(
    arrays: Mapping[str, NDArray[Any]],
    recipe: Recipe,
    shape: tuple[int, int],
    features: tuple[str, ...],
    where: str,
    label: str | None,
) -> tuple[NDArray[np.float64] | None, tuple[str, ...], list[str] | None]:
    """What the task learns: numbers of each step, their names, and the class of each series."""
    count, steps = shape
    if recipe.spec.forecasts:
        wanted = recipe.data.target or (features if len(features) == 1 else None)
        if wanted is None or not set(wanted) <= set(features):
            raise DataError(
                f"data.target: name what is forecast, one or more of {', '.join(features)} ({where})"
            )
        return None, wanted, None
    if recipe.spec.classifies:
        if label is not None:
            return None, (), [label] * count
        array = arrays.get("target")
        if array is None or array.shape != (count,) or array.dtype.kind not in "iuUS":
            raise DataError(
                f"{where}: target must be {count} whole numbers or names, the class of each series"
            )
        return None, (), [one.decode() if isinstance(one, bytes) else str(one) for one in array.tolist()]
    array = arrays.get("target")
    if array is None or array.shape[:2] != (count, steps) or array.ndim > 3:
        raise DataError(
            f"{where}: target must be [series, steps] or [series, steps, targets], {count}x{steps}"
        )
    targets = _numbers(array, f"{where}: target").reshape(count, steps, -1)
    width = targets.shape[2]
    default = ("target",) if width == 1 else tuple(f"target_{index}" for index in range(width))
    names = _names(arrays, "targets", width, where) or recipe.data.target or default
    if len(names) != width:
        raise DataError(f"data.target: {len(names)} names for the {width} targets of {where}: give as many")
    return targets, names, None
