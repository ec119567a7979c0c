"""Sound as devices deliver it: rate, channels and scale are given or known; a stream hears one sound after another."""

import dataclasses
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from edgewright.runtime import Engine
from edgewright.runtime.bundle.manifest import StreamMemory
from edgewright.runtime.bundle.structure import to_plain
from edgewright.runtime.errors import InputError
from edgewright.runtime.sound.decoding import load_audio
from edgewright.runtime.sound.mel import frame_levels
from edgewright.runtime.sound.pauses import Pauses, longest_pause
from edgewright.runtime.sound.resampling import StreamResampler, resample_audio
from edgewright.runtime.tasks.audio_classification import AudioClassification
from tests.messages import refused
from tests.runtime.recurrent_bundle import AUDIO, LABELS, case, make_recurrent_bundle, sound

RATES = (48000, 44100, 22050, 16000, 11025, 8000, 6000)


def task_at(rate: int | None, **changes: Any) -> AudioClassification:
    task = AudioClassification(to_plain(dataclasses.replace(AUDIO, **changes)), LABELS)
    return task if rate is None else task.with_options(rate=rate)


def voice(rate: int, seconds: float = 0.6, pitch: float = 300.0) -> NDArray[np.float32]:
    """Harmonics that glide, below half of every rate here."""
    time = np.arange(round(rate * seconds)) / rate
    orders = np.array([1, 2, 3, 5])[:, np.newaxis]
    wave = (np.sin(2 * np.pi * pitch * orders * time * (1 + 0.2 * time)) / orders).sum(axis=0)
    return np.asarray(0.2 * wave, np.float32)


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return Engine(make_recurrent_bundle(tmp_path / "b", case("audio-classification")), provider="cpu")


def read_as_file(samples: NDArray[Any], subtype: str) -> NDArray[np.float32]:
    """What a WAV reader makes of these whole numbers."""
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, 8000, format="WAV", subtype=subtype)
    return load_audio(buffer.getvalue(), AUDIO)


@pytest.mark.parametrize(("dtype", "subtype"), [("int16", "PCM_16"), ("int32", "PCM_32")])
def test_whole_numbers_have_the_scale_of_a_wav_file(dtype: str, subtype: str) -> None:
    whole = (sound(2000) * np.iinfo(dtype).max).astype(dtype)
    expected = read_as_file(whole, subtype)
    assert np.abs(expected).max() > 0.2
    np.testing.assert_array_equal(load_audio((whole, 8000), AUDIO), expected)
    front = task_at(8000).stream_front()
    steps = front.push(whole)
    np.testing.assert_array_equal(
        steps.feeds["input_features"], task_at(None).encode((expected, 8000))["input_features"]
    )


def test_unsigned_bytes_lie_around_128() -> None:
    samples = np.round(sound(2000) * 128) / 128
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, 8000, format="WAV", subtype="PCM_U8")
    whole = (samples * 128 + 128).astype(np.uint8)
    np.testing.assert_array_equal(load_audio((whole, 8000), AUDIO), load_audio(buffer.getvalue(), AUDIO))
    assert load_audio((np.full(500, 128, np.uint8), 8000), AUDIO).max() == 0


@pytest.mark.parametrize("scale", [32768, 2**31, 128, 255, 6.0])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_whole_numbers_held_as_float_are_refused(engine: Engine, scale: float, dtype: str) -> None:
    samples = (sound(2000) / 0.5 * scale).astype(dtype)
    with pytest.raises(InputError, match="float samples lie in -1 to 1"):
        engine((samples, 8000))
    with engine.stream(rate=8000) as stream, pytest.raises(InputError, match="float samples lie in -1 to 1"):
        stream.push(samples)


def test_what_a_decoder_makes_of_loud_sound_is_taken(engine: Engine) -> None:
    assert engine((sound(2000) * np.float32(3.0), 8000)).label in LABELS


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("size", [1, 77, 1600, 10**6])
def test_resampled_in_pieces_it_is_the_whole(rate: int, size: int) -> None:
    samples = voice(rate, 0.2 if size == 1 else 0.6)
    whole = resample_audio(samples, rate, 8000)
    stream = StreamResampler(rate, 8000)
    found = []
    for start in range(0, len(samples), size):
        kept = stream.state()
        stream = StreamResampler(rate, 8000)
        assert stream.restore(*kept)
        found.append(stream.push(samples[start : start + size]))
    ours = np.concatenate(found)
    # What waits for samples to come is short: 32 periods of the lower rate.
    assert len(whole) - 40 / min(1.0, rate / 8000) <= len(ours) <= len(whole)
    assert np.abs(ours - whole[: len(ours)]).max() < 1e-6


