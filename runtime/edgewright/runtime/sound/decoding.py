"""How sound becomes log-mel frames: the only place in the project where a waveform is read, resampled or transformed.

Plain numpy. A frame depends on its own samples alone and is computed in the same way however many frames there are, so
that sound which arrives in pieces gives the same frames, to the last bit, as the whole file.
"""

import io
import stat
import struct
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from edgewright.runtime.errors import InputError, MachineError
from edgewright.runtime.graphs.checks import all_finite
from edgewright.runtime.sound.mel import AudioSettings
from edgewright.runtime.sound.resampling import resample_audio

_IEEE_FLOAT = 3

_HEADS = frozenset({b"RIFF", b"RIFX", b"RF64", b"riff", b"fLaC", b"OggS", b"FORM", b".snd", b"caff"})
"""How the files begin that libsndfile reads; MP3 is told by its frames."""

_MOST_CHANNELS = 64

_LOUDEST = 2.0
"""Of float samples. What a decoder makes of a loud recording passes full scale by a little; whole numbers that nobody
scaled, by far.
"""

MOST_SAMPLES = 1 << 28
"""Of all channels together that one sound may have: a gigabyte of float32, four hours at 16 kHz."""

_MOST_STRETCHED = 100
"""How many samples may be made of one."""

AUDIO_SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".mp3", ".aif", ".aiff"})
"""Endings of file names, lower case, that a directory of sounds is searched for."""


def load_audio(raw: Any, settings: AudioSettings, rate: int | None = None) -> NDArray[np.float32]:
    """One raw sound as float32 samples [n] at the trained rate, mono, -1 to 1.

    `raw` is the path of a WAV, FLAC, OGG or MP3 file, the bytes of one, an array [n] or [n, channels] (float in -1 to
    1, int16, int32, or uint8 as in a WAV file), or a pair of such an array and its rate. `rate` is that of an array
    without one, in Hz; nothing is guessed. Raises `InputError` for an array without a rate, a file that is truncated or
    damaged, another rate where that is refused or `rate` says otherwise, and sound that is empty, too long, far louder
    than full scale or not finite.
    """
    name = name_of(raw)
    samples, found = read_audio(raw, settings, rate)
    if found != settings.sample_rate:
        samples = _at_trained_rate(samples, found, settings, name)
    if not len(samples):
        raise InputError(f"{name} is empty: give at least {settings.fft} samples")
    _check_length(len(samples), settings.sample_rate, settings, name)
    return samples


def read_audio(raw: Any, settings: AudioSettings, rate: int | None = None) -> tuple[NDArray[np.float32], Any]:
    """A raw sound as `load_audio` takes it, mono, with the rate that it has. Raises `InputError`."""
    name = name_of(raw)
    found: Any
    if isinstance(raw, (str, Path)):
        with _open_file(Path(raw)) as file:
            samples, found = _read_file(file, name, settings)
    elif isinstance(raw, (bytes, bytearray, memoryview)):
        samples, found = _read_file(io.BytesIO(raw), name, settings)
    else:
        array, found = raw if isinstance(raw, tuple) and len(raw) == 2 else (raw, rate)
        samples = to_mono(array, settings, name)
        if found is None:
            raise InputError(
                f"{name} does not say its sample rate: give (samples, rate), or rate=..., the Hz it was recorded at "
                f"(the model was trained with {settings.sample_rate})"
            )
    if rate is not None and found != rate:
        raise InputError(f"{name} has {found} Hz, not the {rate} Hz that were given: leave rate out")
    return samples, found


def name_of(raw: Any) -> str:
    """What messages call a raw sound."""
    if isinstance(raw, (str, Path)):
        return str(raw)
    size = f" given as {len(raw)} bytes" if isinstance(raw, (bytes, bytearray, memoryview)) else ""
    return f"the sound{size}"


