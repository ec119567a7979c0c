"""Sound from one sample rate to another, in plain numpy: a windowed sinc, one short filter for each phase."""

import functools
import math

import numpy as np
from numpy.typing import NDArray

_ZEROS = 32
"""Zero crossings of the sinc on either side: how steep the filter is."""

_BETA = 12.0
"""Of the Kaiser window: the stop band lies 118 dB below."""

_ROLL_OFF = 0.945
"""Share of the lower half rate that passes unchanged."""


@functools.lru_cache(maxsize=16)
def _filters(up: int, down: int) -> tuple[NDArray[np.float64], int]:
    """Filters [up, taps] for each phase, and how many samples before the centre each begins."""
    cutoff = _ROLL_OFF * min(1.0, up / down)
    half = math.ceil(_ZEROS / cutoff)
    # The output at position m lies at m x down / up in the input; its fraction takes `up` values.
    fractions = np.arange(up)[:, np.newaxis] / up
    places = np.arange(-half + 1, half + 1) - fractions
    taper = np.i0(_BETA * np.sqrt(np.maximum(0.0, 1 - (places / half) ** 2))) / np.i0(_BETA)
    filters = cutoff * np.sinc(cutoff * places) * taper
    filters /= filters.sum(axis=1, keepdims=True)
    return filters, half - 1


def resample_audio(samples: NDArray[np.float32], rate: int, wanted: int) -> NDArray[np.float32]:
    """float32 samples [n] at `rate` Hz to [ceil(n x wanted / rate)] at `wanted` Hz."""
    if rate == wanted or not len(samples):
        return samples
    shared = math.gcd(rate, wanted)
    up, down = wanted // shared, rate // shared
    filters, before = _filters(up, down)
    count = -(-len(samples) * up // down)
    padded = np.concatenate((np.zeros(before), samples.astype(np.float64), np.zeros(filters.shape[1])))
    return _filtered(padded, np.arange(count) * down, up, filters)


def _filtered(
    padded: NDArray[np.float64], places: NDArray[np.int64], up: int, filters: NDArray[np.float64]
) -> NDArray[np.float32]:
    """The output at each of `places`, in parts of `up` of a sample, whose windows begin there in `padded`."""
    windows = np.lib.stride_tricks.sliding_window_view(padded, filters.shape[1])
    result = np.empty(len(places), np.float32)
    for start in range(0, len(places), 1 << 14):  # a piece at a time, to bound the memory
        some = places[start : start + (1 << 14)]
        result[start : start + (1 << 14)] = np.einsum("ij,ij->i", windows[some // up], filters[some % up])
    return result


class StreamResampler:
    """Sound in pieces from `rate` to `wanted` Hz: the samples that `resample_audio` makes of the whole, as far as what
    has come decides them. The newest 32 periods of the lower rate, a few milliseconds, wait for what comes after them.
    """

    def __init__(self, rate: int, wanted: int) -> None:
        shared = math.gcd(rate, wanted)
        self._up, self._down = wanted // shared, rate // shared
        self._same = rate == wanted
        self._filters, self._before = _filters(self._up, self._down)
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        # The window of the next output begins at the first sample that is kept, `_phase` parts of it later.
        self._kept, self._phase = np.zeros(0 if self._same else self._before, np.float32), 0

    def push(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """What these samples complete."""
        if self._same:
            return samples
        kept = np.concatenate((self._kept, samples))
        whole = len(kept) - self._filters.shape[1] + 1  # windows
        count = max(0, -(-(whole * self._up - self._phase) // self._down))
        places = self._phase + np.arange(count + 1) * self._down
        found = (
            _filtered(kept.astype(np.float64), places[:-1], self._up, self._filters)
            if count
            else np.zeros(0, np.float32)
        )
        self._kept, self._phase = kept[places[-1] // self._up :].copy(), int(places[-1] % self._up)
        return found

    def state(self) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """What it remembers: samples, always as many, and how many of them count with the phase."""
        kept = np.zeros(0 if self._same else self._filters.shape[1], np.float32)
        kept[: len(self._kept)] = self._kept
        return kept, np.array([len(self._kept), self._phase], np.int64)

    def restore(self, kept: NDArray[np.float32], places: NDArray[np.int64]) -> bool:
        """Go on from what `state` returned; False, with nothing changed, for what no state has."""
        length, phase = (int(place) for place in places)
        if not 0 <= length <= len(kept) or not 0 <= phase < self._up:
            return False
        self._kept, self._phase = kept[:length].copy(), phase
        return True
