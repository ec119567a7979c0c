"""The recipes among the examples: each is one, and together they show every key at its default."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from edgewright.pipeline.catalog import TASKS
from edgewright.pipeline.recipe.load import load_recipe, recipe_from_plain
from edgewright.pipeline.recipe.recipe import Recipe
from edgewright.runtime.errors import RecipeError

EXAMPLES = Path(__file__).parent.parent.parent / "examples"


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.name)
def test_the_examples_are_recipes(path: Path) -> None:
    assert load_recipe(path).task in TASKS


COMPLETE = ("photos.yaml", "series.yaml")
COMMENTED = (*COMPLETE, "forecast.yaml", "sentences.yaml", "sounds.yaml")


def uncommented(name: str) -> str:
    text = (EXAMPLES / name).read_text()
    return re.sub(r"^( *)# ([a-z_]+: .*)$", r"\1\2", text, flags=re.MULTILINE)


@pytest.mark.parametrize("name", COMMENTED)
def test_what_an_example_has_commented_out_is_the_default(name: str, tmp_path: Path) -> None:
    (tmp_path / "whole.yaml").write_text(uncommented(name))
    (tmp_path / "as-it-is.yaml").write_text((EXAMPLES / name).read_text())
    assert load_recipe(tmp_path / "whole.yaml") == load_recipe(tmp_path / "as-it-is.yaml")


@pytest.mark.parametrize("name", COMPLETE)
def test_a_complete_example_shows_every_key_in_its_place(name: str) -> None:
    shown = yaml.safe_load(uncommented(name))
    expected = load_recipe(EXAMPLES / name).to_plain()
    assert set(shown) - {"stream"} == set(
        expected
    )  # which is not saved at its default, so that no digest changes
    for section, keys in expected.items():
        if isinstance(keys, dict):
            assert list(shown[section]) == list(keys), section


ENCODER_TASKS = (
    "text-classification",
    "token-classification",
    "question-answering",
    "sentence-embedding",
    "zero-shot-classification",
)


def shown_for_texts() -> dict[str, dict[str, tuple[bool, Any]]]:
    """Section to key to whether it is commented out and its value, of the one example that stands for five tasks."""
    found: dict[str, dict[str, tuple[bool, Any]]] = {}
    section = ""
    for line in (EXAMPLES / "texts.yaml").read_text().splitlines():
        top = re.match(r"(# )?([a-z_]+):( |$)", line)
        below = re.match(r"  (# )?([a-z_]+: .*)$", line)
        if top:
            section = top[2]
            found.setdefault(section, {})
        if below:
            ((key, value),) = yaml.safe_load(below[2]).items()
            found[section][key] = bool(below[1]), value
    return found


@pytest.mark.parametrize(
    ("section", "key"),
    [
        (section, key)
        for section, keys in shown_for_texts().items()
        for key, (commented, _) in keys.items()
        if commented
    ],
)
def test_what_the_example_of_texts_has_commented_out_is_the_default(section: str, key: str) -> None:
    _, value = shown_for_texts()[section][key]
    accepted = []
    for task in ENCODER_TASKS:
        plain: dict[str, Any] = {"task": task, "model": "./checkpoint", "data": {"source": "./texts.csv"}}
        before = recipe_from_plain(plain)
        plain[section] = {**plain.get(section, {}), key: value}
        try:
            accepted.append(recipe_from_plain(plain) == before)
        except RecipeError:
            continue  # a key of other tasks
    assert accepted and accepted[0]


def test_together_the_examples_show_every_key_there_is() -> None:
    shown: dict[str, set[str]] = {section: set(keys) for section, keys in shown_for_texts().items()}
    for name in COMMENTED:
        for section, keys in yaml.safe_load(uncommented(name)).items():
            shown.setdefault(section, set()).update(keys if isinstance(keys, dict) else ())
    for section, field in Recipe.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            assert set(kind.model_fields) <= shown[section], section
        else:
            assert section in shown