def _at_trained_rate(
    samples: NDArray[np.float32], rate: Any, settings: AudioSettings, name: str
) -> NDArray[np.float32]:
    whole = isinstance(rate, (int, np.integer)) or (isinstance(rate, float) and rate.is_integer())
    if not whole or not 100 <= rate <= 1_000_000:
        raise InputError(f"{name}: the sample rate {rate} is none: give a whole number of Hz")
    check_rate(int(rate), settings, name)
    _check_count(len(samples) * settings.sample_rate // int(rate), name)
    return resample_audio(samples, int(rate), settings.sample_rate)


def check_rate(rate: int, settings: AudioSettings, name: str) -> None:
    """Raise `InputError` for a rate that is not the trained one where others are refused, and for one far below it."""
    if rate != settings.sample_rate and settings.other_rate == "refuse":
        raise InputError(
            f"{name} has {rate} Hz, the model was trained with {settings.sample_rate} Hz: "
            "resample it, or train with audio.other_rate: resample"
        )
    if settings.sample_rate > _MOST_STRETCHED * rate:
        raise InputError(
            f"{name} has {rate} Hz, far too few for a model of {settings.sample_rate} Hz: record it at that rate"
        )


def to_mono(array: Any, settings: AudioSettings, name: str = "the sound") -> NDArray[np.float32]:
    """Samples [n] or [n, channels] of any usual dtype as float32 [n], -1 to 1. Raises `InputError`.

    Whole numbers have the scale that they have in a WAV file: int16 and int32 of their range, uint8 around 128.
    """
    if isinstance(array, (list, tuple)):
        try:
            array = np.asarray(array)
        except ValueError:
            raise InputError(f"{name}: the samples are ragged: give one number for each") from None
    if not isinstance(array, np.ndarray):
        raise InputError(
            f"cannot read sound from {type(array).__name__}: give a path, bytes, an array or (array, rate)"
        )
    array = np.asarray(array)  # a np.matrix keeps two axes whatever is done with it
    if array.dtype in (np.int16, np.int32):
        array = array / np.float32(-float(np.iinfo(array.dtype).min))
    elif array.dtype == np.uint8:
        array = (array.astype(np.float32) - 128) / 128
    elif array.dtype.kind != "f":
        raise InputError(
            f"{name}: the samples are {array.dtype}: give float32 in -1 to 1, int16, int32 or uint8"
        )
    if array.ndim not in (1, 2):
        raise InputError(f"{name}: the samples have {array.ndim} axes: give samples, or samples x channels")
    if array.ndim == 2:
        if array.shape[1] > 1 and not settings.mono:
            raise InputError(f"{name} has {array.shape[1]} channels: mix them to one")
        if not array.shape[1] or array.shape[1] > _MOST_CHANNELS:
            raise InputError(f"{name} has {array.shape[1]} channels: give samples x channels")
        array = array[:, 0] if array.shape[1] == 1 else _mean(array)
    with np.errstate(over="ignore"):  # what is beyond float32 is refused below
        samples: NDArray[np.float32] = np.ascontiguousarray(array, dtype=np.float32)
    if not all_finite(samples):
        raise InputError(f"{name} holds NaN or infinity: clean it first")
    peak = float(np.abs(samples).max(initial=0.0))
    if peak >= _LOUDEST:
        raise InputError(
            f"{name} reaches {peak:g}, float samples lie in -1 to 1: give int16 values as int16, or divide by 32768"
        )
    return samples


def _mean(array: NDArray[Any]) -> NDArray[np.float64]:
    """The mean of the channels; NaN where one is NaN or infinite, without a warning."""
    with np.errstate(invalid="ignore", over="ignore"):
        mean: NDArray[np.float64] = array.mean(axis=1, dtype=np.float64)
    return mean


def channels_of(array: Any) -> int:
    """How many channels samples have that `to_mono` took."""
    shape = np.shape(array)
    return int(shape[1]) if len(shape) == 2 else 1


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
        _check_kind(file)
        _check_whole(file, name)
        with soundfile.SoundFile(file) as opened:
            rate, frames = int(opened.samplerate), int(opened.frames)
            _check_length(frames, rate, settings, name)
            _check_count(frames * max(1, int(opened.channels)), name)
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


def _check_kind(file: BinaryIO) -> None:
    """Raise `ValueError` for what begins like no sound: libsndfile would try it as MPEG, and talk of it on stderr."""
    head = file.read(4)
    file.seek(0)
    third_layer = len(head) > 1 and head[0] == 0xFF and head[1] & 0xE6 == 0xE2
    if head and head not in _HEADS and not head.startswith(b"ID3") and not third_layer:
        raise ValueError("Format not recognised")


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


def _check_count(samples: int, name: str) -> None:
    """A few kilobytes of silence may stand for days."""
    if samples > MOST_SAMPLES:
        raise InputError(f"{name} has {samples} samples, {MOST_SAMPLES} are read at once: cut it")


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


def write_wav(samples: NDArray[np.float32], rate: int) -> bytes:
    """float32 samples [n] as a WAV file that reads back to the same numbers; the same samples give the same bytes.

    libsndfile would write down when it was asked. Source: the IEEE float form of Multimedia Data Standards Update,
    Microsoft 1994.
    """
    form = struct.pack("<HHIIHHH", _IEEE_FLOAT, 1, rate, 4 * rate, 4, 32, 0)
    parts = (
        (b"fmt ", form),
        (b"fact", struct.pack("<I", len(samples))),
        (b"data", samples.astype("<f4").tobytes()),
    )
    return _chunk(b"RIFF", b"WAVE" + b"".join(_chunk(*part) for part in parts))


def _chunk(name: bytes, content: bytes) -> bytes:
    """A part of a RIFF file, whose content is an even number of bytes here."""
    return name + struct.pack("<I", len(content)) + content
