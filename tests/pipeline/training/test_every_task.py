"""Every task of the registry through the stages that end in a trained model, on a part of a built-in set."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgewright.exporters.reference import packed
from edgewright.pipeline.catalog import TASKS
from edgewright.pipeline.data.sources import open_data
from edgewright.pipeline.families import build_for, fit_settings
from edgewright.pipeline.recipe.load import recipe_from_plain
from edgewright.pipeline.training.distributed import World
from edgewright.pipeline.training.fit import fit
from edgewright.pipeline.training.results import load_trained
from edgewright.pipeline.training.sample_source import SampleSource
from edgewright.pipeline.training.stepping import predict
from tests.pipeline.training.small_encoders import KINDS

RECIPES: dict[str, dict[str, Any]] = {
    "image-classification": {
        "model": "mobilenet_v3_small",
        "weights": "none",
        "data": {"source": "builtin:digits", "classes": ["0", "1"]},
        "input": {"size": 32},
    },
    "sequence-classification": {"model": "lstm", "data": "builtin:digits-rows"},
    "sequence-regression": {"model": "rnn", "data": "builtin:adding-20"},
    "forecasting": {
        "model": "gru",
        "data": "builtin:co2",
        "forecast": {"horizon": 4, "season": 8, "context": 16},
    },
    "text-classification": {"model": "gru", "data": "builtin:stdlib-docs", "text": {"vocabulary": 400}},
    "audio-classification": {"model": "gru", "data": "builtin:tones"},
}


def test_every_task_is_trained_somewhere() -> None:
    assert {*RECIPES, *(kind.task for kind in KINDS.values())} == set(TASKS)


@pytest.mark.parametrize("name", RECIPES)
def test_a_task_trains_and_comes_back(tmp_path: Path, name: str) -> None:
    plain = {"task": name, **RECIPES[name], "training": {"epochs": 1, "batch_size": 8, "lr": 0.005}}
    if name != "image-classification":
        plain["network"] = {"hidden": 8}
    recipe = recipe_from_plain(plain)
    splits = part_of(open_data(recipe))
    fitted = fit_settings(recipe, splits)
    built = build_for(recipe, splits, fitted)
    trained = fit(built, splits, recipe, tmp_path)
    figures = trained.metrics["evaluation"]
    assert all(np.isfinite(figures[metric]) for metric in (*TASKS[name].metrics, "loss"))
    assert ("gradients.json" in {path.name for path in tmp_path.iterdir()}) == (
        name != "image-classification"
    )

    loaded = load_trained(tmp_path)
    assert dict(loaded.built.assets) == dict(built.assets)
    device = loaded.task.device_task(loaded.built.settings, loaded.classes, loaded.built.assets)
    source = SampleSource(splits.evaluation, loaded.task, device, names=loaded.built.input_names)
    outputs = predict(loaded.built.module, source, 8, World())
    encoded = [device.encode(sample.raw) for sample in splits.evaluation]
    named = ({loaded.built.output_names[0]: row} for row in outputs)
    answers = map(device.decode, named, encoded)
    metric, truths = loaded.task.metric(), loaded.task.truths(splits.evaluation, device)
    evidence = packed([metric.evidence(*pair) for pair in zip(answers, truths, strict=True)])
    assert metric.of(evidence) == figures[TASKS[name].metrics[0]]
    if metric.outcomes is not None:
        assert metric.outcomes(evidence).mean() == pytest.approx(figures["accuracy"])


def part_of(splits: Any) -> Any:
    """At most 24 samples of each split, of all classes."""
    return dataclasses.replace(
        splits,
        **{
            name: splits.split(name)[:: max(1, len(splits.split(name)) // 24)][:24]
            for name in ("train", "validation", "evaluation")
        },
    )
