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
    centres = np.arange(count) * down // up
    phases = np.arange(count) * down % up
    padded = np.concatenate((np.zeros(before), samples, np.zeros(filters.shape[1])))
    windows = np.lib.stride_tricks.sliding_window_view(padded, filters.shape[1])
    result = np.empty(count, np.float32)
    for start in range(0, count, 1 << 14):  # a piece at a time, to bound the memory
        part = slice(start, start + (1 << 14))
        result[part] = np.einsum("ij,ij->i", windows[centres[part]], filters[phases[part]])
    return result
