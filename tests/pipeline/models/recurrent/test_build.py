"""Building recurrent models: records, blocks, weights of other runs, and what is said when it cannot be done."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from edgewright.pipeline.families import list_models, rebuild_model
from edgewright.pipeline.models.layers import layer_rows, resolve_unfreeze
from edgewright.pipeline.models.model import BuiltModel
from edgewright.pipeline.models.recurrent.network import CELLS, Network
from edgewright.pipeline.models.vision.build import build_model
from edgewright.pipeline.models.vision.registry import find_model
from edgewright.pipeline.models.weights import read_weights_record
from edgewright.runtime.errors import EdgewrightError, ModelError, RecipeError
from tests.messages import refused
from tests.pipeline.models.recurrent.sequences import TASKS, build, settings_for

SMALL = Network("lstm", layers=2, hidden=8, embedding=6)


def save(built: BuiltModel, path: Path) -> Path:
    """The weights as a run leaves them."""
    record = {"task": built.build["task"], "build": built.build}
    save_file(built.module.state_dict(), path, {"edgewright": json.dumps(record)})
    return path


def same(one: BuiltModel, other: BuiltModel, prefix: str = "") -> bool:
    ours, theirs = one.module.state_dict(), other.module.state_dict()
    assert ours.keys() == theirs.keys()
    return all(torch.equal(ours[key], theirs[key]) for key in ours if key.startswith(prefix))


def test_the_seed_decides_every_weight_and_leaves_the_process_alone() -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    one = build("sequence-regression", SMALL, seed=1)
    assert torch.equal(torch.rand(3), expected)
    assert same(one, build("sequence-regression", SMALL, seed=1))
    assert not same(one, build("sequence-regression", SMALL, seed=2))
    assert not one.module.training


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("task", TASKS)
def test_a_record_builds_the_same_model_again(task: str, cell: str, bidirectional: bool) -> None:
    network = Network(cell, 2, 8, bidirectional, residual=True, layer_norm=True, readout="max", embedding=6)
    built = build(task, network, seed=3)
    again = rebuild_model(json.loads(json.dumps(built.build)), built.licence)
    assert same(built, again)
    for field in dataclasses.fields(BuiltModel):
        if field.name not in ("module", "others"):
            assert getattr(again, field.name) == getattr(built, field.name), field.name
    assert again.others.keys() == built.others.keys()
    assert built.others.keys() == (set() if bidirectional or task == "text-classification" else {"step"})
    for role in built.others:
        assert again.part(role).spec == built.part(role).spec


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"task": "translation"}, "'task'|translation"),
        ({"seed": "0"}, "seed"),
        ({"network": {"cell": "lstm", "layers": 0}}, "layers"),
        ({"network": {"cell": "lstm", "width": 3}}, "width"),
        ({"network": {"cell": "transformer"}}, "transformer"),
        ({"settings": {"features": []}}, "settings"),
        ({"more": 1}, "more"),
    ],
)
def test_a_broken_record_is_refused(change: dict[str, object], named: str) -> None:
    with pytest.raises(ModelError, match=named) as caught:
        rebuild_model({**build("sequence-regression", SMALL).build, **change})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("task", TASKS)
def test_every_parameter_is_in_one_block_and_the_last_is_the_head(task: str) -> None:
    built = build(task, dataclasses.replace(SMALL, residual=True, layer_norm=True))
    names = [name for name, _ in built.module.named_parameters()]
    assert [sum(block.owns(name) for block in built.blocks) for name in names] == [1] * len(names)
    first = ["embedding"] if task == "text-classification" else []
    assert [block.name for block in built.blocks] == [*first, "layers.0", "layers.1", "head"]
    assert resolve_unfreeze(built, 2) == {name for name in names if name.startswith(("layers.1.", "head."))}
    assert resolve_unfreeze(built, "layers.0") == {
        name for name in names if name.startswith(("layers.0.", "head."))
    }
    rows = layer_rows(built.module, resolve_unfreeze(built, 1))
    assert sum(row.parameters for row in rows) == sum(tensor.numel() for tensor in built.module.parameters())
    assert {row.type for row in rows} >= {"LSTM", "LayerNorm", "Linear"}


def test_weights_of_another_run_get_a_new_head_or_keep_it(tmp_path: Path) -> None:
    source = build("forecasting", SMALL, seed=5)
    path = save(source, tmp_path / "weights.safetensors")
    built = build("forecasting", SMALL, weights=path, seed=6)
    assert same(built, source, "layers.") and not same(built, source, "head.")
    assert same(build("forecasting", SMALL, weights=path, head="keep"), source)
    other = build("sequence-classification", SMALL, weights=path)
    assert torch.equal(
        other.module.get_parameter("layers.1.cells.0.weight_hh_l0"),
        source.module.get_parameter("layers.1.cells.0.weight_hh_l0"),
    )
    record = read_weights_record(path)
    assert record is not None and record["task"] == "forecasting"
    assert same(rebuild_model(record), build("forecasting", SMALL, seed=5))


def test_weights_without_a_record_are_taken_by_their_shapes(tmp_path: Path) -> None:
    source = build("sequence-regression", SMALL, seed=5)
    path = tmp_path / "plain.safetensors"
    save_file(source.module.state_dict(), path)
    assert read_weights_record(path) is None
    assert same(build("sequence-regression", SMALL, weights=path), source, "layers.")
    with refused(ModelError):
        build("sequence-regression", dataclasses.replace(SMALL, hidden=16), weights=path)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"cell": "gru"}, "was trained as lstm, the recipe says gru: set model: lstm"),
        ({"hidden": 16}, "hidden 8, the recipe says 16: set network.hidden: 8"),
        ({"layers": 1}, "layers 2, the recipe says 1"),
        ({"bidirectional": True}, "bidirectional false, the recipe says true"),
        ({"layer_norm": True}, "layer_norm false, the recipe says true"),
        ({"residual": True}, "residual false"),
    ],
)
def test_weights_of_another_network_are_refused(changes: dict[str, Any], named: str, tmp_path: Path) -> None:
    path = save(build("sequence-regression", SMALL), tmp_path / "weights.safetensors")
    with pytest.raises(ModelError, match=named) as caught:
        build("sequence-regression", dataclasses.replace(SMALL, **changes), weights=path)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)


def test_weights_of_other_inputs_are_refused(tmp_path: Path) -> None:
    path = save(build("sequence-classification", SMALL), tmp_path / "weights.safetensors")
    with refused(ModelError):
        build("audio-classification", SMALL, weights=path)
    path = save(build("text-classification", SMALL), tmp_path / "text.safetensors")
    record = json.loads(json.dumps(build("text-classification", SMALL).build))
    record["assets"]["tokenizer"] = record["assets"]["tokenizer"].replace("another", "other")
    other = dataclasses.replace(rebuild_model(record), build=record)
    path = save(other, tmp_path / "text.safetensors")
    with refused(ModelError):
        build("text-classification", SMALL, weights=path)
    with refused(ModelError):
        build("sequence-classification", SMALL, weights=path)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "backbone.", "model.", "net.module."])
@pytest.mark.parametrize("head", ["keep", "new"])
def test_what_a_wrapper_set_before_all_names_is_no_part_of_them(
    tmp_path: Path, prefix: str, head: str
) -> None:
    state = build("sequence-classification", SMALL).module.state_dict()
    path = tmp_path / "wrapped.safetensors"
    save_file({f"{prefix}{name}": tensor for name, tensor in state.items()}, path)
    taken = build("sequence-classification", SMALL, weights=path, head=head, seed=9).module.state_dict()
    names = [name for name in state if head == "keep" or not name.startswith("head.")]
    assert all(torch.equal(taken[name], state[name]) for name in names)


def test_a_kept_head_must_answer_the_same(tmp_path: Path) -> None:
    path = save(build("sequence-regression", SMALL), tmp_path / "weights.safetensors")
    with refused(ModelError):
        build("sequence-classification", SMALL, weights=path, head="keep")


def test_an_image_model_is_no_recurrent_one(tmp_path: Path) -> None:
    images = build_model("squeezenet1_1", 3, "none", 64)
    path = tmp_path / "images.safetensors"
    record = {"task": "image-classification", "build": images.build}
    save_file(images.module.state_dict(), path, {"edgewright": json.dumps(record)})
    with refused(ModelError):
        build("sequence-regression", SMALL, weights=path)
    with refused(RecipeError):
        build_model("lstm", 3, "none")


@pytest.mark.parametrize(
    ("network", "options", "message"),
    [
        (Network("lstm"), {"weights": "imagenet"}, "no published weights of lstm"),
        (Network("lstm"), {"head": "keep"}, "no head to keep"),
        (Network("lstm"), {"head": "old"}, "new nor keep"),
        (Network("lstm", activation="relu"), {}, "network.activation: lstm has gates"),
        (Network("rnn", activation="sigmoid"), {}, "choose one of tanh, relu"),
        (Network("lstm", init="zeros"), {}, "choose one of default, xavier, he, orthogonal"),
        (Network("lstm", readout="first"), {}, "choose one of last, mean, max"),
        (Network("lstm", hidden=0), {}, "network.hidden: 0 is too small"),
        (Network("lstm", dropout=1.0), {}, "network.dropout"),
        (Network("transformer"), {}, "choose one of rnn, lstm, gru"),
    ],
)
def test_an_impossible_request_names_the_way_out(
    network: Network, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(EdgewrightError, match=message) as caught:
        build("sequence-classification", network, **options)
    assert "\n" not in str(caught.value)


def test_what_a_task_needs_is_asked_for() -> None:
    from edgewright.pipeline.models.recurrent.build import build_recurrent

    settings = settings_for("sequence-classification")
    with refused(RecipeError):
        build_recurrent("sequence-classification", SMALL, settings, 1)
    with refused(RecipeError):
        build_recurrent("image-classification", SMALL, settings, 3)
    with refused(ModelError):
        build_recurrent("forecasting", SMALL, settings)
    with refused(ModelError):
        build_recurrent("text-classification", SMALL, settings_for("text-classification"), 3)
    with refused(ModelError):
        build_recurrent(
            "text-classification", SMALL, settings_for("text-classification"), 3, {"tokenizer": b"{}"}
        )


def test_the_registry_lists_the_cells() -> None:
    assert [entry.name for entry in list_models()][:3] == list(CELLS)
    (entry,) = (entry for entry in list_models("gru") if entry.name == "gru")
    assert (entry.library, entry.parameters, entry.input_size, entry.weights) == ("recurrent", None, None, ())
    assert next(entry.name for entry in list_models("lstm")) == "lstm"
    with refused(RecipeError):
        find_model("LSTM")
    with refused(RecipeError):
        find_model("gru")
