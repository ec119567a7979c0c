"""What a training wrote can be read back, and what is broken says so."""

import dataclasses
import json
import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from edgewright.pipeline.data.sources import open_data
from edgewright.pipeline.models.vision.build import build_model
from edgewright.pipeline.recipe.load import recipe_from_plain
from edgewright.pipeline.recipe.recipe import Recipe
from edgewright.pipeline.tasks.figures import figures_of, mean_loss
from edgewright.pipeline.training.fit import fit
from edgewright.pipeline.training.results import load_trained
from edgewright.runtime.errors import ModelError, TrainingError
from tests.answering import answers_of
from tests.messages import refused


@pytest.fixture(scope="module")
def tiny() -> Recipe:
    return recipe_from_plain(
        {
            "task": "image-classification",
            "model": "mobilenet_v3_small",
            "weights": "none",
            "data": {"source": "builtin:digits", "classes": ["0", "1", "2"], "train_per_class": 20},
            "input": {"size": 32},
            "training": {"epochs": 1, "lr": 0.001, "class_weights": "balanced", "label_smoothing": 0.1},
        }
    )


def test_a_trained_model_comes_back(tiny: Recipe, tmp_path: Path) -> None:
    splits = open_data(tiny)
    built = build_model(tiny.model, 3, tiny.weights, tiny.input.size)
    trained = fit(built, splits, tiny, tmp_path)
    loaded = load_trained(tmp_path)
    assert loaded.classes == ("0", "1", "2")
    assert loaded.weights_sha256 == trained.digests["weights"]
    assert loaded.built.settings == built.settings
    assert not loaded.built.module.training
    ours, theirs = built.module.state_dict(), loaded.built.module.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    device = loaded.task.device_task(loaded.built.settings, loaded.classes)
    outputs = device.collate([device.encode(sample.raw) for sample in splits.evaluation])
    with torch.inference_mode():
        logits = loaded.built.module(torch.from_numpy(outputs["pixel_values"])).numpy()
    targets = torch.tensor([sample.target for sample in splits.evaluation]).numpy()
    before, answers = trained.metrics["evaluation"], answers_of(device, {"logits": logits})
    again = figures_of(loaded.task.figures, zip(answers, targets, strict=True))
    assert (again["confusion"], again["accuracy"]) == (before["confusion"], before["accuracy"])
    assert mean_loss(loaded.task, logits, targets) == pytest.approx(before["loss"], rel=1e-5)
    assert (tmp_path / "weights.safetensors").stat().st_mode & 0o044 == 0o044


def test_no_run_at_all(tmp_path: Path) -> None:
    with refused(TrainingError):
        load_trained(tmp_path)


def test_broken_weights(tmp_path: Path) -> None:
    (tmp_path / "weights.safetensors").write_bytes(b"\xff" * 64)
    with refused(TrainingError):
        load_trained(tmp_path)


def test_weights_of_something_else(tmp_path: Path) -> None:
    save_file({"a": torch.ones(1)}, tmp_path / "weights.safetensors")
    with refused(TrainingError):
        load_trained(tmp_path)


def test_weights_that_do_not_fit_their_record(tiny: Recipe, tmp_path: Path) -> None:
    build = {"library": "torchvision", "name": tiny.model, "classes": 2, "input_size": [32, 32], "seed": 0}
    record = {"task": tiny.task, "classes": ["a", "b"], "licence": "", "options": {}, "build": build}
    save_file(
        {"a": torch.ones(1)}, tmp_path / "weights.safetensors", metadata={"edgewright": json.dumps(record)}
    )
    with refused(ModelError):
        load_trained(tmp_path)


def test_auxiliary_heads_learn_and_come_back(tmp_path: Path) -> None:
    wanted = recipe_from_plain(
        {
            "task": "image-classification",
            "model": "googlenet",
            "weights": "none",
            "data": {"source": "builtin:digits", "classes": ["0", "1"], "train_per_class": 8},
            "input": {"size": 64},
            "training": {"epochs": 1, "batch_size": 8, "lr": 0.001},
        }
    )
    splits = open_data(wanted)
    splits = dataclasses.replace(splits, validation=splits.validation[:2], evaluation=splits.evaluation[:2])
    built = build_model(wanted.model, 2, wanted.weights, wanted.input.size)
    assert set(built.auxiliary_heads) == {"aux1", "aux2"}
    before = {name: tensor.clone() for name, tensor in built.module.state_dict().items()}
    row = fit(built, splits, wanted, tmp_path).curves[0]
    for name in ("aux1.fc2.weight", "aux2.conv.conv.weight", "fc.weight"):
        assert not torch.equal(built.module.state_dict()[name], before[name]), name
    # three heads that guess between two classes: 1 + 0.3 + 0.3 times log 2
    assert row["train_loss"] == pytest.approx(1.6 * math.log(2), rel=0.4)
    assert load_trained(tmp_path).built.auxiliary_heads == built.auxiliary_heads
