"""How sure a metric is over seeds, and which cells of a grid it cannot tell apart."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Spread", "cannot_tell_apart", "spread_of"]

_CONFIDENCE = 0.95


@dataclass(frozen=True)
class Spread:
    """A mean with its 95 % interval by Student's t; None where a single value says nothing of how sure it is."""

    mean: float
    interval: tuple[float, float] | None


def spread_of(values: Sequence[float], most: float = math.inf, least: float = -math.inf) -> Spread:
    """The mean of `values`, one for each seed, and its 95 % interval, cut off at `least` and `most`, which no value
    can pass.
    """
    count = len(values)
    mean = math.fsum(values) / count
    if count < 2 or not all(map(math.isfinite, values)):
        return Spread(mean, None)
    from scipy.stats import t

    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (count - 1))
    reach = float(t.ppf(0.5 + _CONFIDENCE / 2, count - 1)) * deviation / math.sqrt(count)
    return Spread(mean, (max(mean - reach, least), min(mean + reach, most)))


def cannot_tell_apart(best: Sequence[float], other: Sequence[float]) -> bool:
    """Whether the paired differences of two cells over the same seeds leave open which is better.

    With a single seed only equal figures do.
    """
    differences = [ours - theirs for ours, theirs in zip(best, other, strict=True)]
    found = spread_of(differences)
    if found.interval is None:
        return found.mean == 0.0
    return found.interval[0] <= 0.0 <= found.interval[1]
