"""Transfer: the scales, bands and vocabulary of a run travel with its weights."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from edgewright.pipeline.data.sources import open_data
from edgewright.pipeline.families import fit_settings
from edgewright.pipeline.fitted.fitted import Fitted
from edgewright.runtime.bundle.structure import to_plain
from edgewright.runtime.errors import RecipeError
from edgewright.runtime.series.settings import SeriesSettings
from edgewright.runtime.sound.mel import AudioSettings
from tests.messages import refused
from tests.pipeline.data.small_tables import gestures, recipe, sensors, write_csv

CLASSIFY, REGRESS, FORECAST = "sequence-classification", "sequence-regression", "forecasting"
SENSOR: dict[str, Any] = {"series": "sensor", "time": "hour", "target": "flow"}


def leave_weights(folder: Path, task: str, fitted: Fitted) -> Path:
    """The file that a run with these settings leaves, as far as it matters here."""
    path = folder / "run" / "weights.safetensors"
    path.parent.mkdir(exist_ok=True)
    build = {
        "task": task,
        "settings": to_plain(fitted.settings),
        "assets": {role: content.decode() for role, content in fitted.assets.items()},
    }
    save_file({"w": np.zeros(1, np.float32)}, path, {"edgewright": json.dumps({"build": build})})
    return path


def fitted(
    task: str,
    source: Path | str,
    sections: dict[str, Any] | None = None,
    weights: Path | None = None,
    **data: Any,
) -> Fitted:
    more = {} if weights is None else {"weights": str(weights)}
    wanted = recipe(task, source, {**(sections or {}), **more}, **data)
    return fit_settings(wanted, open_data(wanted))


def scaled(columns: dict[str, list[Any]], name: str, by: float) -> dict[str, list[Any]]:
    return {**columns, name: [value * by for value in columns[name]]}


def series(found: Fitted) -> SeriesSettings:
    assert isinstance(found.settings, SeriesSettings)
    return found.settings


def test_the_scales_of_the_same_columns_travel_with_the_weights(tmp_path: Path) -> None:
    first = fitted(REGRESS, write_csv(tmp_path / "a.csv", sensors(1, 200)), window=10, **SENSOR)
    weights = leave_weights(tmp_path, REGRESS, first)
    other = scaled(scaled(sensors(1, 200, seed=1), "heat", 3.0), "flow", 5.0)
    path = write_csv(tmp_path / "b.csv", other)
    alone = series(fitted(REGRESS, path, window=10, **SENSOR))
    found = fitted(REGRESS, path, None, weights, window=10, **SENSOR)
    assert series(found) == series(first) != alone
    assert found.notes == ("inputs are scaled as run/weights.safetensors learnt them",)


def test_another_target_has_a_scale_of_its_own(tmp_path: Path) -> None:
    first = fitted(REGRESS, write_csv(tmp_path / "a.csv", sensors(1, 200)), window=10, **SENSOR)
    weights = leave_weights(tmp_path, REGRESS, first)
    columns = sensors(1, 200, seed=1)
    columns["level"] = [9.0 * value for value in columns.pop("flow")]
    found = series(
        fitted(REGRESS, write_csv(tmp_path / "b.csv", columns), None, weights, window=10,
               series="sensor", time="hour", target="level")
    )  # fmt: skip
    assert found.mean == series(first).mean and found.targets == ("level",)
    np.testing.assert_allclose(found.target_std, np.std(columns["level"][:140]))


def test_other_columns_are_scaled_anew(tmp_path: Path) -> None:
    first = fitted(REGRESS, write_csv(tmp_path / "a.csv", sensors(1, 200)), window=10, **SENSOR)
    weights = leave_weights(tmp_path, REGRESS, first)
    columns = sensors(1, 200, seed=1)
    columns["depth"] = columns.pop("heat")
    path = write_csv(tmp_path / "b.csv", columns)
    assert fitted(REGRESS, path, None, weights, window=10, **SENSOR) == fitted(
        REGRESS, path, window=10, **SENSOR
    ), "the model says that its layers do not know these"


def test_a_forecast_keeps_the_scale_of_its_features(tmp_path: Path) -> None:
    sections = {"forecast": {"context": 8, "horizon": 4}}
    keys = {**SENSOR, "target": "heat"}
    first = fitted(FORECAST, write_csv(tmp_path / "a.csv", sensors(1, 200)), sections, **keys)
    weights = leave_weights(tmp_path, FORECAST, first)
    path = write_csv(tmp_path / "b.csv", scaled(sensors(1, 200), "heat", 7.0))
    longer = {"forecast": {"context": 10, "horizon": 2}}
    found = series(fitted(FORECAST, path, longer, weights, **keys))
    assert (found.mean, found.target_std) == (series(first).mean, series(first).target_std)
    assert found.forecast is not None and found.forecast.horizon == 2


def test_a_classifier_takes_the_scales_of_a_regression(tmp_path: Path) -> None:
    columns = sensors(1, 200)
    first = fitted(REGRESS, write_csv(tmp_path / "a.csv", columns), window=10, **SENSOR)
    weights = leave_weights(tmp_path, REGRESS, first)
    columns = scaled(sensors(20, 12), "heat", 4.0)
    columns["label"] = [name[-1] in "02468" for name in columns["sensor"]]
    del columns["flow"]
    path = write_csv(tmp_path / "b.csv", columns)
    found = series(fitted(CLASSIFY, path, None, weights, series="sensor", time="hour"))
    assert found.mean == series(first).mean and found.targets == () == found.target_mean


def test_steps_of_another_length_are_told(tmp_path: Path) -> None:
    first = fitted(REGRESS, write_csv(tmp_path / "a.csv", sensors(1, 200)), window=10, **SENSOR)
    weights = leave_weights(tmp_path, REGRESS, first)
    path = write_csv(tmp_path / "b.csv", scaled(sensors(1, 200), "hour", 10))
    notes = fitted(REGRESS, path, None, weights, window=10, **SENSOR).notes
    assert notes == (
        "the steps are 10 long, those of run/weights.safetensors were 1: what it learnt may not hold",
    )


def test_the_vocabulary_travels_with_the_weights(tmp_path: Path) -> None:
    def table(name: str, word: str) -> Path:
        columns: dict[str, list[Any]] = {
            "text": [f"{'good' if n % 2 else 'bad'} {word} {n}" for n in range(60)],
            "label": [n % 2 for n in range(60)],
        }
        return write_csv(tmp_path / name, columns)

    first = fitted("text-classification", table("a.csv", "weather"))
    weights = leave_weights(tmp_path, "text-classification", first)
    path = table("b.csv", "mountains")
    found = fitted("text-classification", path, {"text": {"max_tokens": 9}}, weights)
    assert found.assets == first.assets != fitted("text-classification", path).assets
    assert found.notes[0].endswith("entries, of run/weights.safetensors")
    assert to_plain(found.settings)["max_tokens"] == 9


def test_the_bands_of_sound_travel_with_the_weights_or_must_be_the_same(tmp_path: Path) -> None:
    task, sections = "audio-classification", {"audio": {"sample_rate": 4000, "mels": 12}}
    first = fitted(task, "builtin:tones", sections)
    weights = leave_weights(tmp_path, task, first)
    found = fitted(task, "builtin:tones", sections, weights, classes=["noise", "steady"])
    assert isinstance(found.settings, AudioSettings) and found.settings == first.settings
    assert found.settings != fitted(task, "builtin:tones", sections, classes=["noise", "steady"]).settings
    with refused(RecipeError):
        fitted(task, "builtin:tones", {"audio": {"sample_rate": 4000, "mels": 20}}, weights)


def test_weights_without_a_record_carry_nothing(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "t.csv", gestures())
    weights = tmp_path / "plain.safetensors"
    save_file({"w": np.zeros(1, np.float32)}, weights)
    assert fitted(CLASSIFY, path, None, weights, series="id") == fitted(CLASSIFY, path, series="id")
