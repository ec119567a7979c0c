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


class Distances:
    """Compares two models' outputs part by part and keeps none of them."""

    def __init__(self) -> None:
        self._samples = 0
        self._widest: dict[str, tuple[float, int]] = {}
        self._scales: dict[str, float] = {}
        self._tolerance = self._signal = self._noise = 0.0
        self._broken: int | None = None

    def add(self, reference: Tensors, found: Tensors) -> None:
        """Compare the outputs of some more samples, of the same names and shapes, the leading axis being the samples.

        Of outputs with an answer for every step, the shorter ones count as padded with zeros.
        """
        first = self._samples
        for name, wanted in reference.items():
            ours, theirs = _as_long_as_each_other(wanted.astype(np.float64), found[name].astype(np.float64))
            self._samples = first + len(ours)
            finite = np.isfinite(theirs.reshape(len(theirs), -1)).all(axis=1)
            if self._broken is None and not finite.all():
                self._broken = first + int(np.argmin(finite))
            if self._broken is not None:
                continue
            gaps, size = np.abs(theirs - ours), np.abs(ours)
            widest = gaps.reshape(len(gaps), -1).max(axis=1)
            if name not in self._widest or widest.max() > self._widest[name][0]:
                self._widest[name] = float(widest.max()), first + int(widest.argmax())
            self._scales[name] = max(self._scales.get(name, 0.0), float(size.max()))
            self._tolerance = max(self._tolerance, float((gaps / (1.0 + size)).max()))
            self._signal += float((ours**2).sum())
            self._noise += float(((theirs - ours) ** 2).sum())

    def result(self) -> TensorDistance:
        """How far all that was added is apart."""
        if self._broken is not None:
            return TensorDistance(math.inf, math.inf, math.inf, -math.inf, self._broken, False)
        relative, worst = 0.0, 0
        for name, (gap, sample) in self._widest.items():
            share = gap / (self._scales[name] or 1.0)
            if share >= relative:
                relative, worst = share, sample
        widest = max((gap for gap, _ in self._widest.values()), default=0.0)
        return TensorDistance(
            widest, relative, self._tolerance, _decibels(self._signal, self._noise), worst, True
        )


def distance(reference: Tensors, found: Tensors) -> TensorDistance:
    """Compare two sets of outputs, see `Distances.add`."""
    both = Distances()
    both.add(reference, found)
    return both.result()


def sqnr_db(reference: Tensors, found: Tensors) -> float | None:
    """Signal to quantisation noise in decibels, over all outputs; None where there is no noise at all."""
    signal = noise = 0.0
    for name, value in reference.items():
        ours, theirs = _as_long_as_each_other(value.astype(np.float64), found[name].astype(np.float64))
        signal += float((ours**2).sum())
        noise += float(((theirs - ours) ** 2).sum())
    return _decibels(signal, noise)


def _decibels(signal: float, noise: float) -> float | None:
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
