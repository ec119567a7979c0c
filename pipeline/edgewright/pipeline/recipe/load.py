"""A recipe from its file: read, overridden, checked."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from edgewright.pipeline.catalog import RUN_WEIGHTS, WEIGHT_WORDS
from edgewright.pipeline.recipe.checks import check_recipe
from edgewright.pipeline.recipe.messages import parse_yaml, sentences
from edgewright.pipeline.recipe.paths import resolve_paths
from edgewright.pipeline.recipe.recipe import _AFTER_TRAINING, Recipe
from edgewright.runtime.errors import RecipeError
from edgewright.runtime.hints import did_you_mean

_MAX_BYTES = 1 << 20


def recipe_from_plain(document: Any, where: str = "recipe") -> Recipe:
    """Check plain values whose paths are absolute already.

    Raises `RecipeError`, one line per problem, each starting with `where`.
    """
    if not isinstance(document, Mapping):
        raise RecipeError(
            f"{where}: expected keys such as task, model and data, found {type(document).__name__}"
        )
    try:
        recipe = Recipe.model_validate(dict(document))
    except ValidationError as error:
        lines = sentences(error.errors(include_url=False), Recipe)
        raise RecipeError("\n".join(f"{where}: {line}" for line in lines)) from None
    try:
        check_recipe(recipe)
    except ValueError as error:
        raise RecipeError(f"{where}: {error}") from None
    return recipe


def load_recipe(path: Path | str, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe and apply `overrides` of the form "training.epochs=3" (the value is YAML).

    A relative path in the file counts from the file's folder, one in an override from the current folder.
    Raises `RecipeError`, one line per problem.
    """
    path = Path(path)
    document = parse_yaml(_read(path), path.name)
    if document is None:
        raise RecipeError(f"{path.name}: the recipe is empty: write at least task, model and data")
    if not isinstance(document, dict):
        raise RecipeError(
            f"{path.name}: expected keys such as task, model and data, found {type(document).__name__}"
        )
    resolve_paths(document, path.absolute().parent)
    for override in overrides:
        _override(document, override)
    recipe = recipe_from_plain(document, path.name)
    _check_weights(recipe, path.name)
    return recipe


def _check_weights(recipe: Recipe, where: str) -> None:
    if recipe.weights in WEIGHT_WORDS or Path(recipe.weights).is_file():
        return
    if Path(recipe.weights).is_dir():
        raise RecipeError(
            f"{where}: weights: the folder {recipe.weights} has no {RUN_WEIGHTS}: "
            "name the folder of a finished run, or a .safetensors file"
        )
    words = recipe.family.weight_words
    near = did_you_mean(Path(recipe.weights).name, words)
    raise RecipeError(
        f"{where}: weights: there is no file {recipe.weights}{near}: "
        f"write {', '.join(words)} or the path of a .safetensors file"
    )


def override_export(recipe: Recipe, overrides: Sequence[str]) -> Recipe:
    """The recipe of a finished training with `overrides` of what comes after it, such as "budget.max_drop=0.02".

    Raises `RecipeError` for anything that would need another training.
    """
    document = recipe.to_plain()
    for override in overrides:
        section = override.partition("=")[0].partition(".")[0].strip()
        if section not in _AFTER_TRAINING:
            raise RecipeError(
                f"--set {override}: this run is trained: set {', '.join(_AFTER_TRAINING[:-1])} or "
                f"{_AFTER_TRAINING[-1]} here, anything else with 'edgewright fit' in a folder of its own"
            )
        _override(document, override)
    return recipe_from_plain(document, "--set")


def recipe_json_schema() -> dict[str, Any]:
    """The JSON Schema of a recipe, for editors."""
    schema = Recipe.model_json_schema()
    schema["properties"]["data"] = {"anyOf": [{"type": "string"}, schema["properties"]["data"]]}
    return schema


def _read(path: Path) -> str:
    if not path.exists():
        beside = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
        raise RecipeError(f"there is no recipe {path}{did_you_mean(path.name, beside)}")
    if not path.is_file():
        raise RecipeError(f"{path} is not a file: give the recipe's .yaml file")
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise RecipeError(f"{path} has more than {_MAX_BYTES} bytes: this is not a recipe")
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise RecipeError(f"{path} is not UTF-8 text: this is not a recipe") from None
    except OSError as error:
        raise RecipeError(f"cannot read {path}: {error.strerror or error}") from None


def _override(document: dict[str, Any], override: str) -> None:
    name, sign, text = override.partition("=")
    keys = name.strip().split(".")
    if not sign or not all(keys):
        raise RecipeError(f"--set {override}: write it as key=value, for example --set training.epochs=3")
    value = parse_yaml(text, f"--set {name}")
    if keys[0] == "data" and len(keys) > 1 and isinstance(document.get("data"), str):
        document["data"] = {"source": document["data"]}
    if keys == ["data"] and isinstance(value, str) and isinstance(document.get("data"), dict):
        keys = ["data", "source"]  # another folder, the same way of dividing it
    section = document
    for key in keys[:-1]:
        if section.get(key) is None:  # missing, or "training:" alone
            section[key] = {}
        inner = section[key]
        if not isinstance(inner, dict):
            raise RecipeError(f"--set {override}: {key} holds no keys")
        section = inner
    section[keys[-1]] = value
    if keys[0] in ("data", "weights", "model"):
        resolve_paths(document, Path.cwd())
