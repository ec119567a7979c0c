"""How far two outputs are apart."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgewright.runtime.contracts import Tensors


@dataclass(frozen=True)
class TensorDistance:
    """Outputs against torch's. `relative` is `max_abs` over the largest absolute value torch gave, per
    output, worst.

    `passing_tolerance` is the smallest t for which |difference| <= t + t * |torch| holds everywhere
    (numpy.allclose with rtol = atol = t). `sqnr_db` is None where the two are bit-equal. `worst` is the row
    of the largest relative difference.
    """

    max_abs: float
    relative: float
    passing_tolerance: float
    sqnr_db: float | None
    worst: int
    finite: bool


def distance(reference: Tensors, found: Tensors) -> TensorDistance:
    """Compare two sets of outputs of the same names and shapes, the leading axis being the samples.

    Of outputs with an answer for every step, the shorter ones count as padded with zeros.
    """
    max_abs = relative = tolerance = 0.0
    worst, finite = 0, True
    for name, wanted in reference.items():
        ours, theirs = _as_long_as_each_other(wanted.astype(np.float64), found[name].astype(np.float64))
        if not np.isfinite(theirs).all():
            finite = False
            rows = ~np.isfinite(theirs.reshape(len(theirs), -1)).all(axis=1)
            worst = int(np.argmax(rows))
            break
        gap = np.abs(theirs - ours)
        scale = float(np.abs(ours).max()) or 1.0
        max_abs = max(max_abs, float(gap.max()))
        if float(gap.max()) / scale >= relative:
            relative = float(gap.max()) / scale
            worst = int(gap.reshape(len(gap), -1).max(axis=1).argmax())
        tolerance = max(tolerance, float((gap / (1.0 + np.abs(ours))).max()))
    if not finite:
        return TensorDistance(math.inf, math.inf, math.inf, -math.inf, worst, False)
    return TensorDistance(max_abs, relative, tolerance, sqnr_db(reference, found), worst, True)


def sqnr_db(reference: Tensors, found: Tensors) -> float | None:
    """Signal to quantisation noise in decibels, over all outputs; None where there is no noise at all."""
    signal = noise = 0.0
    for name, value in reference.items():
        ours, theirs = _as_long_as_each_other(value.astype(np.float64), found[name].astype(np.float64))
        signal += float((ours**2).sum())
        noise += float(((theirs - ours) ** 2).sum())
    if noise == 0.0:
        return None
    return 10.0 * math.log10(signal / noise) if signal > 0.0 else -math.inf


def stack(parts: Sequence[Tensors]) -> Tensors:
    """Batches of outputs, one after the other.

    Answers for every step [samples, time, ...] are padded with zeros to the longest batch; of any other output all
    batches have one shape.
    """
    stacked: Tensors = {}
    for name, first in parts[0].items():
        values = [part[name] for part in parts]
        if first.ndim > 1:
            longest = max(value.shape[1] for value in values)
            values = [padded(value, longest) for value in values]
        stacked[name] = np.concatenate(values)
    return stacked


def padded(value: NDArray[Any], length: int) -> NDArray[Any]:
    """`value` [samples, time, ...] with zeros behind its steps, up to `length` of them."""
    if value.shape[1] >= length:
        return value
    return np.pad(value, [(0, 0), (0, length - value.shape[1])] + [(0, 0)] * (value.ndim - 2))


def _as_long_as_each_other(
    first: NDArray[np.float64], second: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if first.ndim < 2 or first.shape == second.shape or first.ndim != second.ndim:
        return first, second
    longest = max(first.shape[1], second.shape[1])
    return padded(first, longest), padded(second, longest)
