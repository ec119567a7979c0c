"""The learning rate as a pure function of how far a phase has come."""

import math

_WARM = 0.25
_START = 1 / 25
_END = 1e-5


def _between(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


def rate_factor(schedule: str, step: int, steps: int, warmup: float = 0.0) -> float:
    """What the peak rate is multiplied by at `step` (from 0) of `steps`, 0 to 1.

    one-cycle rises from 1/25 to 1 over the first quarter and falls to 1e-5, along cosines; cosine falls from
    1 to nearly 0; linear rises in equal steps over the share `warmup` of them, then falls in equal steps and would
    be 0 one step after the last; constant is 1.
    """
    if schedule == "constant" or steps <= 1:
        return 1.0
    if schedule == "linear":
        warm = min(round(warmup * steps), steps - 1)
        return (step + 1) / warm if step < warm else (steps - step) / (steps - warm)
    share = step / (steps - 1)
    if schedule == "cosine":
        return _between(1.0, _END, share)
    if schedule == "one-cycle":
        if share < _WARM:
            return _between(_START, 1.0, share / _WARM)
        return _between(1.0, _END, (share - _WARM) / (1 - _WARM))
    raise ValueError(f"unknown schedule {schedule!r}")