@pytest.mark.parametrize("rate", RATES)
def test_a_stream_of_any_rate_hears_what_a_file_holds(engine: Engine, tmp_path: Path, rate: int) -> None:
    samples = voice(rate, 0.9)
    soundfile.write(tmp_path / "a.wav", samples, rate, subtype="FLOAT")
    whole, newest = engine(tmp_path / "a.wav"), None
    with engine.stream(rate=rate) as stream:
        for start in range(0, len(samples), rate // 10):
            newest = stream.push(samples[start : start + rate // 10]) or newest
    assert newest is not None and newest.label == whole.label
    assert newest.probabilities == pytest.approx(whole.probabilities, abs=0.02)
    assert engine(samples, rate=rate) == engine((samples, rate)) == engine([(samples, rate)])[0]
    assert engine(samples, rate=rate).probabilities == pytest.approx(whole.probabilities, rel=1e-4)


def test_a_rate_is_said_and_kept_to(engine: Engine, tmp_path: Path) -> None:
    samples = sound(1000)
    with refused(InputError):
        engine.stream().push(samples)
    with refused(InputError):
        engine(samples)
    with engine.stream() as stream:
        stream.push((samples, 8000))
        with refused(InputError):
            stream.push((samples, 16000))
    with engine.stream(rate=48000) as stream:
        stream.push(samples)
        stream.push((samples, 48000))
        with refused(InputError):
            stream.push((samples, 8000))
    soundfile.write(tmp_path / "a.wav", sound(3000), 16000)
    with refused(InputError):
        engine(tmp_path / "a.wav", rate=44100)
    for rate in (0, 50, 8000.5, "8000"):
        with refused(InputError):
            engine.stream(rate=rate)
    with refused(InputError):
        task_at(16000, other_rate="refuse")
    assert task_at(8000, other_rate="refuse").encode(samples)


@pytest.mark.parametrize("channels", [2, 3])
def test_channels_are_mixed_as_those_of_a_file(tmp_path: Path, channels: int) -> None:
    wide = np.stack([sound(3000, seed) for seed in range(channels)], axis=1)
    soundfile.write(tmp_path / "a.wav", wide, 8000, subtype="FLOAT")
    whole = task_at(None).encode(tmp_path / "a.wav")["input_features"]
    front = task_at(8000).stream_front()
    found = [front.push(wide[start : start + 400]) for start in range(0, 3000, 400)]
    values = np.concatenate([steps.feeds["input_features"] for steps in found if steps.count])
    np.testing.assert_array_equal(values, whole)
    for other in (wide[:, 0], wide[:, :1], np.hstack((wide, wide))):
        with pytest.raises(InputError, match="channels, those before had"):
            front.push(other)
    front.reset()
    assert front.push(wide[:, 0]).count


def test_a_state_of_another_rate_is_not_taken(engine: Engine) -> None:
    stream = engine.stream(rate=48000)
    stream.push(sound(3001))
    again = engine.stream(rate=48000)
    again.restore(stream.state())
    assert again.push(sound(3000, 1)) == stream.push(sound(3000, 1))
    for other in (engine.stream(rate=44100), engine.stream()):
        with refused(InputError):
            other.restore(stream.state())


def test_where_a_sound_begins_and_ends() -> None:
    pauses = Pauses(3)
    levels = np.array([-90, -20, -15, -50, -50, -18, -50, -70, -90, -90, -90, -30, -25, -61, -90, -90, -40.0])
    heard, begins, quiet = pauses.push(levels)
    # Two quiet frames are part of a sound, three end it; what is quiet depends on the loudest of the sound.
    assert heard.tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 13, 14, 15, 16]
    assert begins == {9, 14} and quiet == {0, 3, 4, 6, 7, 8, 11, 12, 13}
    one = Pauses(3)
    found = []
    for level in levels:
        kept = one.state()
        one = Pauses(3)
        one.restore(kept)
        found.append(len(one.push(np.array([level]))[0]))
    assert np.flatnonzero(found).tolist() == heard.tolist()
    late = Pauses(3, 2).push(levels)
    assert late[0].tolist() == [*range(9), 13, 14, 15, 16] and late[1] == {9}
    assert longest_pause(levels) == 5 and longest_pause(levels[:8]) == 2


@pytest.mark.parametrize("memory", ["context", "carried"])
@pytest.mark.parametrize("size", [333, 800])
def test_a_running_stream_answers_each_sound_as_a_fresh_one(tmp_path: Path, memory: str, size: int) -> None:
    """Sounds of several lengths, one after another with a pause between, and frames that begin where a sound does."""
    graphs = {"context": ("model",), "carried": ("model", "step")}[memory]

    def change(manifest: Any) -> Any:
        return dataclasses.replace(
            manifest,
            graphs={role: manifest.graphs[role] for role in graphs},
            variants=tuple(
                dataclasses.replace(one, graphs={role: one.graphs[role] for role in graphs})
                for one in manifest.variants
            ),
            stream=StreamMemory(memory, 60, 8, 3),
        )

    engine = Engine(
        make_recurrent_bundle(tmp_path / "b", case("audio-classification"), change), provider="cpu"
    )
    words = [
        voice(8000, seconds, pitch) for seconds, pitch in ((0.5, 200), (0.31, 400), (0.46, 270), (0.2, 600))
    ]
    pause = np.zeros(2000, np.float32)
    running = engine.stream(rate=8000)
    for word in [*words, *reversed(words)]:
        heard, fresh = np.concatenate((word, pause)), engine.stream(rate=8000)
        found, wanted = None, None
        for start in range(0, len(heard), size):
            found = running.push(heard[start : start + size]) or found
            wanted = fresh.push(heard[start : start + size]) or wanted
        assert found is not None and wanted is not None
        assert found.label == wanted.label
        # The first frame of a sound in a stream may begin in the pause before it.
        assert found.probabilities == pytest.approx(wanted.probabilities, abs=0.06)
        assert running.push(np.zeros(8000, np.float32)) is None  # nothing to hear


def test_levels_are_decibels_of_full_scale() -> None:
    loud, soft = np.ones(256, np.float32), np.full(256, 0.001, np.float32)
    assert frame_levels(np.concatenate((loud, soft, loud[:24])), AUDIO).round() == pytest.approx(
        [0.0, -60.0, -60.0, -60.0]
    )
    assert frame_levels(loud, AUDIO)[0] == pytest.approx(0.0)
    assert frame_levels(soft, AUDIO)[0] == pytest.approx(-60.0, abs=1e-4)
    assert frame_levels(np.zeros(255, np.float32), AUDIO).shape == (0,)
