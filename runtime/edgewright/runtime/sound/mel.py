"""Log-mel frames of a waveform, in plain numpy: the same frames to the last bit however the sound arrives."""

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgewright.runtime.bundle.structure import StructureError, from_plain
from edgewright.runtime.errors import BundleError, InputError

_FLOOR = 1e-10
"""The least power; below it is silence."""


_BLOCK, _BLOCK_SAMPLES = 512, 1 << 21
"""Frames, and samples of them, that are transformed at once, to bound the memory."""

_MOST_WEIGHTS = 1 << 24
"""Of all bands together: 128 MB, a hundred times what speech is heard with."""

_MOST_NUMBERS = 1 << 28
"""That all frames of a sound may consist of: a gigabyte, ten hours of speech."""


@dataclass(frozen=True)
class AudioSettings:
    """How sound becomes tensors; it stands in the manifest as `processor`.

    `sample_rate`, `low_hz` and `high_hz` are in Hz; `window`, `hop` and `fft` in samples. Each frame takes `fft`
    samples, of which a Hann window of `window` in the middle counts. `mean` and `std` have one number for each of the
    `mels` bands. Sound of another rate is resampled or refused, as `other_rate` says; longer than `max_seconds` is
    refused. Channels are averaged when `mono` is set, otherwise more than one is refused. Raises `ValueError` for
    settings that no sound can meet.
    """

    sample_rate: int
    window: int
    hop: int
    fft: int
    mels: int
    low_hz: float
    high_hz: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    max_seconds: float | None = None
    other_rate: str = "resample"
    mono: bool = True

    def __post_init__(self) -> None:
        if not 100 <= self.sample_rate <= 1_000_000:
            raise ValueError(f"sample_rate {self.sample_rate} must lie between 100 and 1000000 Hz")
        if not 1 <= self.window <= self.fft <= 1 << 20 or not 1 <= self.hop <= 1 << 20:
            raise ValueError(f"window {self.window}, hop {self.hop} and fft {self.fft} do not fit together")
        if not 1 <= self.mels <= self.fft // 2 + 1:
            raise ValueError(f"mels {self.mels} must lie between 1 and half of the fft")
        if self.mels * (self.fft // 2 + 1) > _MOST_WEIGHTS:
            raise ValueError(f"mels {self.mels} and fft {self.fft} make more than {_MOST_WEIGHTS} weights")
        if not 0 <= self.low_hz < self.high_hz <= self.sample_rate / 2:
            raise ValueError(
                f"low_hz {self.low_hz} and high_hz {self.high_hz} must lie between 0 and half of the sample rate"
            )
        if len(self.mean) != self.mels or len(self.std) != self.mels:
            raise ValueError(f"mean and std need a number for each of the {self.mels} mels")
        if not all(map(math.isfinite, (*self.mean, *self.std))) or any(value <= 0 for value in self.std):
            raise ValueError("mean must be finite, std positive")
        if self.other_rate not in ("resample", "refuse"):
            raise ValueError(f"other_rate {self.other_rate!r} is not one of resample, refuse")
        if self.max_seconds is not None and not 0 < self.max_seconds < math.inf:
            raise ValueError(f"max_seconds {self.max_seconds} must be positive")


def audio_settings(processor: Mapping[str, Any]) -> AudioSettings:
    """The settings from a manifest's `processor`. Raises `BundleError` naming what is wrong."""
    try:
        return from_plain(AudioSettings, dict(processor), "processor")
    except (StructureError, ValueError) as error:
        raise BundleError(
            f"the audio settings cannot be used: {error}: get a fresh copy of the bundle"
        ) from None


@functools.cache
def mel_filters(settings: AudioSettings) -> NDArray[np.float64]:
    """The mel bands [mels, fft // 2 + 1]: triangles of equal area on Slaney's scale, as librosa makes them."""
    bins = np.arange(settings.fft // 2 + 1) * (settings.sample_rate / settings.fft)
    low, high = _mel(settings.low_hz), _mel(settings.high_hz)
    edges = _hertz(np.linspace(low, high, settings.mels + 2))
    slopes = edges[:, np.newaxis] - bins
    widths = np.diff(edges)[:, np.newaxis]
    filters = np.maximum(0, np.minimum(-slopes[:-2] / widths[:-1], slopes[2:] / widths[1:]))
    filters *= (2.0 / (edges[2:] - edges[:-2]))[:, np.newaxis]
    filters.setflags(write=False)
    return filters


# Slaney's scale: linear to 1000 Hz, which is mel 15, and 27 steps for each factor of 6.4 above it.
_KNEE_HZ, _KNEE_MEL, _LOG_STEP = 1000.0, 15.0, math.log(6.4) / 27.0


def _mel(hertz: float) -> float:
    if hertz < _KNEE_HZ:
        return hertz * _KNEE_MEL / _KNEE_HZ
    return _KNEE_MEL + math.log(hertz / _KNEE_HZ) / _LOG_STEP


def _hertz(mels: NDArray[np.float64]) -> NDArray[np.float64]:
    linear = mels * _KNEE_HZ / _KNEE_MEL
    return np.where(mels < _KNEE_MEL, linear, _KNEE_HZ * np.exp(_LOG_STEP * (mels - _KNEE_MEL)))


@dataclass(frozen=True)
class _Plan:
    """The window [fft], and the bands as runs of bins: every bin of every band, its weight, and where a band begins."""

    window: NDArray[np.float64]
    bins: NDArray[np.intp]
    weights: NDArray[np.float64]
    starts: NDArray[np.intp]


@functools.cache
def _plan(settings: AudioSettings) -> _Plan:
    # The periodic Hann window, in the middle of the frame.
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(settings.window) / settings.window)
    window = np.zeros(settings.fft)
    start = (settings.fft - settings.window) // 2
    window[start : start + settings.window] = hann
    bins: list[int] = []
    weights: list[float] = []
    starts: list[int] = []
    for row in mel_filters(settings):
        used = np.flatnonzero(row)
        if not len(used):  # so narrow a band that no bin lies in it; it is always silent
            used = np.array([0])
        starts.append(len(bins))
        bins.extend(used.tolist())
        weights.extend(row[used].tolist())
    return _Plan(window, np.array(bins), np.array(weights), np.array(starts))


def frame_count(samples: int, settings: AudioSettings) -> int:
    """How many whole frames so many samples hold."""
    return 0 if samples < settings.fft else 1 + (samples - settings.fft) // settings.hop


def frame_levels(samples: NDArray[np.float32], settings: AudioSettings) -> NDArray[np.float64]:
    """How loud the newest `hop` samples of each whole frame are, in dB of full scale."""
    count, newest = frame_count(len(samples), settings), min(settings.hop, settings.fft)
    levels = np.empty(count)
    if not count:
        return levels
    ends = np.lib.stride_tricks.sliding_window_view(samples[settings.fft - newest :], newest)[:: settings.hop]
    for start in range(0, count, _BLOCK):
        power = np.square(ends[start : start + _BLOCK][: count - start], dtype=np.float64).mean(axis=1)
        levels[start : start + _BLOCK] = 10 * np.log10(np.maximum(power, _FLOOR))
    return levels


def log_mel(samples: NDArray[np.float32], settings: AudioSettings) -> NDArray[np.float32]:
    """The log-mel frames [frames, mels] of samples [n]: natural logarithm of the power in each band, float32.

    Only whole frames count: the first begins at the first sample, nothing is padded. Raises `InputError` for a sound of
    more of them than the memory should hold at once.
    """
    count, plan = frame_count(len(samples), settings), _plan(settings)
    if count * settings.mels > _MOST_NUMBERS:
        raise InputError(f"the sound makes {count} frames of {settings.mels} bands, too many at once: cut it")
    result = np.empty((count, settings.mels), np.float32)
    if not count:
        return result
    frames = np.lib.stride_tricks.sliding_window_view(samples, settings.fft)[:: settings.hop]
    block = max(1, min(_BLOCK, _BLOCK_SAMPLES // settings.fft))
    for start in range(0, count, block):
        spectrum = np.fft.rfft(frames[start : start + block] * plan.window, axis=1)
        power = spectrum.real**2 + spectrum.imag**2
        # Not a matrix product: that adds in another order for one frame than for many.
        bands = np.add.reduceat(power[:, plan.bins] * plan.weights, plan.starts, axis=1)
        result[start : start + block] = np.log(np.maximum(bands, _FLOOR))
    return result
