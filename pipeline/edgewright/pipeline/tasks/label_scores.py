"""The figures of answers with any number of labels, from what was chosen and what holds."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def f1_of(hits: float, predicted: float, true: float) -> float:
    """The harmonic mean of precision and recall; 1 where there is nothing to find and nothing was found."""
    either = predicted + true
    return 2.0 * hits / either if either else 1.0


def micro_f1(chosen: NDArray[Any], holds: NDArray[Any]) -> float:
    """F1 over all labels of all samples together; both are [N, labels] of 0 and 1."""
    return f1_of(float((chosen * holds).sum()), float(chosen.sum()), float(holds.sum()))


def macro_f1(chosen: NDArray[Any], holds: NDArray[Any]) -> float:
    """The mean F1 of the labels that were chosen or hold somewhere; both are [N, labels] of 0 and 1."""
    return mean_f1((chosen * holds).sum(axis=0), chosen.sum(axis=0) + holds.sum(axis=0))


def mean_f1(hits: NDArray[Any], either: NDArray[Any]) -> float:
    """The mean F1 of the labels that occur, from how often each was chosen rightly, and was chosen or holds; both are
    [labels]. 1 where none occurs.
    """
    occurs = either > 0
    return float(np.mean(2.0 * hits[occurs] / either[occurs])) if occurs.any() else 1.0


def mean_auroc(scores: NDArray[Any], targets: NDArray[Any]) -> float:
    """The mean area under the ROC curve of the labels that hold for some samples and not for others; 0.5 without any.

    `scores` is [N, labels], greater where a label is more probable.
    """
    from scipy.stats import rankdata

    areas = []
    for column, holds in zip(scores.T.astype(np.float64), (targets > 0.5).T, strict=True):
        count, rest = int(holds.sum()), int((~holds).sum())
        if count and rest:
            ranks = rankdata(column)  # ties share their mean rank
            areas.append((ranks[holds].sum() - count * (count + 1) / 2) / (count * rest))
    return float(np.mean(areas)) if areas else 0.5
