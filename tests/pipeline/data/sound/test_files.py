"""Folders of sounds: what the device can hear is used, the rest is skipped and named."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from edgewright.pipeline.data.samples import Splits
from edgewright.pipeline.data.sound.files import audio_settings_of
from edgewright.pipeline.data.sources import restore_splits
from edgewright.pipeline.recipe.series import Audio
from edgewright.runtime.errors import DataError
from tests.messages import refused
from tests.pipeline.data.small_tables import error_of, every_sample, open_table, recipe

TASK = "audio-classification"
RATE = 8000
SECTION = {"audio": {"sample_rate": RATE}}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEWRIGHT_CACHE", str(tmp_path_factory.mktemp("cache")))


def noise(number: int, seconds: float = 0.2, rate: int = RATE) -> np.ndarray[Any, Any]:
    return np.random.default_rng(number).uniform(-0.5, 0.5, int(seconds * rate)).astype(np.float32)


@pytest.fixture
def sounds(tmp_path: Path) -> Path:
    root = tmp_path / "sounds"
    for label, suffix in (("clap", ".wav"), ("hum", ".flac")):
        (root / label).mkdir(parents=True)
        for number in range(10):
            seed = number + 100 * (label == "hum")
            soundfile.write(root / label / f"{number}{suffix}", noise(seed, 0.1 + 0.02 * number), RATE)
    return root


def opened(root: Path, **data: Any) -> Splits:
    return open_table(TASK, root, SECTION, **data)


def reason(root: Path, name: str, **audio: Any) -> str:
    sections = {"audio": {"sample_rate": RATE, **audio}}
    splits = open_table(TASK, root, sections, max_bad=0.5)
    (found,) = [one.reason for one in splits.skipped if one.path == name]
    return found


def test_one_folder_for_each_class(sounds: Path) -> None:
    splits = opened(sounds)
    assert splits.classes == ("clap", "hum") and splits.files == 20 and splits.skipped == ()
    for sample in every_sample(splits):
        assert sample.label is not None
        assert sample.raw == sounds / sample.id and sample.id.startswith(splits.classes[sample.label])


def test_sounds_that_the_device_cannot_use_are_skipped_and_named(sounds: Path) -> None:
    whole = (sounds / "clap" / "9.wav").read_bytes()
    (sounds / "clap" / "cut.wav").write_bytes(whole[: len(whole) // 2])
    (sounds / "clap" / "empty.wav").write_bytes(b"")
    (sounds / "clap" / "none.wav").write_bytes(b"RIFF nothing")
    (sounds / "clap" / "notes.txt").write_text("hello")
    soundfile.write(sounds / "clap" / "short.wav", noise(1, 0.01), RATE)
    soundfile.write(sounds / "clap" / "long.wav", noise(1, 3.0), RATE)
    assert "is truncated" in reason(sounds, "clap/cut.wav")
    assert "is empty" in reason(sounds, "clap/empty.wav")
    assert "none.wav" not in reason(sounds, "clap/none.wav"), "the name stands before the reason once"
    assert reason(sounds, "clap/notes.txt").startswith("does not end like a sound (.aif")
    assert reason(sounds, "clap/short.wav").startswith("has 80 samples, a frame takes 256: give longer sound")
    assert "long, the model takes up to 1 s: cut it" in reason(sounds, "clap/long.wav", max_seconds=1.0)
    assert "5 of 26 files cannot be used, more than data.max_bad" in error_of(TASK, sounds, SECTION)


def test_another_sample_rate_is_resampled_or_refused(sounds: Path) -> None:
    soundfile.write(sounds / "clap" / "other.wav", noise(1, 0.3, 16000), 16000)
    assert opened(sounds).skipped == ()
    assert "has 16000 Hz, the model was trained with 8000 Hz" in reason(
        sounds, "clap/other.wav", other_rate="refuse"
    )


def test_a_second_look_decodes_nothing_and_other_settings_look_again(
    sounds: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = opened(sounds)
    monkeypatch.setattr("edgewright.pipeline.data.sound.files.load_audio", None)  # calling it would fail
    assert opened(sounds) == first
    with pytest.raises(TypeError):
        open_table(TASK, sounds, {"audio": {"sample_rate": 4000}})


def test_a_run_finds_its_sounds_again(sounds: Path) -> None:
    splits = opened(sounds)
    document = json.loads(json.dumps(splits.to_plain()))
    wanted = recipe(TASK, sounds, SECTION)
    assert restore_splits(document, wanted) == splits
    soundfile.write(splits.evaluation[0].raw, noise(77), RATE)
    with refused(DataError):
        restore_splits(document, wanted)
    splits.evaluation[0].raw.unlink()
    with refused(DataError):
        restore_splits(document, wanted)


def test_folders_without_sounds(tmp_path: Path, sounds: Path) -> None:
    assert "there is no data folder" in error_of(TASK, tmp_path / "sound")
    flat = sounds / "clap"
    assert "the sounds lie directly in" in error_of(TASK, flat, SECTION)


def test_settings_of_a_recipe_in_samples() -> None:
    settings = audio_settings_of(Audio())
    assert (settings.window, settings.hop, settings.fft, settings.high_hz) == (400, 160, 512, 8000.0)
    settings = audio_settings_of(Audio(sample_rate=8000, window_ms=32.0, hop_ms=0.1))
    assert (settings.window, settings.hop, settings.fft) == (256, 1, 256)
