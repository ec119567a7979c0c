"""The figures of a task that answers with numbers, from predictions and truth [N, T, K]. Plain numpy.

Where the truth is NaN nothing is counted. Figures of several targets are means over the targets, since these may
have different units.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.floating]


@dataclass(frozen=True)
class Errors:
    """How far predictions lie from the truth, for each target [K]: NaN for a target that is nowhere known.

    `count` is how many values are known.
    """

    r2: NDArray[np.float64]
    rmse: NDArray[np.float64]
    mae: NDArray[np.float64]
    count: NDArray[np.int64]


def errors_of(predictions: Numbers, truth: Numbers) -> Errors:
    """The errors of predictions [N, T, K], in the units of `truth` [N, T, K]. R2 of a constant truth is 0, or 1
    where it is met exactly.
    """
    count = truth.shape[-1]
    r2, rmse, mae = (np.full(count, np.nan) for _ in range(3))
    known = np.zeros(count, np.int64)
    missed = (
        predictions - truth
    )  # NaN where the truth is: an interval takes thousands of calls, so few passes
    for target in range(count):
        gaps = missed[..., target].ravel()
        there = ~np.isnan(gaps)
        gaps, wanted = gaps[there], truth[..., target].ravel()[there]
        known[target] = len(gaps)
        if len(gaps):
            wanted = wanted - wanted.mean()
            squares, spread = float(np.square(gaps).sum()), float(np.square(wanted).sum())
            r2[target] = 1.0 - squares / spread if spread > 0 else float(squares == 0)
            rmse[target], mae[target] = np.sqrt(squares / len(gaps)), np.abs(gaps).mean()
    return Errors(r2, rmse, mae, known)


def mean_over_targets(figures: Numbers) -> float:
    """The mean of one figure over the targets that have it; 0 where none has."""
    known = figures[~np.isnan(figures)]
    return float(known.mean()) if known.size else 0.0
