"""From a recipe and its data to a model that answers what the device's own encode gives."""

from typing import Any

import pytest
import torch

from edgewright.pipeline.data.sources import open_data
from edgewright.pipeline.families import build_for, fit_settings, rebuild_model
from edgewright.pipeline.models.model import BuiltModel
from edgewright.pipeline.recipe.load import recipe_from_plain
from edgewright.runtime.bundle.structure import to_plain
from edgewright.runtime.contracts import GraphSpec, TensorSpec
from edgewright.runtime.errors import ModelError
from edgewright.runtime.tasks import load_task
from tests.messages import refused

RECIPES: dict[str, dict[str, Any]] = {
    "sequence-classification": {"data": "builtin:digits-rows", "model": "lstm"},
    "sequence-regression": {"data": "builtin:adding-20", "model": "rnn"},
    "forecasting": {
        "data": "builtin:co2",
        "model": "gru",
        "forecast": {"horizon": 8, "season": 52, "context": 60},
    },
    "audio-classification": {"data": "builtin:tones", "model": "gru"},
    "text-classification": {"data": "builtin:stdlib-docs", "model": "lstm"},
    "image-classification": {"data": "builtin:digits", "model": "squeezenet1_1", "weights": "none"},
}


def built_from(task: str, **changes: Any) -> tuple[BuiltModel, Any]:
    recipe = recipe_from_plain({"task": task, **RECIPES[task], **changes})
    splits = open_data(recipe)
    return build_for(recipe, splits, fit_settings(recipe, splits)), splits


@pytest.mark.parametrize("task", RECIPES)
def test_the_model_answers_what_encode_gives(task: str) -> None:
    changes = {} if task == "image-classification" else {"network": {"hidden": 12, "layers": 2}}
    built, splits = built_from(task, **changes)
    device = load_task(task, to_plain(built.settings), splits.classes, built.assets)
    feeds = device.collate([device.encode(sample.raw) for sample in splits.train[:3]])
    assert list(feeds) == list(built.input_names)
    with torch.no_grad():
        answer = built.module(*(torch.from_numpy(feeds[name]) for name in built.input_names))
    assert answer.shape[0] == 3 and torch.isfinite(answer).all()
    device.check({"model": GraphSpec(*specs(built, feeds, answer))})
    if task != "image-classification":
        assert built.build["network"]["hidden"] == 12 and len(built.blocks) >= 3
    again = rebuild_model(built.build)
    assert again.settings == built.settings and again.assets == built.assets


def specs(built: BuiltModel, feeds: dict[str, Any], answer: torch.Tensor) -> tuple[Any, Any]:
    """What the exported graph will say of its inputs and outputs."""
    axes = built.dynamic_axes or {name: {0: "batch"} for name in built.input_names}
    inputs = [
        TensorSpec(
            name,
            feeds[name].dtype.name,
            tuple(axes[name].get(axis, size) for axis, size in enumerate(feeds[name].shape)),
        )
        for name in built.input_names
    ]
    every_step = answer.ndim == 3 and "anchor" not in built.input_names
    shape = ("batch", "time" if every_step else answer.shape[1], *answer.shape[2:])
    return tuple(inputs), (TensorSpec(built.output_names[0], "float32", shape),)


def test_weights_of_another_network_are_named_as_the_recipe_says_it(tmp_path: Any) -> None:
    import json

    from safetensors.torch import save_file

    built, _ = built_from("sequence-regression", network={"hidden": 12})
    path = tmp_path / "weights.safetensors"
    save_file(built.module.state_dict(), path, {"edgewright": json.dumps({"build": to_plain(built.build)})})
    again, _ = built_from("sequence-regression", network={"hidden": 12}, weights=str(path))
    assert torch.equal(
        again.module.get_parameter("layers.0.cells.0.weight_hh_l0"),
        built.module.get_parameter("layers.0.cells.0.weight_hh_l0"),
    )
    with refused(ModelError):
        built_from("sequence-regression", network={"hidden": 16}, weights=str(path))
