"""Sound on the device: equal to librosa, equal however it arrives, and strict about files."""

import dataclasses
import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings, strategies
from numpy.typing import NDArray

from edgewright.runtime import Engine
from edgewright.runtime.bundle.structure import to_plain
from edgewright.runtime.errors import BundleError, InputError
from edgewright.runtime.sound.decoding import load_audio, write_wav
from edgewright.runtime.sound.mel import AudioSettings, audio_settings, frame_count, log_mel
from edgewright.runtime.sound.resampling import resample_audio
from edgewright.runtime.tasks.audio_classification import AudioClassification
from tests.messages import refused
from tests.runtime.recurrent_bundle import AUDIO, LABELS, case, make_recurrent_bundle, sound


def settings_of(
    rate: int, window: int, hop: int, fft: int, mels: int, low: float, high: float
) -> AudioSettings:
    return AudioSettings(rate, window, hop, fft, mels, low, high, (0.0,) * mels, (1.0,) * mels)


@pytest.mark.parametrize(
    "chosen",
    [
        settings_of(16000, 400, 160, 512, 40, 0.0, 8000.0),
        settings_of(16000, 400, 160, 400, 80, 20.0, 7600.0),
        settings_of(8000, 200, 80, 256, 12, 50.0, 4000.0),
        settings_of(44100, 1102, 441, 2048, 128, 0.0, 22050.0),
        settings_of(8000, 101, 333, 257, 20, 0.0, 4000.0),
    ],
)
def test_the_frames_are_librosas(chosen: AudioSettings, librosa: Any) -> None:
    random = np.random.default_rng(0)
    times = np.arange(chosen.sample_rate) / chosen.sample_rate
    samples = (0.5 * np.sin(2 * np.pi * 440 * times) + 0.01 * random.normal(size=len(times))).astype(
        np.float32
    )
    expected = librosa.feature.melspectrogram(
        y=samples.astype(np.float64), sr=chosen.sample_rate, n_fft=chosen.fft, hop_length=chosen.hop,
        win_length=chosen.window, center=False, power=2.0, n_mels=chosen.mels, fmin=chosen.low_hz,
        fmax=chosen.high_hz, htk=False, norm="slaney",
    )  # fmt: skip
    found = log_mel(samples, chosen)
    assert found.dtype == np.float32 and found.shape == expected.T.shape
    assert len(found) == frame_count(len(samples), chosen)
    np.testing.assert_allclose(found, np.log(np.maximum(expected.T, 1e-10)), atol=1e-4)


def test_silence_has_a_floor() -> None:
    assert log_mel(np.zeros(1000, np.float32), AUDIO) == pytest.approx(np.log(1e-10))


@settings(max_examples=40, deadline=None)
@given(
    cuts=strategies.lists(strategies.integers(0, 3000), max_size=12),
    hop=strategies.sampled_from([1, 80, 256, 300, 700]),
)
def test_pieces_of_any_size_give_the_same_frames(cuts: list[int], hop: int) -> None:
    """To the last bit, for frames that overlap, touch, or leave samples out."""
    task = AudioClassification(to_plain(dataclasses.replace(AUDIO, hop=hop)), LABELS)
    samples = sound(3000)
    whole = task.encode((samples, 8000))["input_features"]
    front = task.stream_front()
    found = []
    for start, stop in zip([0, *sorted(cuts)], [*sorted(cuts), 3000], strict=True):
        steps = front.push((samples[start:stop], 8000))
        found += [steps.feeds["input_features"]] if steps.count else []
    assert np.concatenate(found).tobytes() == whole.tobytes()


def test_the_state_between_any_two_pieces() -> None:
    task = AudioClassification(to_plain(dataclasses.replace(AUDIO, hop=300)), LABELS)
    samples = sound(2000)
    whole = task.encode((samples, 8000))["input_features"]
    found = []
    front = task.stream_front()
    for start in range(0, 2000, 70):
        kept = front.state()
        front = task.stream_front()
        front.restore(kept)
        steps = front.push((samples[start : start + 70], 8000))
        found += [steps.feeds["input_features"]] if steps.count else []
    assert np.concatenate(found).tobytes() == whole.tobytes()
    assert {name: (array.shape, array.dtype) for name, array in front.state().items()} == {
        name: (array.shape, array.dtype) for name, array in task.stream_front().state().items()
    }


@pytest.mark.parametrize("size", [1, 7, 80, 333, 1600, 5000])
def test_a_stream_equals_the_whole_file(tmp_path: Path, size: int) -> None:
    engine = Engine(make_recurrent_bundle(tmp_path / "b", case("audio-classification")), provider="cpu")
    samples = sound(3000, 1)
    path = tmp_path / "tone.wav"
    path.write_bytes(write_wav(samples, 8000))
    whole = engine(path)
    newest: Any = None
    with engine.stream(rate=8000) as stream:
        for start in range(0, 3000, size):
            answer = stream.push(samples[start : start + size])
            newest = answer if answer is not None else newest
    assert newest.probabilities == pytest.approx(whole.probabilities, rel=1e-5)


