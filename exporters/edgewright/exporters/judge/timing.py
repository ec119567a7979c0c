"""Latency of one sample, torch and every variant taken in turn, so that a busy machine slows them all alike."""

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

_QUICK_MS = 5.0
"""A call that takes longer fills the cache itself many times over."""


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

    The sides take their turns in another order each round, and a quick one is called once before it is timed: else the
    one that always follows torch would find the cache full of torch's. `rounds` are the fewest and the most.
    """
    names = list(sides)
    times: dict[str, list[float]] = {name: [] for name in names}
    latest = {name: _milliseconds(sides[name]) for name in names}
    latest = {name: _milliseconds(sides[name]) for name in names}
    order = random.Random(0)
    started = time.perf_counter()
    for count in range(rounds[1]):
        if count >= rounds[0] and time.perf_counter() - started > seconds:
            break
        order.shuffle(names)
        for name in names:
            if latest[name] < _QUICK_MS:
                sides[name]()
            latest[name] = _milliseconds(sides[name])
            times[name].append(latest[name])
    return {
        name: Latency(float(np.percentile(values, 50)), float(np.percentile(values, 95)), tuple(values))
        for name, values in times.items()
    }


def _milliseconds(call: Callable[[], object]) -> float:
    before = time.perf_counter()
    call()
    return (time.perf_counter() - before) * 1e3
