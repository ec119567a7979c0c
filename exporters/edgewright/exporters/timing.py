"""Latency of one sample, torch and every variant taken in turn, so that a busy machine slows them all alike."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

__all__ = ["Latency", "measure_latency"]


@dataclass(frozen=True)
class Latency:
    """Milliseconds of one call: median, 95th percentile, and every round's time for ratios."""

    p50_ms: float
    p95_ms: float
    rounds: tuple[float, ...]

    def times_as_fast_as(self, other: "Latency") -> float:
        """The median over the rounds of the other's time divided by this one's."""
        return float(np.median(np.asarray(other.rounds) / np.asarray(self.rounds)))


def measure_latency(
    sides: Mapping[str, Callable[[], object]], seconds: float = 3.0, rounds: tuple[int, int] = (7, 200)
) -> dict[str, Latency]:
    """Call every side once per round, after two rounds of warm-up, for about `seconds` in all.

    The order turns by one each round: a side does not always follow the same neighbour's cache. `rounds` are
    the fewest and the most.
    """
    names = list(sides)
    for _ in range(2):
        for name in names:
            sides[name]()
    times: dict[str, list[float]] = {name: [] for name in names}
    started = time.perf_counter()
    for count in range(rounds[1]):
        if count >= rounds[0] and time.perf_counter() - started > seconds:
            break
        turn = count % len(names)
        for name in names[turn:] + names[:turn]:
            before = time.perf_counter()
            sides[name]()
            times[name].append((time.perf_counter() - before) * 1e3)
    return {
        name: Latency(float(np.percentile(values, 50)), float(np.percentile(values, 95)), tuple(values))
        for name, values in times.items()
    }
