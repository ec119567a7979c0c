"""The layers of recurrent models: by name, and of a run, whose data decides the widths."""

import json
from pathlib import Path

import pytest
from safetensors.torch import save_file

from edgewright.pipeline.inspection import layers_of
from edgewright.pipeline.models.recurrent.network import CELLS, Network
from edgewright.pipeline.recipe import recipe_from_plain
from edgewright.runtime.errors import RecipeError
from edgewright.runtime.files import write_json
from tests.pipeline.models.recurrent.sequences import build


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
    with pytest.raises(RecipeError, match="holds no trained weights"):
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
    with pytest.raises(RecipeError, match=r"--unfreeze: gru has no layer 'layers\.9'"):
        layers_of(str(tmp_path), "layers.9")
