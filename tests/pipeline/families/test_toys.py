"""A task and a family that the product has never heard of: an entry of the catalogue, and they are carried."""

import json
from pathlib import Path

import pytest

from edgewright.pipeline.families import family_of, list_models
from edgewright.pipeline.recipe.load import recipe_from_plain
from edgewright.runtime import Engine
from edgewright.runtime.errors import RecipeError
from tests.command import Call
from tests.messages import refused
from tests.pipeline.families.registered import register_toy

ROOT = Path(__file__).parents[3]


@pytest.fixture
def toys(monkeypatch: pytest.MonkeyPatch) -> None:
    register_toy(monkeypatch, "toy-classification", "toy_task")


@pytest.mark.usefixtures("toys")
def test_a_toy_is_trained_shipped_verified_and_answers(cli: Call, tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(
        "task: toy-classification\nmodel: toy-linear\n"
        "data: {source: 'builtin:digits', classes: [0, 1, 2, 3], train_per_class: 60}\n"
        "training: {epochs: 6, batch_size: 32, lr: 2e-2}\n"
    )
    bundle = tmp_path / "bundle"
    shipped = cli("ship", tmp_path / "recipe.yaml", "--out", bundle, "--json")
    assert shipped.code == 0, shipped.err
    assert cli("verify", bundle, "--against", tmp_path / "bundle.run").code == 0
    manifest = json.loads((bundle / "edgewright.json").read_text())
    assert (manifest["task"], manifest["model"]) == ("toy-classification", "toy-linear")
    names = {variant["name"] for variant in manifest["variants"]}
    assert "fp32" in names and names <= {"fp32", "fp16"}
    engine = Engine(bundle, cache=False)
    answers = [engine(bundle / sample["file"]).label for sample in manifest["golden"]["samples"]]
    assert answers == [manifest["labels"][decision] for decision in manifest["golden"]["decisions"]]
    layers = cli("layers", tmp_path / "bundle.run", "--json")
    assert layers.code == 0 and layers.json["trainable"] == layers.json["parameters"] == 4 * (3 * 16 * 16 + 1)


@pytest.mark.usefixtures("toys")
def test_a_toy_is_known_wherever_names_are_listed() -> None:
    recipe = recipe_from_plain(
        {"task": "toy-classification", "model": "toy-linear", "data": "builtin:digits"}
    )
    assert (
        family_of(recipe).name == "toy"
        and recipe.weights == "none"
        and recipe.wanted_variants == ("fp32", "fp16")
    )
    with refused(RecipeError):
        recipe_from_plain({"task": "toy-classification", "model": "toy-liner", "data": "builtin:digits"})
    with refused(RecipeError):
        recipe_from_plain({"task": "token-classification", "model": "toy-linear", "data": "a.csv"})
    assert [entry.name for entry in list_models("toy-linear")] == []


def test_the_product_has_no_name_of_theirs() -> None:
    for package in ("runtime", "exporters", "pipeline"):
        for file in (ROOT / package / "edgewright").rglob("*.py"):
            assert "toy" not in file.read_text(encoding="utf-8").lower(), file


def test_without_its_entry_a_toy_is_unknown() -> None:
    with refused(RecipeError):
        recipe_from_plain({"task": "toy-classification", "model": "toy-linear", "data": "builtin:digits"})
