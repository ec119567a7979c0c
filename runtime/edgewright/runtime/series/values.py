"""Cells, times, gaps and scales of a series: each rule once, for the workstation and the device.

Rows in messages count from 1.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgewright.runtime.errors import InputError

TOLERANCE = 0.01
"""A step may be this share of the trained one longer or shorter and still be called regular."""

MOST_RESAMPLED = 10_000_000
"""Steps that resampling may make of one series, or of one gap in a stream."""


def check_times(
    times: NDArray[np.float64],
    step: float | None,
    irregular: str,
    name: str = "the series",
    before: float | None = None,
) -> bool:
    """Whether every step is as long as `step`; True where no step is given.

    `before` is the time of the step that came before the first one, where there was one. Raises `InputError` naming the
    row for a time that is not finite, goes backwards or occurs twice, and, under the policy "refuse", for a step of
    another length.
    """
    bad = ~np.isfinite(times)
    if bad.any():
        raise InputError(f"{name}: the time in row {int(bad.argmax()) + 1} is not finite: give every time")
    whole = times if before is None else np.concatenate(([before], times))
    shift = 2 if before is None else 1
    lengths = np.diff(whole)
    if (lengths <= 0).any():
        row = int((lengths <= 0).argmax())
        kind = "occurs twice" if lengths[row] == 0 else f"goes backwards, from {whole[row]}"
        raise InputError(
            f"{name}: the time {whole[row + 1]} in row {row + shift} {kind}: sort the rows by time, one for each"
        )
    if step is None:
        return True
    off = np.abs(lengths - step) > TOLERANCE * step
    if off.any() and irregular == "refuse":
        row = int(off.argmax())
        raise InputError(
            f"{name}: the step to row {row + shift} is {lengths[row]:g} long, training had {step:g}: "
            "give regular steps, or train with data.irregular: resample"
        )
    return not off.any()


def fill_forward(values: NDArray[np.float64], last: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each NaN of [steps, columns] replaced by the value above it; `last` [columns] stands above the first row."""
    stacked = np.vstack((last, values))
    rows = np.where(np.isnan(stacked), 0, np.arange(len(stacked))[:, np.newaxis])
    np.maximum.accumulate(rows, axis=0, out=rows)
    filled: NDArray[np.float64] = np.take_along_axis(stacked, rows, axis=0)[1:]
    return filled


def fill_missing(
    values: NDArray[np.float64],
    policy: str,
    names: Sequence[str],
    mean: NDArray[np.float64],
    times: NDArray[np.float64] | None = None,
    name: str = "the series",
) -> NDArray[np.float64]:
    """[steps, columns] without NaN, by one of the policies in `series.MISSING`.

    Raises `InputError` for infinity, for a missing value under "refuse", and under "interpolate" for a column that has
    no value at all. Values outside of the first and last known one are then those.
    """
    # A product of the values with themselves is finite only if they are, and is faster than looking at each.
    flat = values.ravel()
    with np.errstate(over="ignore"):
        if math.isfinite(flat.dot(flat)):
            return values
    infinite = np.isinf(values)
    if infinite.any():
        row, column = np.argwhere(infinite)[0]
        raise InputError(f"{name}: the column {names[column]!r} is infinite in row {row + 1}: clean it first")
    gaps = np.isnan(values)
    if not gaps.any():
        return values
    if policy == "refuse":
        row, column = np.argwhere(gaps)[0]
        raise InputError(
            f"{name}: the column {names[column]!r} has no value in row {row + 1} (empty or NaN): "
            "fill it, or train with data.missing: forward"
        )
    if policy == "zero":
        return np.where(gaps, 0.0, values)
    if policy == "forward":
        return fill_forward(values, mean)
    filled = values.copy()
    places = np.arange(len(values), dtype=np.float64) if times is None else times
    for column in map(int, np.flatnonzero(gaps.any(axis=0))):
        there = ~gaps[:, column]
        if not there.any():
            raise InputError(
                f"{name}: the column {names[column]!r} has no value at all: give some, or leave the series out"
            )
        filled[:, column] = np.interp(places, places[there], values[there, column])
    return filled


class Resampler:
    """Rows at any times to rows on the grid first time + k x `step`, by straight lines between neighbours.

    It may be fed in pieces; the pieces change nothing about the result.
    """

    def __init__(self, step: float) -> None:
        self.step = step
        self.start: float | None = None
        self.made = 0
        self.time = 0.0
        self.values: NDArray[np.float64] | None = None

    def push(
        self, times: NDArray[np.float64], values: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The times [made] and rows [made, columns] that these rows complete; times must rise.

        Raises `InputError`, and then remembers nothing, where a gap asks for more than `MOST_RESAMPLED` steps.
        """
        if not len(times):
            return times, values
        start = float(times[0]) if self.start is None else self.start
        # The last grid point of regular steps may lie above the last time by a rounding.
        count = math.floor(min((float(times[-1]) - start) / self.step + 1e-6, 1e18)) + 1
        if count - self.made > MOST_RESAMPLED:
            raise InputError(
                f"the times up to {times[-1]} stand for {count - self.made} steps of {self.step:g}, "
                f"{MOST_RESAMPLED} are allowed: check the times, or begin a new series after the gap"
            )
        grid = np.asarray(start + np.arange(self.made, count) * self.step, np.float64)
        if self.values is not None:
            times = np.concatenate(([self.time], times))
            values = np.vstack((self.values, values))
        right = np.searchsorted(times, grid - 1e-6 * self.step)
        right = np.minimum(right, len(times) - 1)
        left = np.maximum(right - 1, 0)
        width = times[right] - times[left]
        share = np.divide(grid - times[left], width, out=np.ones_like(grid), where=width > 0)[:, np.newaxis]
        share = np.clip(share, 0.0, 1.0)
        between = values[left] * (1 - share) + values[right] * share
        self.start, self.made = start, max(count, self.made)
        self.time, self.values = float(times[-1]), values[-1].copy()
        return grid, np.where(share >= 1.0, values[right], between)


def resample(
    times: NDArray[np.float64], values: NDArray[np.float64], step: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """times [steps] and values [steps, columns] on the grid times[0] + k x `step`; times must rise."""
    return Resampler(step).push(times, values)


def normalise(
    values: NDArray[np.float64],
    mean: NDArray[np.float64],
    std: NDArray[np.float64],
    name: str = "the series",
) -> NDArray[np.float32]:
    """(values - mean) x (1 / std) in float64, then float32. Raises `InputError` for a value beyond float32."""
    with np.errstate(over="ignore"):
        result = ((values - mean) * (1 / std)).astype(np.float32)
    if not np.isfinite(result).all():
        raise InputError(f"{name}: a value is too large for the scale of the training data: check its unit")
    return result
