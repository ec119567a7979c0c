"""Windows: where a recording is cut, so that no step of it is in two splits.

A window is a pair (start, stop) of steps. Dividing in time, every recording is first cut into parts that follow each
other, and a window never leaves its part.
"""

import hashlib
import itertools
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from edgewright.pipeline.data.samples import SPLITS, Place, Sample
from edgewright.pipeline.data.series.recordings import Columns, Recording
from edgewright.pipeline.recipe.data import Data
from edgewright.pipeline.recipe.series import Forecast
from edgewright.runtime.series.settings import Series

Span = tuple[int, int]
"""First step of a window, and the step after its last."""


def parts_in_time(length: int, shares: Mapping[str, float], least: int, later: int) -> dict[str, Span] | None:
    """Cut `length` steps into train, validation, calibration and evaluation, in this order.

    Train gets at least `least` steps, each other part whose share is above 0 at least `later`; None where that is not
    possible.
    """
    wanted = {name: share for name, share in shares.items() if share > 0}
    sizes = {name: max(round(share * length), later) for name, share in wanted.items()}
    train = length - sum(sizes.values())
    if train < least:
        return None
    parts = {}
    start = 0
    for name in SPLITS:
        size = train if name == "train" else sizes.get(name, 0)
        if size:
            parts[name] = (start, start + size)
        start += size
    return parts


def spans(part: Span, window: int | None, stride: int | None) -> list[Span]:
    """The windows of `window` steps in a part, one every `stride` steps (None: side by side); None: the whole part."""
    start, stop = part
    if window is None:
        return [part] if stop > start else []
    return [(first, first + window) for first in range(start, stop - window + 1, stride or window)]


def forecast_spans(part: Span, forecast: Forecast, stride: int | None) -> list[Span]:
    """The windows of context and horizon in a part, one at every `stride` steps (None: at every step).

    With `reach_back` the context may begin before the part; what is forecast never does.
    """
    start, stop = part
    first = max(0, start - forecast.context) if forecast.reach_back else start
    length = forecast.context + forecast.horizon
    return [(begin, begin + length) for begin in range(first, stop - length + 1, stride or 1)]


def _of_one_class(recording: Recording, part: Span) -> Iterator[Span]:
    """The stretches of a part in which the class does not change."""
    start, stop = part
    if not recording.is_mixed:
        yield part
        return
    for _, group in itertools.groupby(range(start, stop), key=recording.label_at):
        steps = list(group)
        yield steps[0], steps[-1] + 1


def window_samples(
    recording: Recording, part: Span, columns: Columns, data: Data, classes: Mapping[str, int]
) -> tuple[list[Sample], int]:
    """The samples of a classification or a regression that lie in a part of a recording, and how many were left out.

    A window of a classification never holds two classes. One of a regression without any known target is left out, and
    one that has no value at all in a column where gaps are interpolated.
    """
    samples = []
    left_out = 0
    whole = _series(recording, columns, *part)
    for stretch in _of_one_class(recording, part):
        for start, stop in spans(stretch, data.window, data.stride):
            raw = _series(recording, columns, start, stop)
            place = Place(whole, start - part[0], stop - part[0])
            name = _name(recording, start, stop)
            if not _can_encode(raw, data):
                left_out += 1
            elif recording.targets is not None:
                target = _frozen(recording.targets[start:stop])
                if np.isnan(target).all():
                    left_out += 1
                else:
                    samples.append(Sample(name, raw, target, _content(raw, target), place))
            elif (label := classes.get(recording.label_at(start))) is not None:
                samples.append(Sample(name, raw, label, _content(raw), place))
    return samples, left_out


def forecast_samples(
    recording: Recording, part: Span, columns: Columns, forecast: Forecast, data: Data
) -> tuple[list[Sample], int]:
    """The samples of a forecast that lie in a part of a recording, and how many were left out.

    Left out is a window of which no target is known, or a column known ahead is not, or whose context has no value at
    all in a column where gaps are interpolated.
    """
    known = [columns.features.index(name) for name in forecast.known or ()]
    samples = []
    left_out = 0
    first = max(0, part[0] - forecast.context) if forecast.reach_back else part[0]
    whole = _series(recording, columns, first, part[1])
    for start, stop in forecast_spans(part, forecast, data.stride):
        middle = start + forecast.context
        ahead = _frozen(recording.values[middle:stop, known]) if known else None
        target = _frozen(recording.values[middle:stop, : len(columns.targets)])
        raw = _series(recording, columns, start, middle, ahead)
        if (
            np.isnan(target).all()
            or (ahead is not None and np.isnan(ahead).any())
            or not _can_encode(raw, data)
        ):
            left_out += 1
        else:
            place = Place(whole, start - first, middle - first)
            samples.append(Sample(_name(recording, start, stop), raw, target, _content(raw, target), place))
    return samples, left_out


def _can_encode(raw: Series, data: Data) -> bool:
    return data.missing != "interpolate" or not np.isnan(raw.values).all(axis=0).any()


def _name(recording: Recording, start: int, stop: int) -> str:
    if (start, stop) == (0, len(recording)):
        return recording.name
    return f"{recording.name}/{start:0{len(str(len(recording)))}d}"  # in the order of time when sorted


def _series(
    recording: Recording,
    columns: Columns,
    start: int,
    stop: int,
    known: NDArray[np.float64] | None = None,
) -> Series:
    times = recording.times
    return Series(
        _frozen(recording.values[start:stop]),
        columns.features,
        None if times is None else _frozen(times[start:stop]),
        recording.name,
        known,
    )


def _frozen(view: NDArray[np.float64]) -> NDArray[np.float64]:
    """A view that nobody can write to: windows share their memory."""
    view = view.view()
    view.flags.writeable = False
    return view


def _content(raw: Series, target: NDArray[np.float64] | None = None) -> str:
    """Hex SHA-256 of all that a sample consists of."""
    digest = hashlib.sha256()
    for array in (raw.values, raw.times, raw.known, target):
        if array is not None:
            digest.update(repr(array.shape).encode())
            digest.update(array.tobytes())
    return digest.hexdigest()
