"""What the measurements share: two sides alternated in one run, so that a drifting machine moves both."""

import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["Claim", "Ratio", "alternate", "print_claims"]


@dataclass(frozen=True)
class Ratio:
    """Seconds of both sides (median) and the median of the ratio of neighbouring calls, first over second."""

    first_s: float
    second_s: float
    ratio: float
    rounds: int


@dataclass(frozen=True)
class Claim:
    """One row of the README's table. `holds` says whether the measured figure keeps the promise."""

    what: str
    promised: str
    measured: str
    holds: bool


def alternate(first: Callable[[], Any], second: Callable[[], Any], rounds: int, warmup: int = 3) -> Ratio:
    """Call both in turn; who goes first changes each round, so that neither always finds the warmer cache."""
    for _ in range(warmup):
        first()
        second()
    pairs: list[tuple[float, float]] = []
    gc.collect()
    gc.disable()
    try:
        for number in range(rounds):
            times = {}
            for side in (first, second) if number % 2 == 0 else (second, first):
                before = time.perf_counter()
                side()
                times[side] = time.perf_counter() - before
            pairs.append((times[first], times[second]))
    finally:
        gc.enable()
    return Ratio(
        first_s=statistics.median(pair[0] for pair in pairs),
        second_s=statistics.median(pair[1] for pair in pairs),
        ratio=statistics.median(pair[0] / pair[1] for pair in pairs),
        rounds=rounds,
    )


def print_claims(claims: list[Claim]) -> int:
    """Print the claims as a Markdown table; the number of those that do not hold is the exit status."""
    print("| claim | promised | measured | holds |")
    print("| --- | --- | --- | --- |")
    for claim in claims:
        print(f"| {claim.what} | {claim.promised} | {claim.measured} | {'yes' if claim.holds else 'NO'} |")
    return sum(not claim.holds for claim in claims)
