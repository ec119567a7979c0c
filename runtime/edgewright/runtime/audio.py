"""How sound becomes log-mel frames: the only place in the project where a waveform is read, resampled or transformed.

Plain numpy. A frame depends on its own samples alone and is computed in the same way however many frames there are, so
that sound which arrives in pieces gives the same frames, to the last bit, as the whole file.
"""

import functools
import io
import math
import stat
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from edgewright.runtime.checks import all_finite
from edgewright.runtime.errors import BundleError, InputError, MachineError
from edgewright.runtime.resampling import resample_audio
from edgewright.runtime.structure import StructureError, from_plain

__all__ = [
    "AUDIO_SUFFIXES",
    "AudioSettings",
    "audio_files",
    "audio_settings",
    "frame_count",
    "load_audio",
    "log_mel",
    "mel_filters",
    "write_wav",
]

AUDIO_SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".mp3", ".aif", ".aiff"})
"""Endings of file names, lower case, that a directory of sounds is searched for."""

_FLOOR = 1e-10
"""The least power; below it is silence."""

_BLOCK = 512
"""Frames that are transformed at once, to bound the memory."""


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


def audio_files(directory: Path) -> list[Path]:
    """Every sound file below `directory`, by the ending of its name, sorted. Raises `InputError` when there is none."""
    found = sorted(
        path for path in directory.rglob("*") if path.suffix.lower() in AUDIO_SUFFIXES and path.is_file()
    )
    if not found:
        raise InputError(f"no sound in {directory}: give a folder with .wav or .flac files")
    return found


def load_audio(raw: Any, settings: AudioSettings) -> NDArray[np.float32]:
    """One raw sound as float32 samples [n] at the trained rate, mono, -1 to 1.

    `raw` is the path of a WAV, FLAC, OGG or MP3 file, the bytes of one, an array [n] or [n, channels] at the trained
    rate (float in -1 to 1, int16 or int32), or a pair of such an array and its rate. Raises `InputError` for a file
    that is truncated or damaged, another rate where that is refused, and sound that is empty, too long or not finite.
    """
    if isinstance(raw, (str, Path)):
        path = Path(raw)
        with _open_file(path) as file:
            samples, rate = _read_file(file, str(path), settings)
        name = str(path)
    elif isinstance(raw, (bytes, bytearray, memoryview)):
        name = f"the sound given as {len(raw)} bytes"
        samples, rate = _read_file(io.BytesIO(raw), name, settings)
    else:
        name = "the sound"
        array, rate = raw if isinstance(raw, tuple) and len(raw) == 2 else (raw, settings.sample_rate)
        samples = to_mono(array, settings, name)
    if rate != settings.sample_rate:
        samples = _at_trained_rate(samples, rate, settings, name)
    if not len(samples):
        raise InputError(f"{name} is empty: give at least {settings.fft} samples")
    _check_length(len(samples), settings.sample_rate, settings, name)
    return samples


def _at_trained_rate(
    samples: NDArray[np.float32], rate: Any, settings: AudioSettings, name: str
) -> NDArray[np.float32]:
    whole = isinstance(rate, (int, np.integer)) or (isinstance(rate, float) and rate.is_integer())
    if not whole or not 100 <= rate <= 1_000_000:
        raise InputError(f"{name}: the sample rate {rate} is none: give a whole number of Hz")
    if settings.other_rate == "refuse":
        raise InputError(
            f"{name} has {int(rate)} Hz, the model was trained with {settings.sample_rate} Hz: "
            "resample it, or train with audio.other_rate: resample"
        )
    return resample_audio(samples, int(rate), settings.sample_rate)


def to_mono(array: Any, settings: AudioSettings, name: str = "the sound") -> NDArray[np.float32]:
    """Samples [n] or [n, channels] of any usual dtype as float32 [n], -1 to 1. Raises `InputError`."""
    if isinstance(array, (list, tuple)):
        try:
            array = np.asarray(array)
        except ValueError:
            raise InputError(f"{name}: the samples are ragged: give one number for each") from None
    if not isinstance(array, np.ndarray):
        raise InputError(
            f"cannot read sound from {type(array).__name__}: give a path, bytes, an array or (array, rate)"
        )
    if array.dtype in (np.int16, np.int32):
        array = array / np.float32(-float(np.iinfo(array.dtype).min))
    elif array.dtype.kind != "f":
        raise InputError(f"{name}: the samples are {array.dtype}: give float32 in -1 to 1, or int16")
    if array.ndim not in (1, 2):
        raise InputError(f"{name}: the samples have {array.ndim} axes: give samples, or samples x channels")
    if array.ndim == 2:
        if array.shape[1] > 1 and not settings.mono:
            raise InputError(f"{name} has {array.shape[1]} channels: mix them to one")
        if not array.shape[1] or array.shape[1] > 64:
            raise InputError(f"{name} has {array.shape[1]} channels: give samples x channels")
        array = array[:, 0] if array.shape[1] == 1 else array.mean(axis=1, dtype=np.float64)
    samples: NDArray[np.float32] = np.ascontiguousarray(array, dtype=np.float32)
    if not all_finite(samples):
        raise InputError(f"{name} holds NaN or infinity: clean it first")
    return samples


