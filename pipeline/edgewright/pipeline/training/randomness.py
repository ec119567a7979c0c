"""Randomness without state: every draw is decided by the seed and by what it is for, never by what was drawn
before.

So a run that resumes at step k draws what the undisturbed run drew at step k.
"""

import functools
import hashlib

import numpy as np
import torch


def derive_seed(*parts: int | str) -> int:
    """A seed of 63 bits from a run's seed and a purpose, such as `(7, "order", epoch)`."""
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(*parts: int | str) -> np.random.Generator:
    """A numpy generator seeded by `derive_seed`."""
    return np.random.Generator(np.random.PCG64(derive_seed(*parts)))


def seed_torch(*parts: int | str) -> None:
    """Seed torch's own generators (dropout, stochastic depth) by `derive_seed`."""
    seed = derive_seed(*parts)
    if _has_accelerator():
        torch.manual_seed(seed)
    else:  # on a CPU alone torch.manual_seed would keep a note, with a stack trace, for devices that never start
        torch.default_generator.manual_seed(seed)


@functools.cache
def _has_accelerator() -> bool:
    return torch.accelerator.is_available()