@pytest.mark.parametrize("count", [0, 1, 3001])
def test_a_written_sound_is_its_samples_and_nothing_else(count: int) -> None:
    samples = sound(3001)[:count] * np.float32(1.7)
    content = write_wav(samples, 8000)
    assert len(content) == 58 + 4 * count and b"PEAK" not in content  # where libsndfile puts the time
    found, rate = soundfile.read(io.BytesIO(content), dtype="float32")
    assert rate == 8000 and np.array_equal(found, samples)
    assert soundfile.info(io.BytesIO(content)).subtype == "FLOAT"


def test_every_form_of_a_sound(tmp_path: Path) -> None:
    samples = np.round(sound(1000) * 32768) / np.float32(32768)
    whole = (samples * 32768).astype(np.int16)
    stereo = np.stack([samples, samples], axis=1)
    forms: list[Any] = [
        samples,
        samples.astype(np.float64),
        samples.tolist(),
        whole,
        whole.astype(np.int32) << 16,
        stereo,
        samples[:, np.newaxis],
        (samples, 8000),
        (whole, 8000.0),
    ]
    for name, subtype in (("a.wav", "PCM_16"), ("b.flac", "PCM_24"), ("c.wav", "FLOAT")):
        soundfile.write(tmp_path / name, samples, 8000, subtype=subtype)
        forms += [tmp_path / name, str(tmp_path / name), (tmp_path / name).read_bytes()]
    soundfile.write(tmp_path / "d.wav", stereo, 8000)
    for form in [*forms, tmp_path / "d.wav"]:
        found = load_audio(form, AUDIO, 8000)
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, samples)


@pytest.mark.parametrize(
    "form", [(48000, 16000), (44100, 16000), (8000, 16000), (16000, 8000), (11025, 8000)]
)
def test_other_rates_are_resampled(form: tuple[int, int], librosa: Any) -> None:
    """A tone stays what it is, and what the new rate cannot hold is gone."""
    rate, wanted = form
    times, expected_times = np.arange(rate) / rate, np.arange(wanted) / wanted
    low = 0.5 * np.sin(2 * np.pi * 440 * times)
    found = resample_audio(low.astype(np.float32), rate, wanted)
    assert len(found) == wanted
    middle = slice(wanted // 10, -wanted // 10)
    expected = 0.5 * np.sin(2 * np.pi * 440 * expected_times)
    assert np.abs(found - expected)[middle].max() < 1e-5
    reference = librosa.resample(low, orig_sr=rate, target_sr=wanted, res_type="soxr_vhq")
    assert np.abs(found - reference)[middle].max() < 1e-4
    if wanted < rate:
        high = np.sin(2 * np.pi * (0.55 * wanted) * times).astype(np.float32)
        assert np.abs(resample_audio(high, rate, wanted))[middle].max() < 1e-4


def test_resampling_or_refusing(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, sound(2000), 16000)
    assert len(load_audio(path, AUDIO)) == 1000
    refusing = dataclasses.replace(AUDIO, other_rate="refuse")
    with refused(InputError):
        load_audio(path, refusing)
    with refused(InputError):
        load_audio((sound(2000), 16000), refusing)
    front = AudioClassification(to_plain(AUDIO), LABELS).stream_front()
    assert front.push((sound(1000), 8000)).count
    with refused(InputError):
        front.push((sound(1000), 16000))


def cut(samples: NDArray[np.float32], kind: str, keep: float) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, 8000, format=kind, subtype="PCM_16")
    content = buffer.getvalue()
    return content[: int(len(content) * keep)]