def _open_file(path: Path) -> BinaryIO:
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise InputError(f"{path} is a folder: give a sound file")
        if not stat.S_ISREG(mode):  # opening a pipe would wait forever
            raise InputError(f"{path} is not a regular file: give a sound file")
        return path.open("rb")
    except FileNotFoundError:
        raise InputError(f"{path} does not exist: check the path") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path} cannot be read ({reason}): check the path") from None


def _read_file(file: BinaryIO, name: str, settings: AudioSettings) -> tuple[NDArray[np.float32], int]:
    soundfile = _soundfile()
    try:
        _check_whole(file, name)
        with soundfile.SoundFile(file) as opened:
            rate, frames = int(opened.samplerate), int(opened.frames)
            _check_length(frames, rate, settings, name)
            array = opened.read(dtype="float32", always_2d=True)
    except InputError:
        raise
    except Exception as error:  # a hostile file can make a decoder raise anything
        text = str(getattr(error, "error_string", error))  # without the name of the file object
        reason = (text.splitlines() or [type(error).__name__])[0].rstrip(".")
        raise InputError(f"{name} cannot be decoded as sound ({reason}): give a WAV or FLAC file") from None
    if len(array) < frames:
        raise InputError(f"{name} is truncated, {len(array)} of {frames} samples are there: replace the file")
    return to_mono(array, settings, name), rate


def _soundfile() -> Any:
    try:
        import soundfile
    except (ImportError, OSError) as error:
        raise MachineError(f"soundfile cannot be used ({error}): pip install soundfile") from None
    return soundfile


def _check_length(samples: int, rate: int, settings: AudioSettings, name: str) -> None:
    if settings.max_seconds is not None and samples > settings.max_seconds * rate:
        raise InputError(
            f"{name} is {samples / rate:.2f} s long, the model takes up to {settings.max_seconds:g} s: cut it"
        )


def _check_whole(file: BinaryIO, name: str) -> None:
    """Raise `InputError` for a WAV file that ends before its data do; the decoder would be silent about it."""
    head = file.read(12)
    if not head:
        raise InputError(f"{name} is empty: give a sound file")
    if head[:4] == b"RIFF" and head[8:] == b"WAVE":
        size = file.seek(0, io.SEEK_END)
        place = 12
        while place + 8 <= size:
            file.seek(place)
            kind, length = struct.unpack("<4sI", file.read(8))
            if kind == b"data":
                # What writes to a pipe cannot know the length, and writes the largest.
                if length < 0xFFFFFF00 and place + 8 + length > size:
                    there = size - place - 8
                    raise InputError(f"{name} is truncated, {there} of {length} bytes are there: replace it")
                break
            place += 8 + length + length % 2
        else:
            raise InputError(f"{name} is truncated, it has no samples: replace the file")
    file.seek(0)


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


def log_mel(samples: NDArray[np.float32], settings: AudioSettings) -> NDArray[np.float32]:
    """The log-mel frames [frames, mels] of samples [n]: natural logarithm of the power in each band, float32.

    Only whole frames count: the first begins at the first sample, nothing is padded.
    """
    count, plan = frame_count(len(samples), settings), _plan(settings)
    result = np.empty((count, settings.mels), np.float32)
    if not count:
        return result
    frames = np.lib.stride_tricks.sliding_window_view(samples, settings.fft)[:: settings.hop]
    for start in range(0, count, _BLOCK):
        spectrum = np.fft.rfft(frames[start : start + _BLOCK] * plan.window, axis=1)
        power = spectrum.real**2 + spectrum.imag**2
        # Not a matrix product: that adds in another order for one frame than for many.
        bands = np.add.reduceat(power[:, plan.bins] * plan.weights, plan.starts, axis=1)
        result[start : start + _BLOCK] = np.log(np.maximum(bands, _FLOOR))
    return result


def write_wav(samples: NDArray[np.float32], rate: int) -> bytes:
    """float32 samples [n] as a WAV file that reads back to the same numbers."""
    buffer = io.BytesIO()
    _soundfile().write(buffer, samples, rate, format="WAV", subtype="FLOAT")
    return buffer.getvalue()
