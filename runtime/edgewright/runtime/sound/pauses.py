"""Where one sound ends and the next begins: a pause is so many quiet frames one after another."""

import math

import numpy as np
from numpy.typing import NDArray

BELOW = 30.0
"""dB below the loudest frame of a sound, from where on a frame of it is quiet."""

SILENT = -60.0
"""dB of full scale, from where on any frame is quiet."""


class Pauses:
    """Frames as they come, told apart into those of sounds and those of the pauses between them.

    `pause` is how many quiet frames end a sound; None: everything is one sound. The next begins `onset` frames after
    the first that is not quiet any more: those before still hold the end of the pause.
    """

    def __init__(self, pause: int | None, onset: int = 0) -> None:
        self._pause, self._onset = pause, onset
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._loudest, self._quiet, self._paused, self._waiting = -math.inf, 0, False, 0

    def push(self, levels: NDArray[np.float64]) -> tuple[NDArray[np.intp], frozenset[int], frozenset[int]]:
        """`levels` are those of new frames, in dB. Which of them belong to a sound, before which of those a new sound
        begins, and which of those are quiet.
        """
        if self._pause is None:
            return np.arange(len(levels)), frozenset(), frozenset()
        heard: list[int] = []
        begins: set[int] = set()
        silent: set[int] = set()
        for place, level in enumerate(levels.tolist()):
            quiet = level < max(self._loudest - BELOW, SILENT)
            if self._paused:
                if quiet and not self._waiting:
                    continue
                self._waiting = self._waiting - 1 if self._waiting else self._onset
                if self._waiting:
                    continue
                begins.add(len(heard))
                self._loudest, self._quiet, self._paused, quiet = level, 0, False, False
            if quiet:
                silent.add(len(heard))
            heard.append(place)
            self._loudest = max(self._loudest, level)
            self._quiet = self._quiet + 1 if quiet else 0
            self._paused = self._quiet >= self._pause
        return np.array(heard, np.intp), frozenset(begins), frozenset(silent)

    def state(self) -> NDArray[np.float64]:
        """What it remembers."""
        return np.array([max(self._loudest, -1e9), self._quiet, self._paused, self._waiting], np.float64)

    def restore(self, state: NDArray[np.float64]) -> None:
        """Go on from what `state` returned."""
        loudest, quiet, paused, waiting = state.tolist()
        self._loudest, self._quiet, self._paused, self._waiting = (
            loudest,
            int(quiet),
            bool(paused),
            int(waiting),
        )


def is_silence(levels: NDArray[np.float64]) -> bool:
    """Whether all frames of a sound are quiet."""
    return bool((levels < SILENT).all())


def longest_pause(levels: NDArray[np.float64]) -> int:
    """The most quiet frames in a row, of a sound whose frames have these levels, after which it goes on."""
    loudest, quiet, longest = -math.inf, 0, 0
    for level in levels.tolist():
        if level < max(loudest - BELOW, SILENT):
            quiet += 1
            continue
        longest, quiet, loudest = max(longest, quiet), 0, max(loudest, level)
    return longest


def lead(samples: NDArray[np.float32], hop: int) -> int:
    """How many stretches of `hop` samples a sound has before its first that is not quiet."""
    whole = samples[: len(samples) // hop * hop].reshape(-1, hop)
    levels = 10 * np.log10(np.maximum(np.square(whole, dtype=np.float64).mean(axis=1), 1e-10))
    loud = np.flatnonzero(levels >= max(levels.max(initial=SILENT) - BELOW, SILENT))
    return int(loud[0]) if len(loud) else 0