def test_files_that_end_too_early() -> None:
    samples = sound(4000)
    whole = cut(samples, "WAV", 1.0)
    with refused(InputError):
        load_audio(cut(samples, "WAV", 0.5), AUDIO)
    with refused(InputError):
        load_audio(whole[:-1], AUDIO)
    for keep in (10, 30, 44):
        with refused(InputError):
            load_audio(whole[:keep], AUDIO)
    for share in (0.3, 0.6, 0.99):
        with refused(InputError):
            load_audio(cut(samples, "FLAC", share), AUDIO)
    # What writes to a pipe does not know the length: all that is there counts.
    place = whole.index(b"data") + 4
    piped = whole[:place] + struct.pack("<I", 0xFFFFFFFF) + whole[place + 4 :]
    assert len(load_audio(piped, AUDIO)) == 4000
    # Chunks that are nobody's business, before and after.
    listed = whole[:12] + b"LIST" + struct.pack("<I", 3) + b"abc\0" + whole[12:] + b"junk\x04\0\0\0abcd"
    np.testing.assert_array_equal(load_audio(listed, AUDIO), load_audio(whole, AUDIO))


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (None, "cannot read sound from NoneType"),
        ((np.zeros(0, np.float32), 8000), "the sound is empty"),
        (np.array([0.0, np.nan], np.float32), "holds NaN or infinity"),
        (np.array([0.0, np.inf]), "holds NaN or infinity"),
        (np.array([3e38, np.inf], np.float32), "holds NaN or infinity"),
        (np.zeros(10, np.int64), "the samples are int64"),
        (np.zeros(10, np.uint16), "the samples are uint16"),
        (np.zeros(1000), "does not say its sample rate"),
        ([0.0] * 1000, "does not say its sample rate"),
        (np.zeros((2, 2, 2)), "have 3 axes"),
        (np.zeros((10, 0)), "has 0 channels"),
        (np.array(["a"]), "the samples are <U1"),
        ([[0.0], [0.0, 1.0]], "are ragged"),
        ((np.zeros(10), 0), "the sample rate 0 is none"),
        ((np.zeros(10), 8000.5), "the sample rate 8000.5 is none"),
        ((np.zeros(10), "fast"), "the sample rate fast is none"),
        (b"", "is empty"),
        (b"no sound", "cannot be decoded as sound"),
        (b"RIFF\0\0\0\0WAVE", "is truncated, it has no samples"),
        (Path("nowhere.wav"), "nowhere.wav does not exist"),
        (".", "is a folder"),
        ("x\0", "cannot be read"),
        (Path(__file__), "cannot be decoded as sound"),
    ],
)
def test_what_is_no_sound(raw: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        load_audio(raw, AUDIO)
    assert "\n" not in str(caught.value)


def test_too_short_too_long_and_too_many_channels(tmp_path: Path) -> None:
    task = AudioClassification(to_plain(AUDIO), LABELS)
    with refused(InputError):
        task.encode((sound(255), 8000))
    assert task.encode((sound(256), 8000))["lengths"] == 1
    limited = dataclasses.replace(AUDIO, max_seconds=0.1)
    assert len(load_audio((sound(800), 8000), limited)) == 800
    path = tmp_path / "long.wav"
    soundfile.write(path, sound(801), 8000)
    for raw in ((sound(801), 8000), path):
        with refused(InputError):
            load_audio(raw, limited)
    with refused(InputError):
        load_audio(np.zeros((10, 2)), dataclasses.replace(AUDIO, mono=False))


def test_bad_pieces_change_nothing() -> None:
    task = AudioClassification(to_plain(AUDIO), LABELS)
    samples = sound(1000)
    front = task.stream_front()
    front.push((samples[:500], 8000))
    for piece in (None, np.array([np.nan]), np.zeros(4, np.int64), "a.wav", (np.zeros((4, 2)), 8000)):
        with pytest.raises(InputError):
            front.push(piece)
    steps = front.push((samples[500:], 8000))
    whole = task.encode((samples, 8000))["input_features"]
    np.testing.assert_array_equal(steps.feeds["input_features"], whole[-steps.count :])


def test_golden_files_are_the_sounds(tmp_path: Path) -> None:
    task = AudioClassification(to_plain(AUDIO), LABELS)
    flac = tmp_path / "a.flac"
    soundfile.write(flac, sound(1000), 8000)
    raws = [(sound(1000), 8000), (sound(2000), 16000), flac, flac.read_bytes(), cut(sound(900), "WAV", 1.0)]
    for raw, suffix in zip(raws, (".wav", ".wav", ".flac", ".flac", ".wav"), strict=True):
        content, found = task.raw_file(raw)
        assert found == suffix
        (tmp_path / f"golden{suffix}").write_bytes(content)
        expected = task.encode(raw)
        for name, value in task.encode(tmp_path / f"golden{suffix}").items():
            np.testing.assert_array_equal(value, expected[name])
    assert task.raw_file(flac)[0] == flac.read_bytes()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sample_rate": 10}, "sample_rate 10"),
        ({"window": 300}, "do not fit together"),
        ({"hop": 0}, "do not fit together"),
        ({"mels": 500}, "mels 500"),
        ({"high_hz": 5000.0}, "between 0 and half"),
        ({"low_hz": 4000.0}, "between 0 and half"),
        ({"mean": (0.0,)}, "for each of the 12 mels"),
        ({"std": (0.0,) * 12}, "std positive"),
        ({"other_rate": "x"}, "other_rate 'x'"),
        ({"max_seconds": 0.0}, "max_seconds 0.0"),
    ],
)
def test_settings_that_no_sound_can_meet(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(AUDIO, **changes)


def test_settings_travel_as_plain_values() -> None:
    assert audio_settings(to_plain(AUDIO)) == AUDIO
    with refused(BundleError):
        audio_settings({**to_plain(AUDIO), "hop": "x"})


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("channels", [1, 2, 3])
def test_samples_that_are_not_finite_are_refused_without_a_warning(value: float, channels: int) -> None:
    samples = np.zeros((900, channels), np.float32)
    samples[5] = value
    samples[6] = -value
    with pytest.raises(InputError, match="holds NaN or infinity"):
        load_audio(samples, AUDIO)
