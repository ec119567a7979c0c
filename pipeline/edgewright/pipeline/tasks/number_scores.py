"""The figures of a task that answers with numbers, from predictions and truth [N, T, K]. Plain numpy.

Where the truth is NaN nothing is counted. Figures of several targets are means over the targets, since these may
have different units.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Errors", "errors_of", "mean_over_targets"]

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
    known = ~np.isnan(truth)
    count = known.sum(axis=(0, 1))
    some = np.where(count > 0, count, np.nan)
    wanted = np.where(known, truth, 0.0).astype(np.float64)
    missed = np.where(known, predictions - wanted, 0.0)
    squares = (missed**2).sum(axis=(0, 1))
    mean = wanted.sum(axis=(0, 1)) / some
    spread = (np.where(known, wanted - mean, 0.0) ** 2).sum(axis=(0, 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        r2 = np.where(spread > 0, 1.0 - squares / spread, np.where(squares > 0, 0.0, 1.0))
    return Errors(
        r2=np.where(count > 0, r2, np.nan),
        rmse=np.sqrt(squares / some),
        mae=np.abs(missed).sum(axis=(0, 1)) / some,
        count=count,
    )


def mean_over_targets(figures: Numbers) -> float:
    """The mean of one figure over the targets that have it; 0 where none has."""
    known = figures[~np.isnan(figures)]
    return float(known.mean()) if known.size else 0.0
