"""What a stream remembers, from recipe to device: what was judged, whatever came before."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgewright.pipeline.data.sources import open_data
from edgewright.pipeline.recipe.load import load_recipe
from edgewright.runtime import Engine
from edgewright.runtime.bundle.manifest import StreamMemory
from tests.command import Call

STEPS = 640


def trend() -> np.ndarray:
    """It climbs beyond all that training saw: a state that remembers the start is in a country of its own."""
    draws = np.random.default_rng(2)
    return np.asarray(0.02 * np.arange(STEPS) + np.sin(np.arange(STEPS) / 3) + draws.normal(0, 0.1, STEPS))


def regimes() -> np.ndarray:
    """An oscillation that is fast and slow by turns."""
    draws = np.random.default_rng(3)
    pace = np.repeat(draws.choice([0.2, 1.1], STEPS // 40), 40)
    return np.asarray(np.sin(np.cumsum(pace)) + draws.normal(0, 0.05, STEPS))


SHAPES = {"trend": trend, "regimes": regimes}


def write(folder: Path, values: np.ndarray, labels: list[str] | None = None) -> None:
    rows = [f"{step},{value!r}" for step, value in enumerate(values.tolist())]
    head = "step,level"
    if labels is not None:
        head, rows = f"{head},kind", [f"{row},{label}" for row, label in zip(rows, labels, strict=True)]
    (folder / "data.csv").write_text("\n".join([head, *rows, ""]), encoding="utf-8")


def ship(cli: Call, folder: Path, recipe: str) -> dict[str, Any]:
    (folder / "recipe.yaml").write_text(recipe, encoding="utf-8")
    answer = cli("ship", folder / "recipe.yaml", "--out", folder / "bundle", "--json")
    assert answer.code == 0, answer.err
    verdict: dict[str, Any] = answer.json["verdict"]
    return verdict


FORECAST = """\
task: forecasting
model: gru
data: {source: ./data.csv, time: step, target: [level]}
forecast: {horizon: 3, context: 16, anchor: last}
network: {hidden: 12}
training: {epochs: 3, lr: 1e-2}
variants: [fp32]
"""


@pytest.mark.parametrize("shape", SHAPES)
def test_a_forecast_by_stream_is_the_one_that_was_judged(cli: Call, tmp_path: Path, shape: str) -> None:
    values = SHAPES[shape]()
    write(tmp_path, values)
    verdict = ship(cli, tmp_path, FORECAST)
    (row,) = verdict["rows"]
    assert row["stream_metric"] == pytest.approx(row["metric"], abs=1e-12) and verdict["stream_reason"] == ""
    assert row["step_p50_us"] is None
    manifest = json.loads((tmp_path / "bundle" / "edgewright.json").read_text(encoding="utf-8"))
    assert manifest["stream"] == {"memory": "context", "steps": 16} and manifest["graphs"].keys() == {"model"}
    with Engine(tmp_path / "bundle", cache=False) as engine, engine.stream() as stream:
        for step, value in enumerate(values):
            answer = stream.push([value])
            if step in (15, 16, 300, STEPS - 1):
                wanted = engine(values[step - 15 : step + 1, np.newaxis])
                np.testing.assert_array_equal(answer.values, wanted.values)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_state_that_is_carried_is_trained_and_judged_so(cli: Call, tmp_path: Path, shape: str) -> None:
    write(tmp_path, SHAPES[shape]())
    recipe = f"{FORECAST}stream: {{memory: carried}}\nbudget: {{max_drop: 0.9}}\n"
    verdict = ship(cli, tmp_path, recipe)
    (row,) = verdict["rows"]
    assert row["step_p50_us"] > 0 and row["stream_metric"] != row["metric"]
    with Engine(tmp_path / "bundle", cache=False) as engine:
        assert engine.manifest.stream == StreamMemory("carried", 16)
        samples = open_data(load_recipe(tmp_path / "recipe.yaml")).evaluation
        place = samples[0].place
        assert place is not None
        whole, ours, naive = place.recording.values, [], []
        with engine.stream() as stream:
            answers = [stream.push(value) for value in whole]
        for sample in samples:
            assert sample.place is not None and sample.place.recording is place.recording
            ours.append(np.abs(answers[sample.place.stop - 1].values - sample.target).mean())
            naive.append(np.abs(whole[sample.place.stop - 1] - sample.target).mean())
    # What a stream answers over the whole evaluation part, judged here by hand.
    assert row["stream_metric"] == pytest.approx(1 - np.mean(ours) / np.mean(naive), abs=1e-6)


WINDOWS = """\
task: sequence-classification
model: lstm
data: {source: ./data.csv, time: step, target: kind, features: [level], window: 10, split: time}
network: {hidden: 8, readout: mean}
training: {epochs: 3, lr: 1e-2}
variants: [fp32]
budget: {max_drop: 0.05}
"""


@pytest.mark.parametrize("shape", SHAPES)
def test_windows_of_a_class_are_answered_by_stream_as_they_were_judged(
    cli: Call, tmp_path: Path, shape: str
) -> None:
    """The class changes every 40 steps; a mean over all steps there ever were would soon be the same for all."""
    kinds = ["low" if step // 40 % 2 else "high" for step in range(STEPS)]
    values = SHAPES[shape]() + np.where(np.array(kinds) == "low", -3.0, 3.0)
    write(tmp_path, values, kinds)
    verdict = ship(cli, tmp_path, WINDOWS)
    (row,) = verdict["rows"]
    assert row["stream_metric"] == row["metric"] and (shape == "trend" or row["metric"] > 0.9)
    with Engine(tmp_path / "bundle", cache=False) as engine:
        assert engine.manifest.stream == StreamMemory("context", 10)
        with engine.stream() as stream:
            found = [stream.push([value]) for value in values]
        for step in (9, 39, 200, 609):
            wanted = engine(values[step - 9 : step + 1, np.newaxis])
            assert found[step].probabilities == wanted.probabilities


TONES = """\
task: audio-classification
model: gru
data: {source: "builtin:tones", train_per_class: 60, evaluation: 0.1}
audio: {sample_rate: 8000, mels: 20, hop_ms: 16}
network: {hidden: 24, readout: max}
training: {epochs: 6, lr: 1e-2}
variants: [fp32]
budget: {max_drop: 0.05}
"""


def test_sounds_one_after_another_are_answered_as_each_alone(cli: Call, tmp_path: Path) -> None:
    verdict = ship(cli, tmp_path, TONES)
    (row,) = verdict["rows"]
    assert verdict["stream_reason"] == "" and row["stream_metric"] >= row["metric"] - 0.05
    samples = open_data(load_recipe(tmp_path / "recipe.yaml")).evaluation
    mixed = np.random.default_rng(4).permutation(len(samples))[:40]
    same = 0
    with Engine(tmp_path / "bundle", cache=False) as engine, engine.stream(rate=8000) as stream:
        memory = engine.manifest.stream
        assert memory is not None and memory.memory == "context" and memory.pause is not None
        for place in mixed:
            sound, rate = samples[place].raw
            heard = np.concatenate((sound, np.zeros(4000, np.float32)))
            newest = None
            for start in range(0, len(heard), 400):
                newest = stream.push(heard[start : start + 400]) or newest
            assert newest is not None
            same += newest.label == engine(sound, rate=rate).label
    assert same >= 37
