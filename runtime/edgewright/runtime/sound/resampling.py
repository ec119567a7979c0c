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


_AT_ONCE = 1 << 20
"""Samples that are made at once."""

_LARGEST_BANK = 1 << 23
"""Numbers of the filters of all phases that are kept: 64 MB. Rates without a common factor have a phase for each hertz;
beyond that they are made anew for each piece, which takes longer.
"""


def _half(up: int, down: int) -> int:
    """How many samples a filter reaches to either side."""
    return math.ceil(_ZEROS / _cutoff(up, down))


def _cutoff(up: int, down: int) -> float:
    return _ROLL_OFF * min(1.0, up / down)


def _filters(phases: NDArray[np.intp], up: int, down: int) -> NDArray[np.float64]:
    """The filter [taps] of each of these phases."""
    cutoff, half = _cutoff(up, down), _half(up, down)
    # The output at position m lies at m x down / up in the input; its fraction takes `up` values.
    fractions = phases[:, np.newaxis] / up
    places = np.arange(-half + 1, half + 1) - fractions
    taper = np.i0(_BETA * np.sqrt(np.maximum(0.0, 1 - (places / half) ** 2))) / np.i0(_BETA)
    filters = cutoff * np.sinc(cutoff * places) * taper
    filters /= filters.sum(axis=1, keepdims=True)
    return filters


@functools.lru_cache(maxsize=16)
def _bank(up: int, down: int) -> NDArray[np.float64]:
    """Filters [up, taps] for every phase."""
    made = np.empty((up, 2 * _half(up, down)))
    for start in range(0, up, 1 << 10):
        made[start : start + (1 << 10)] = _filters(np.arange(start, min(start + (1 << 10), up)), up, down)
    return made


class _Filters:
    """The filters from one rate to another: `taps` is how long they are, each begins `before` samples before its
    centre.
    """

    def __init__(self, up: int, down: int) -> None:
        half = _half(up, down)
        self._rates = up, down
        self.taps, self.before = 2 * half, half - 1
        self._bank = _bank(up, down) if self.taps * up <= _LARGEST_BANK else None

    def of(self, phases: NDArray[np.intp]) -> NDArray[np.float64]:
        """The filter [taps] of each of these phases."""
        return self._bank[phases] if self._bank is not None else _filters(phases, *self._rates)


def resample_audio(samples: NDArray[np.float32], rate: int, wanted: int) -> NDArray[np.float32]:
    """float32 samples [n] at `rate` Hz to [ceil(n x wanted / rate)] at `wanted` Hz."""
    if rate == wanted or not len(samples):
        return samples
    shared = math.gcd(rate, wanted)
    up, down = wanted // shared, rate // shared
    filters = _Filters(up, down)
    count = -(-len(samples) * up // down)
    padded = np.concatenate((np.zeros(filters.before), samples.astype(np.float64), np.zeros(filters.taps)))
    result = np.empty(count, np.float32)
    for start in range(
        0, count, _AT_ONCE
    ):  # the places of all of them would take twice the memory of the sound
        places = np.arange(start, min(start + _AT_ONCE, count)) * down
        result[start : start + _AT_ONCE] = _filtered(padded, places, up, filters)
    return result


def _filtered(
    padded: NDArray[np.float64], places: NDArray[np.int64], up: int, filters: _Filters
) -> NDArray[np.float32]:
    """The output at each of `places`, in parts of `up` of a sample, whose windows begin there in `padded`."""
    windows = np.lib.stride_tricks.sliding_window_view(padded, filters.taps)
    result = np.empty(len(places), np.float32)
    piece = max(1, min(1 << 14, (1 << 21) // filters.taps))
    for start in range(0, len(places), piece):  # a piece at a time, to bound the memory
        some = places[start : start + piece]
        result[start : start + piece] = np.einsum("ij,ij->i", windows[some // up], filters.of(some % up))
    return result


class StreamResampler:
    """Sound in pieces from `rate` to `wanted` Hz: the samples that `resample_audio` makes of the whole, as far as what
    has come decides them. The newest 32 periods of the lower rate, a few milliseconds, wait for what comes after them.
    """

    def __init__(self, rate: int, wanted: int) -> None:
        shared = math.gcd(rate, wanted)
        self._up, self._down = wanted // shared, rate // shared
        self._same = rate == wanted
        self._filters = _Filters(self._up, self._down)
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        # The window of the next output begins at the first sample that is kept, `_phase` parts of it later.
        self._kept, self._phase = np.zeros(0 if self._same else self._filters.before, np.float32), 0

    def push(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """What these samples complete."""
        if self._same:
            return samples
        kept = np.concatenate((self._kept, samples))
        whole = len(kept) - self._filters.taps + 1  # windows
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
        kept = np.zeros(0 if self._same else self._filters.taps, np.float32)
        kept[: len(self._kept)] = self._kept
        return kept, np.array([len(self._kept), self._phase], np.int64)

    def restore(self, kept: NDArray[np.float32], places: NDArray[np.int64]) -> bool:
        """Go on from what `state` returned; False, with nothing changed, for what no state has."""
        length, phase = (int(place) for place in places)
        if not 0 <= length <= len(kept) or not 0 <= phase < self._up:
            return False
        self._kept, self._phase = kept[:length].copy(), phase
        return True
