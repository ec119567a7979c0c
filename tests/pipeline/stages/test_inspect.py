"""The layers of recurrent models and encoders: by name, and of a run, whose data decides the widths."""

import json
from pathlib import Path

import pytest
from safetensors.torch import save_file

from edgewright.pipeline.models.recurrent.network import CELLS, Network
from edgewright.pipeline.recipe.load import recipe_from_plain
from edgewright.pipeline.stages.inspect import layers_of
from edgewright.runtime.bundle.files import write_json
from edgewright.runtime.errors import ModelError, RecipeError
from tests.messages import refused
from tests.pipeline.models.recurrent.sequences import build
from tests.pipeline.models.text_encoders.checkpoints import MINILM, built, checkpoint


@pytest.mark.parametrize("cell", CELLS)
def test_a_cell_is_shown_as_a_recipe_without_a_network_has_it(cell: str) -> None:
    layers = layers_of(cell, "1")
    gates = {"rnn": 1, "lstm": 4, "gru": 3}[cell]
    assert [(row.name, row.type, row.state) for row in layers.rows] == [
        ("layers.0.cells.0", cell.upper(), "frozen"),
        ("head", "Linear", "trainable"),
    ]
    assert layers.rows[0].parameters == gates * 128 * (1 + 128 + 2)


def test_a_run_is_shown_with_its_own_widths(tmp_path: Path) -> None:
    recipe = recipe_from_plain(
        {"task": "sequence-regression", "model": "gru", "data": "builtin:adding-20", "network": {"hidden": 8}}
    )
    built = build("sequence-regression", Network("gru", layers=2, hidden=8))
    write_json(tmp_path / "recipe.json", recipe.to_plain())
    write_json(tmp_path / "data.json", {"classes": []})
    with refused(RecipeError):
        layers_of(str(tmp_path), None)
    save_file(
        built.module.state_dict(),
        tmp_path / "weights.safetensors",
        {"edgewright": json.dumps({"build": built.build})},
    )
    layers = layers_of(str(tmp_path), None)
    assert (layers.model, len(layers.rows)) == ("gru", 3)
    assert layers.trainable == layers.parameters == sum(t.numel() for t in built.module.parameters())
    assert layers_of(str(tmp_path), "layers.1").trainable < layers.parameters
    with refused(RecipeError):
        layers_of(str(tmp_path), "layers.9")


def test_a_checkpoint_is_shown_by_its_folder_and_by_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(checkpoint("bert").parent)
    assert layers_of("./bert-None", "layer.1").rows == layers_of(str(checkpoint("bert")), "layer.1").rows
    layers = layers_of(str(checkpoint("bert")), "layer.1")
    assert {row.state for row in layers.rows if ".layer.1." in row.name or row.name == "head"} == {
        "trainable"
    }
    assert {row.state for row in layers.rows if ".layer.0." in row.name} == {"frozen"}
    minilm = layers_of(MINILM, "1")
    assert minilm.trainable == 2 * 384 + 2 and minilm.parameters > 22_000_000
    with refused(ModelError):
        layers_of("package:no_such_package_here", None)


def test_a_run_of_an_encoder_is_shown_without_its_checkpoint(tmp_path: Path) -> None:
    model = built(checkpoint("bert"), "text-classification", 3)
    recipe = recipe_from_plain(
        {"task": "text-classification", "model": "owner/name", "data": "builtin:stdlib-docs"}
    )
    write_json(tmp_path / "recipe.json", recipe.to_plain())
    write_json(tmp_path / "data.json", {"classes": ["a", "b", "c"]})
    record = {"edgewright": json.dumps({"build": model.build})}
    save_file(model.module.state_dict(), tmp_path / "weights.safetensors", record)
    layers = layers_of(str(tmp_path), None)
    assert layers.model == "owner/name" and 0 < layers.trainable < layers.parameters
    assert layers_of(str(tmp_path), "all").trainable == layers.parameters
    kept = {**recipe.to_plain(), "transfer": {"mode": "none"}}
    write_json(tmp_path / "recipe.json", recipe_from_plain(kept).to_plain())
    assert layers_of(str(tmp_path), None).trainable == 0
