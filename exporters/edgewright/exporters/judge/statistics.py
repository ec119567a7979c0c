"""How far two models are apart on the same samples, and how sure that is."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgewright.exporters.reference import Metric

CONFIDENCE = 0.95

_RESAMPLES = (199, 999)
_RESAMPLED_NUMBERS = (
    300_000_000  # over all resamples, of one model's evidence: half a minute, however long a sample is
)


@dataclass(frozen=True)
class Difference:
    """How much the metric fell from torch to the variant (positive: worse) with its 95 % interval."""

    drop: float
    low: float
    high: float
    method: str


def metric_difference(metric: Metric, torch: NDArray[Any], variant: NDArray[Any]) -> Difference:
    """How far the metric fell, from the evidence of torch's answers and of the variant's."""
    if metric.outcomes is not None:
        return paired_difference(metric.outcomes(torch), metric.outcomes(variant))
    numbers = sum(np.size(one) for one in torch)
    resamples = max(_RESAMPLES[0], min(_RESAMPLES[1], _RESAMPLED_NUMBERS // max(numbers, 1)))

    def both(rows: NDArray[np.intp]) -> tuple[float, float]:
        return metric.merit(metric.of(torch[rows])), metric.merit(metric.of(variant[rows]))

    return bootstrap_difference(both, len(torch), resamples)


def paired_difference(torch_correct: NDArray[np.bool_], variant_correct: NDArray[np.bool_]) -> Difference:
    """Difference of two proportions on the same samples, by Newcombe's method 10 (Statistics in Medicine 17,
    1998).

    Wilson intervals of the two proportions, combined with their correlation: it holds for few samples and for
    proportions near 1, where the textbook interval collapses to a point.
    """
    first, second = np.asarray(torch_correct, bool), np.asarray(variant_correct, bool)
    count = len(first)
    both, only_first = int((first & second).sum()), int((first & ~second).sum())
    only_second, neither = int((~first & second).sum()), int((~first & ~second).sum())
    p1, p2 = (both + only_first) / count, (both + only_second) / count
    low1, high1 = _wilson(p1, count)
    low2, high2 = _wilson(p2, count)
    margins = (both + only_first) * (only_second + neither) * (both + only_second) * (only_first + neither)
    phi = 0.0
    if margins:
        numerator = float(both * neither - only_first * only_second)
        if numerator > count / 2:
            numerator = numerator - count / 2
        elif numerator > 0:
            numerator = 0.0
        phi = numerator / math.sqrt(margins)
    drop = p1 - p2
    below = (p1 - low1) ** 2 - 2 * phi * (p1 - low1) * (high2 - p2) + (high2 - p2) ** 2
    above = (high1 - p1) ** 2 - 2 * phi * (high1 - p1) * (p2 - low2) + (p2 - low2) ** 2
    return Difference(
        drop,
        drop - math.sqrt(max(below, 0.0)),
        drop + math.sqrt(max(above, 0.0)),
        "Newcombe, paired proportions",
    )


def _wilson(p: float, count: int) -> tuple[float, float]:
    from scipy.stats import norm

    z = float(norm.ppf(0.5 + CONFIDENCE / 2))
    centre = 2 * count * p + z * z
    spread = z * math.sqrt(z * z + 4 * count * p * (1 - p))
    scale = 2 * (count + z * z)
    return (centre - spread) / scale, (centre + spread) / scale


def bootstrap_difference(
    metric: Callable[[NDArray[np.intp]], tuple[float, float]], count: int, resamples: int = 999, seed: int = 0
) -> Difference:
    """Difference of any metric by paired bootstrap: both models are measured on the same resampled rows.

    `metric` takes row indices and returns (torch's value, the variant's value).
    """
    torch_value, variant_value = metric(np.arange(count))

    def drop(rows: NDArray[np.intp]) -> float:
        first, second = metric(rows)
        return first - second

    from scipy.stats import bootstrap  # a second of imports, which most verdicts can do without

    found = bootstrap(
        (np.arange(count),),
        drop,
        vectorized=False,
        n_resamples=resamples,
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    interval = found.confidence_interval
    return Difference(
        torch_value - variant_value, float(interval.low), float(interval.high), "paired bootstrap"
    )
