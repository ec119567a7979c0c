"""Settings fitted on the training part: scales, steps, vocabularies, bands."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgewright.pipeline.data.sources import open_data
from edgewright.pipeline.data.text.vocabulary import train_tokenizer
from edgewright.pipeline.families import fit_settings
from edgewright.pipeline.fitted.fitted import Fitted
from edgewright.pipeline.recipe.load import recipe_from_plain
from edgewright.pipeline.recipe.text import Text
from edgewright.runtime.bundle.structure import from_plain, to_plain
from edgewright.runtime.errors import DataError
from edgewright.runtime.series.settings import SeriesSettings
from edgewright.runtime.sound.decoding import load_audio
from edgewright.runtime.sound.mel import AudioSettings, log_mel
from edgewright.runtime.tasks import load_task
from edgewright.runtime.text.decoding import TextSettings, load_tokenizer
from tests.messages import refused
from tests.pipeline.data.small_tables import recipe, sensors, write_csv

CLASSIFY, REGRESS, FORECAST = "sequence-classification", "sequence-regression", "forecasting"
SENSOR: dict[str, Any] = {"series": "sensor", "time": "hour"}
SHORT = {"context": 8, "horizon": 4}


def fitted(task: str, source: Path | str, sections: dict[str, Any] | None = None, **data: Any) -> Fitted:
    wanted = recipe(task, source, sections, **data)
    return fit_settings(wanted, open_data(wanted))


def series_settings(
    task: str, source: Path | str, sections: dict[str, Any] | None = None, **data: Any
) -> SeriesSettings:
    settings = fitted(task, source, sections, **data).settings
    assert isinstance(settings, SeriesSettings)
    return settings


def refusal(task: str, source: Path | str, sections: dict[str, Any] | None = None, **data: Any) -> str:
    with pytest.raises(DataError) as caught:
        fitted(task, source, sections, **data)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_images_bring_their_own() -> None:
    wanted = recipe_from_plain(
        {"task": "image-classification", "model": "resnet18", "data": "builtin:digits"}
    )
    assert fit_settings(wanted, open_data(wanted)) == Fitted(None)


def test_scales_come_from_the_training_part_alone(tmp_path: Path) -> None:
    columns = sensors(1, 200)
    later = columns | {"heat": [*columns["heat"][:140], *[1e6] * 60]}
    keys: dict[str, Any] = {"target": "flow", "window": 10, **SENSOR}
    before = series_settings(REGRESS, write_csv(tmp_path / "a.csv", columns), **keys)
    after = series_settings(REGRESS, write_csv(tmp_path / "b.csv", later), **keys)
    assert before == after
    np.testing.assert_allclose(before.mean, np.mean(columns["heat"][:140]))
    np.testing.assert_allclose(before.std, np.std(columns["heat"][:140]))
    np.testing.assert_allclose(before.target_mean, np.mean(columns["flow"][:140]))
    np.testing.assert_allclose(before.target_std, np.std(columns["flow"][:140]))
    assert (before.features, before.targets, before.step) == (("heat",), ("flow",), 1.0)
    assert (before.series_column, before.time_column) == ("sensor", "hour") and before.forecast is None


def test_gaps_do_not_count(tmp_path: Path) -> None:
    columns = sensors(1, 200)
    columns["heat"][10], columns["flow"][20] = None, None
    settings = series_settings(
        REGRESS, write_csv(tmp_path / "t.csv", columns), target="flow", window=10, missing="zero", **SENSOR
    )
    heat = [value for value in columns["heat"][:140] if value is not None]
    flow = [value for value in columns["flow"][:140] if value is not None]
    np.testing.assert_allclose([settings.mean[0], settings.std[0]], [np.mean(heat), np.std(heat)])
    np.testing.assert_allclose(
        [settings.target_mean[0], settings.target_std[0]], [np.mean(flow), np.std(flow)]
    )


def test_large_numbers_that_hardly_differ_keep_their_spread(tmp_path: Path) -> None:
    columns = sensors(1, 200)
    columns["heat"] = [1e9 + value for value in columns["heat"]]
    settings = series_settings(
        REGRESS, write_csv(tmp_path / "t.csv", columns), target="flow", window=10, **SENSOR
    )
    np.testing.assert_allclose(settings.std[0], np.std(columns["heat"][:140]), rtol=1e-6)


def test_a_column_that_does_not_vary_is_not_divided_by_zero(tmp_path: Path) -> None:
    columns = sensors(1, 200)
    columns["heat"] = [0.1] * 200
    settings = series_settings(
        REGRESS, write_csv(tmp_path / "t.csv", columns), target="flow", window=10, **SENSOR
    )
    assert settings.std == (1.0,) and settings.mean[0] == pytest.approx(0.1)


def test_a_column_without_any_value_in_the_training_part(tmp_path: Path) -> None:
    columns = sensors(1, 200)
    columns["heat"][:150] = [None] * 150
    message = refusal(
        REGRESS, write_csv(tmp_path / "t.csv", columns), target="flow", window=10, missing="zero", **SENSOR
    )
    assert message.startswith("the column 'heat' has no value in the training part")


@pytest.mark.parametrize(("column", "value"), [("heat", 1e300), ("heat", 1e200), ("flow", -1e300)])
def test_numbers_that_are_too_large_to_scale(tmp_path: Path, column: str, value: float) -> None:
    columns = sensors(1, 200)
    columns[column][3] = value
    message = refusal(REGRESS, write_csv(tmp_path / "t.csv", columns), target="flow", window=10, **SENSOR)
    assert message.startswith(f"the column '{column}' has numbers in the training part that are too large")


def test_settings_of_a_forecast(tmp_path: Path) -> None:
    columns = sensors(2, 200)
    columns["promo"] = [step % 2 for step in range(400)]
    section = {"forecast": {**SHORT, "season": 7, "known": ["promo"], "anchor": "seasonal"}}
    settings = series_settings(
        FORECAST, write_csv(tmp_path / "t.csv", columns), section, target="heat", **SENSOR
    )
    forecast = settings.forecast
    assert forecast is not None and settings.features == ("heat", "flow", "promo")
    assert (forecast.horizon, forecast.context, forecast.season) == (4, 8, 7)
    assert forecast.known == ("promo",) and forecast.known_mean == settings.mean[2:]
    assert settings.target_mean == settings.mean[:1] and settings.per_series is None


def test_each_series_may_have_its_own_scale(tmp_path: Path) -> None:
    columns = sensors(2, 200)
    columns["heat"] = [value + (1000 if name == "s1" else 0) for value, name in zip(
        columns["heat"], columns["sensor"], strict=True
    )]  # fmt: skip
    path = write_csv(tmp_path / "t.csv", columns)
    section = {"forecast": {**SHORT, "per_series": True}}
    settings = series_settings(FORECAST, path, section, target="heat", unseen="global", **SENSOR)
    assert settings.per_series is not None and list(settings.per_series) == ["s0", "s1"]
    assert settings.per_series["s0"][0][0] == pytest.approx(20, abs=1)
    assert settings.per_series["s1"][0][0] == pytest.approx(1020, abs=1)
    assert settings.unseen == "global" and settings.mean[0] == pytest.approx(520, abs=2)


def test_the_settings_survive_the_manifest(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "t.csv", sensors(2, 200))
    section = {"forecast": {**SHORT, "per_series": True}}
    settings = series_settings(FORECAST, path, section, target="heat", **SENSOR)
    assert from_plain(SeriesSettings, to_plain(settings)) == settings


def test_resampling_needs_times(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "t.csv", sensors(1, 200))
    message = refusal(REGRESS, path, target="flow", window=10, series="sensor", irregular="resample")
    assert message.startswith("data.irregular: resample needs the times of the steps: name their column")


def test_what_the_device_would_refuse_shows_before_the_training(tmp_path: Path) -> None:
    columns = sensors(1, 200)
    columns["heat"] = [1e-30 * step for step in range(190)] + [1e30] * 10
    message = refusal(REGRESS, write_csv(tmp_path / "t.csv", columns), target="flow", window=10, **SENSOR)
    assert "evaluation sample s0/190: the series 's0': a value is too large for the scale" in message


def test_the_same_texts_give_the_same_vocabulary_in_another_process() -> None:
    texts = [f"word{number % 7} and word{number % 11} meet number {number}" for number in range(200)]
    here = train_tokenizer(texts, Text(vocabulary=400))
    assert here == train_tokenizer(texts, Text(vocabulary=400))
    code = (
        "from edgewright.pipeline.data.text.vocabulary import train_tokenizer\n"
        "from edgewright.pipeline.recipe.recipe import Text\nimport sys\n"
        "texts = [f'word{n % 7} and word{n % 11} meet number {n}' for n in range(200)]\n"
        "sys.stdout.buffer.write(train_tokenizer(texts, Text(vocabulary=400)))"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "123", "TOKENIZERS_PARALLELISM": "true"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, env=environment)
    assert done.stdout == here


def test_a_vocabulary_knows_every_character_and_begins_with_the_padding() -> None:
    tokenizer = load_tokenizer(train_tokenizer(["Good morning", "good evening"] * 5, Text(vocabulary=300)))
    assert tokenizer.token_to_id("[PAD]") == 0 and tokenizer.token_to_id("[UNK]") == 1
    assert tokenizer.get_vocab_size() <= 300
    for text in ("GOOD good", "Пример 例 🙂", "\x00\x1f", "a" * 5000):
        ids = tokenizer.encode(text).ids
        assert ids and 0 not in ids and 1 not in ids
    assert tokenizer.encode("GOOD").ids == tokenizer.encode("good").ids
    case = load_tokenizer(train_tokenizer(["Good", "good"] * 5, Text(vocabulary=300, lowercase=False)))
    assert case.encode("GOOD").ids != case.encode("good").ids
    with refused(DataError):
        train_tokenizer([" ", "\n"], Text())


def test_a_vocabulary_is_learnt_from_the_training_texts_only(tmp_path: Path) -> None:
    columns: dict[str, list[Any]] = {
        "text": [f"{'good' if n % 2 else 'bad'} thing {n}" for n in range(60)],
        "label": [n % 2 for n in range(60)],
    }
    wanted = recipe(
        "text-classification", write_csv(tmp_path / "t.csv", columns), {"text": {"vocabulary": 300}}
    )
    splits = open_data(wanted)
    found = fit_settings(wanted, splits)
    assert found.settings == TextSettings(256, "truncate")
    assert found.assets["tokenizer"] == train_tokenizer([one.raw for one in splits.train], wanted.text)
    assert "learnt from 42 texts" in found.notes[0]


def test_texts_of_too_many_tokens_are_told_or_refused(tmp_path: Path) -> None:
    columns: dict[str, list[Any]] = {
        "text": [f"{'good' if n % 2 else 'bad'} thing {n}" for n in range(60)],
        "label": [n % 2 for n in range(60)],
    }
    columns["text"][10] = "bad " * 50
    path = write_csv(tmp_path / "t.csv", columns)
    found = fitted("text-classification", path, {"text": {"max_tokens": 20}})
    assert found.notes[1].startswith("1 of 60 texts have more than 20 tokens (the longest 51)")
    message = refusal("text-classification", path, {"text": {"max_tokens": 20, "policy": "refuse"}})
    assert message.endswith("first 10: raise text.max_tokens, or use text.policy: truncate")


def test_bands_of_sound_are_normalised_over_the_training_frames() -> None:
    wanted = recipe("audio-classification", "builtin:tones", {"audio": {"sample_rate": 4000, "mels": 12}})
    splits = open_data(wanted)
    settings = fit_settings(wanted, splits).settings
    assert isinstance(settings, AudioSettings)
    frames = np.vstack([log_mel(load_audio(sample.raw, settings), settings) for sample in splits.train])
    np.testing.assert_allclose(settings.mean, frames.mean(axis=0, dtype=np.float64))
    np.testing.assert_allclose(settings.std, frames.std(axis=0, dtype=np.float64))
    task = load_task("audio-classification", to_plain(settings), splits.classes)
    together = np.vstack([task.encode(sample.raw)["input_features"] for sample in splits.train])
    assert np.abs(together.mean(axis=0)).max() < 1e-4 and np.abs(together.std(axis=0) - 1).max() < 1e-4
