"""How far two outputs are apart."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from edgewright.runtime.contracts import Tensors


@dataclass(frozen=True)
class TensorDistance:
    """Outputs against torch's. `relative` is `max_abs` over the largest absolute value torch gave, per
    output, worst.

    `passing_tolerance` is the smallest t for which |difference| <= t + t * |torch| holds everywhere
    (numpy.allclose with rtol = atol = t). `sqnr_db` is None where the two are bit-equal. `worst` is the sample
    of the largest relative difference.
    """

    max_abs: float
    relative: float
    passing_tolerance: float
    sqnr_db: float | None
    worst: int
    finite: bool


class Distances:
    """Compares two models' outputs sample by sample and keeps none of them."""

    def __init__(self) -> None:
        self._samples = 0
        self._widest: dict[str, tuple[float, int]] = {}
        self._scales: dict[str, float] = {}
        self._tolerance = self._signal = self._noise = 0.0
        self._broken: int | None = None

    def add(self, reference: Tensors, found: Tensors) -> None:
        """Compare the outputs of one more sample. An output of another shape is infinitely far apart."""
        place, self._samples = self._samples, self._samples + 1
        for name, wanted in reference.items():
            ours, theirs = wanted.astype(np.float64), found[name].astype(np.float64)
            if self._broken is None and not np.isfinite(theirs).all():
                self._broken = place
            if self._broken is not None:
                return
            self._scales[name] = max(self._scales.get(name, 0.0), float(np.abs(ours).max(initial=0.0)))
            widest = math.inf
            if ours.shape == theirs.shape:
                gaps = np.abs(theirs - ours)
                widest = float(gaps.max(initial=0.0))
                share = float((gaps / (1.0 + np.abs(ours))).max(initial=0.0))
                self._tolerance = max(self._tolerance, share)
                self._signal += float((ours**2).sum())
                self._noise += float((gaps**2).sum())
            else:
                self._tolerance = self._noise = math.inf
            if name not in self._widest or widest > self._widest[name][0]:
                self._widest[name] = widest, place

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


def distance(reference: Iterable[Tensors], found: Iterable[Tensors]) -> TensorDistance:
    """Compare the outputs of samples, see `Distances.add`."""
    both = Distances()
    for ours, theirs in zip(reference, found, strict=True):
        both.add(ours, theirs)
    return both.result()


def _decibels(signal: float, noise: float) -> float | None:
    if noise == 0.0:
        return None
    return 10.0 * math.log10(signal / noise) if signal > 0.0 and noise < math.inf else -math.inf
