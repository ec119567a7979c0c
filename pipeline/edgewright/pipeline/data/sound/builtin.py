"""A built-in set of sounds, made by numpy: tones, sweeps, warbles and noise of random pitch, level and background.

Nobody spoke or recorded them. They are for trying out the way from sound to bundle, not for judging a model by.
"""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

SoundSet = tuple[tuple[str, ...], list[tuple[str, NDArray[np.float32], int]]]
"""The classes, and (id, samples from -1 to 1, index of the class) of each sound."""

SOUND_CLASSES = ("falling", "noise", "rising", "steady", "warble")

_OF_EACH = 200


def tones(sample_rate: int) -> SoundSet:
    """200 sounds of each class, 0.5 to 1.0 seconds long, at `sample_rate` Hz; always the same."""
    rows = []
    for target, kind in enumerate(SOUND_CLASSES):
        for number in range(_OF_EACH):
            draws = np.random.default_rng([target, number])
            rows.append((f"{kind}/{number:03d}", _sound(kind, sample_rate, draws), target))
    return SOUND_CLASSES, rows


def _sound(kind: str, sample_rate: int, draws: np.random.Generator) -> NDArray[np.float32]:
    count = int(draws.uniform(0.5, 1.0) * sample_rate)
    time = np.arange(count) / sample_rate
    pitch = draws.uniform(110.0, 330.0)
    share = time / time[-1]
    bend = draws.uniform(0.8, 1.6)  # octaves
    pitches: Mapping[str, Callable[[], NDArray[np.float64]]] = {
        "steady": lambda: np.full(count, pitch),
        "rising": lambda: pitch * 2.0 ** (bend * share),
        "falling": lambda: pitch * 2.0 ** (bend * (1.0 - share)),
        "warble": lambda: pitch * 2.0 ** (0.3 * np.sin(2 * np.pi * draws.uniform(4.0, 8.0) * time)),
    }
    if kind == "noise":
        wave = np.convolve(draws.normal(size=count + 7), np.full(8, 1 / 8), "valid") * 4.0
    else:
        phase = 2 * np.pi * np.cumsum(pitches[kind]()) / sample_rate
        harmonics = draws.uniform(0.2, 1.0, 8) / np.arange(1, 9)  # a voice is a stack of harmonics
        wave = sum(
            (strength * np.sin((order + 1) * phase) for order, strength in enumerate(harmonics)),
            np.zeros(count),
        )
    wave = wave / np.abs(wave).max() * np.hanning(count) ** 0.25  # fades in and out, as sounds do
    background = draws.normal(size=count) * 10.0 ** (-draws.uniform(10.0, 30.0) / 20.0)
    level = 10.0 ** (-draws.uniform(6.0, 26.0) / 20.0)
    sound = (wave + background) * level / 2.0
    clipped: NDArray[np.float32] = np.clip(sound, -1.0, 1.0).astype(np.float32)
    return clipped


SOUND_SETS: Mapping[str, Callable[[int], SoundSet]] = {"tones": tones}
"""Name to the function that makes it at a sample rate; `data: builtin:NAME` in a recipe."""
