"""The recipe: what is accepted, what is filled in, and that every mistake is one line with the way out."""

import json
from pathlib import Path
from typing import Any

import pytest

from edgewright.exporters.precision.registry import PRECISIONS
from edgewright.pipeline.recipe.load import load_recipe, recipe_from_plain, recipe_json_schema
from edgewright.pipeline.recipe.recipe import Recipe
from edgewright.pipeline.recipe.training import AUTO_VARIANTS, VARIANTS
from edgewright.runtime.errors import RecipeError

SMALL = {"task": "image-classification", "model": "resnet18", "data": "builtin:digits"}


def recipe_with(**changes: Any) -> Recipe:
    return recipe_from_plain({**SMALL, **changes})


def errors_of(document: Any) -> list[str]:
    with pytest.raises(RecipeError) as caught:
        recipe_from_plain(document)
    return str(caught.value).splitlines()


def write(folder: Path, text: str) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(text)
    return path


def load_error(path: Path, *overrides: str) -> str:
    with pytest.raises(RecipeError) as caught:
        load_recipe(path, overrides)
    return str(caught.value)


def test_the_recipe_of_the_issue(tmp_path: Path) -> None:
    recipe = load_recipe(
        write(
            tmp_path,
            """
task: image-classification
model: resnet18              # edgewright models
weights: imagenet            # imagenet | none | path to .safetensors
data: ./photos               # class-per-folder, with or without train/val/test; or builtin:digits
transfer: {mode: fine-tuning, unfreeze: [layer4, fc]}     # or mode: feature-extraction
training: {epochs: 5, lr: auto, clip_norm: 1.0, seed: 0}
variants: [fp32, fp16, int8-dynamic, int8-static]
budget: {max_drop: 0.01}     # of the task metric
""",
        )
    )
    assert recipe.data.source == str(tmp_path / "photos")
    assert recipe.transfer.unfreeze == ("layer4", "fc")
    assert recipe.training.lr == "auto" and recipe.training.clip_norm == 1.0
    assert recipe.wanted_variants == recipe.variants == AUTO_VARIANTS
    assert recipe.budget.max_drop == 0.01 and recipe.training.augment == "light"


def test_defaults_follow_the_weights_the_mode_and_the_data() -> None:
    pretrained = recipe_with(data="/photos")
    assert (pretrained.transfer.unfreeze, pretrained.transfer.head_epochs) == (2, 1)
    assert pretrained.transfer.rate_divisor == 100 and pretrained.training.augment == "light"
    random = recipe_with(weights="none")
    assert (random.transfer.unfreeze, random.transfer.head_epochs, random.transfer.rate_divisor) == (
        "all",
        0,
        1,
    )
    assert random.training.augment == "none", "built-in digits must not be mirrored"
    extraction = recipe_with(data="/photos", transfer={"mode": "feature-extraction"})
    assert extraction.transfer.unfreeze == 1 and extraction.training.augment == "none"
    assert recipe_with(data="/photos", weights="none", transfer={"head_epochs": 2}).transfer.head_epochs == 2


def test_recipes_and_exporters_know_the_same_variants() -> None:
    assert set(VARIANTS) == set(PRECISIONS)
    assert recipe_with().wanted_variants == AUTO_VARIANTS
    assert recipe_with(variants=["fp32", "int4"]).wanted_variants == ("fp32", "int4")


def test_sections_without_keys_take_their_defaults() -> None:
    assert recipe_with(training=None, budget=None) == recipe_with()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"weights": "none"},
        {"transfer": {"mode": "feature-extraction", "engine": "onnx"}},
        {"transfer": {"unfreeze": ["layer4", "fc"]}, "variants": ["fp32", "fp16"]},
        {"data": {"source": "builtin:digits", "classes": ["3", 8], "train_per_class": 5}},
    ],
)
def test_a_recipe_survives_json(changes: dict[str, Any]) -> None:
    recipe = recipe_with(**changes)
    again = recipe_from_plain(json.loads(json.dumps(recipe.to_plain())))
    assert again == recipe and again.digest() == recipe.digest()


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"epochs": 3}, "recipe: epochs: unknown key (did you mean 'training.epochs'?)"),
        ({"modell": "x"}, "recipe: modell: unknown key (did you mean 'model'?)"),
        ({"training": {"lrr": 1}}, "recipe: training.lrr: unknown key (did you mean 'lr'?)"),
        ({"training": {"model": 1}}, "recipe: training.model: unknown key (did you mean 'model'?)"),
        ({"input": {"qq": 1}}, "recipe: input.qq: unknown key: the keys here are size"),
        ({"training": {"epochs": "5"}}, "recipe: training.epochs: expected a whole number, found '5'"),
        ({"training": {"epochs": 2.5}}, "recipe: training.epochs: expected a whole number, found 2.5"),
        ({"training": {"epochs": True}}, "recipe: training.epochs: expected a whole number, found true"),
        ({"training": {"epochs": 0}}, "recipe: training.epochs: must be at least 1, found 0"),
        ({"input": {"size": 4}}, "recipe: input.size: must be at least 8, found 4"),
        ({"input": {"size": 100000}}, "recipe: input.size: must be at most 4096, found 100000"),
        ({"training": {"lr": 0}}, "recipe: training.lr: expected auto or a number greater than 0, found 0"),
        (
            {"training": {"lr": "fast"}},
            "recipe: training.lr: expected auto or a number greater than 0, found 'fast'",
        ),
        ({"training": {"clip_norm": -1}}, "recipe: training.clip_norm: must be greater than 0, found -1"),
        (
            {"training": {"label_smoothing": 1}},
            "recipe: training.label_smoothing: must be less than 1, found 1",
        ),
        ({"training": {"seed": -1}}, "recipe: training.seed: must be at least 0, found -1"),
        ({"training": "fast"}, "recipe: training: expected keys and values, found 'fast'"),
        (
            {"training": {"weight_decay": float("nan")}},
            "recipe: training.weight_decay: expected a finite number, found nan",
        ),
        (
            {"training": {"optimizer": "adam"}},
            "recipe: training.optimizer: expected adamw or sgd, found 'adam' (did you mean 'adamw'?)",
        ),
        ({"transfer": {"gradual": "yes"}}, "recipe: transfer.gradual: expected true or false, found 'yes'"),
        (
            {"transfer": {"unfreeze": 0}},
            "recipe: transfer.unfreeze: expected all, a number of last blocks from 1, "
            "or names such as [layer4, fc], found 0",
        ),
        ({"model": 3}, "recipe: model: expected text, found 3"),
        ({"data": 3}, "recipe: data: expected keys and values, found 3"),
        ({"data": {"clases": []}}, "recipe: data.source: missing: every recipe needs source"),
        (
            {"data": {"source": "x", "classes": ["a"]}},
            "recipe: data.classes: a classifier needs at least two classes: "
            "list more, or remove the key to use all",
        ),
        (
            {"data": {"source": "x", "classes": ["a", "a"]}},
            "recipe: data.classes: a class is listed twice: remove one",
        ),
        (
            {"data": {"source": "x", "classes": [1.5, "a"]}},
            "recipe: data.classes: 1.5 is not the name of a class: put quotes around it",
        ),
        (
            {"data": {"source": "x", "evaluation": 0}},
            "recipe: data.evaluation: must be greater than 0, found 0",
        ),
        (
            {"variants": ["fp32", "int8-statik"]},
            "recipe: variants: unknown variant 'int8-statik' "
            "(did you mean 'int8-static' or 'int8-static-vnni' or 'int8-dynamic'?): "
            "choose from fp32, fp16, int8-dynamic, int8-static, int4, int8-dynamic-vnni, int8-static-vnni",
        ),
        (
            {"variants": "int8"},
            "recipe: variants: expected auto or a list such as [fp32, int8-static], found 'int8'",
        ),
        ({"variants": ["fp32", "fp32"]}, "recipe: variants: a variant is listed twice: remove one"),
    ],
)
def test_a_mistake_is_one_line(changes: dict[str, Any], line: str) -> None:
    assert line in errors_of({**SMALL, **changes})


@pytest.mark.parametrize(
    ("changes", "begin", "way_out"),
    [
        ({"task": "image-clasification"}, "task: unknown task", "(did you mean 'image-classification'?)"),
        (
            {"weights": "none", "transfer": {"mode": "feature-extraction"}},
            "transfer.mode: feature-extraction keeps",
            "use weights: imagenet or a path, or mode: fine-tuning",
        ),
        (
            {"weights": "none", "transfer": {"unfreeze": 2}},
            "transfer.unfreeze: with weights: none",
            "use unfreeze: all",
        ),
        ({"weights": "none", "transfer": {"head": "keep"}}, "transfer.head: weights: none", "use head: new"),
        (
            {"transfer": {"mode": "feature-extraction", "unfreeze": 3}},
            "transfer: feature-extraction trains the head only",
            "remove unfreeze",
        ),
        (
            {"transfer": {"mode": "feature-extraction", "gradual": True}},
            "transfer: gradual",
            "mode: fine-tuning",
        ),
        ({"transfer": {"engine": "onnx"}}, "transfer: engine is for", "remove the key"),
        (
            {"transfer": {"mode": "feature-extraction"}, "training": {"augment": "light"}},
            "training.augment: feature-extraction sees each image once",
            "use augment: none",
        ),
        ({"variants": ["int8-static"]}, "variants: fp32 is missing", "list it too"),
        (
            {"data": {"source": "x", "calibration": 0}},
            "data.calibration: int8-static",
            "make it greater than 0",
        ),
        (
            {"data": {"source": "x", "validation": 0.8}},
            "data: validation + calibration + evaluation is 1.1",
            "below 1",
        ),
    ],
)
def test_an_impossible_combination_names_the_way_out(
    changes: dict[str, Any], begin: str, way_out: str
) -> None:
    (line,) = errors_of({**SMALL, **changes})
    assert line.startswith(f"recipe: {begin}") and way_out in line


def test_every_mistake_is_reported_at_once() -> None:
    lines = errors_of({**SMALL, "training": {"lr": -1, "seeed": 0}, "budget": {"max_drop": 2}})
    assert [line.split(": ")[1] for line in lines] == ["training.lr", "training.seeed", "budget.max_drop"]


def test_missing_keys() -> None:
    assert errors_of({}) == [
        f"recipe: {key}: missing: every recipe needs {key}" for key in ("task", "model", "data")
    ]
    assert errors_of(["task"]) == ["recipe: expected keys such as task, model and data, found list"]


def test_yaml_means_what_it_says(tmp_path: Path) -> None:
    recipe = load_recipe(
        write(
            tmp_path,
            "task: image-classification\nmodel: resnet18\nweights: none\n"
            "data: {source: builtin:digits, classes: [no, 007, 3, on, 2024-01-01]}\n"
            "training: {lr: 1e-3, precision: no, clip_norm: none, early_stopping: null, weight_decay: .5}\n",
        )
    )
    assert recipe.data.classes == ("no", "007", "3", "on", "2024-01-01")
    assert recipe.training.lr == 1e-3 and recipe.training.precision == "no"
    assert recipe.training.clip_norm is None and recipe.training.weight_decay == 0.5


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "recipe.yaml: the recipe is empty"),
        ("# nothing\n", "recipe.yaml: the recipe is empty"),
        ("- a\n", "recipe.yaml: expected keys such as task, model and data, found list"),
        ("task: [a\n", "recipe.yaml, line 2, column 1: "),
        ("task: a\ntask: b\n", "recipe.yaml, line 2, column 1: the key 'task' occurs twice"),
        ("task: &a x\nmodel: *a\n", "recipe.yaml, line 2, column 8: aliases (*name) are not used in recipes"),
        ("? [a, b]\n: c\n", "recipe.yaml, line 1, column 3: a key must be a word"),
        ("task: !!python/object/apply:os.getcwd []\n", "recipe.yaml, line 1, column 7: could not determine"),
        ("task: " + "[" * 20_000, "recipe.yaml: nested too deeply for a recipe"),
        ("model: " + "1" * 5000, "recipe.yaml: Exceeds the limit"),
    ],
)
def test_broken_yaml_is_one_line(tmp_path: Path, text: str, expected: str) -> None:
    message = load_error(write(tmp_path, text))
    assert message.startswith(expected) and "\n" not in message


def test_recipe_files_that_cannot_be_read(tmp_path: Path) -> None:
    path = write(tmp_path, "task: x")
    assert (
        load_error(tmp_path / "recipe.yml")
        == f"there is no recipe {tmp_path / 'recipe.yml'} (did you mean 'recipe.yaml'?)"
    )
    assert load_error(tmp_path / "no" / "recipe.yml").startswith("there is no recipe")
    assert load_error(tmp_path) == f"{tmp_path} is not a file: give the recipe's .yaml file"
    path.write_bytes(b"\xff\xfe\x00")
    assert load_error(path) == f"{path} is not UTF-8 text: this is not a recipe"
    path.write_bytes(b" " * (1 << 20) + b"x")
    assert "this is not a recipe" in load_error(path)


RECIPE = "task: image-classification\nmodel: resnet18\ndata: photos\n"


def test_overrides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, RECIPE + "training: {epochs: 5}\n")
    changed = load_recipe(
        path,
        [
            "training.epochs=2",
            "training.lr=1e-2",
            "data.classes=[a, b]",
            "variants=[fp32]",
            "transfer.head_epochs = 0",
        ],
    )
    assert (changed.training.epochs, changed.training.lr, changed.transfer.head_epochs) == (2, 0.01, 0)
    assert changed.data.classes == ("a", "b") and changed.data.source == str(tmp_path / "photos")
    assert changed.variants == ("fp32",)
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    moved = load_recipe(path, ["data.seed=1", "data=mine"])
    assert moved.data.source == str(here / "mine") and moved.data.seed == 1
    assert load_recipe(path, ["data=builtin:digits"]).data.source == "builtin:digits"


def test_a_section_without_keys_can_be_overridden(tmp_path: Path) -> None:
    changed = load_recipe(write(tmp_path, RECIPE + "training:\n"), ["training.epochs=2"])
    assert changed.training.epochs == 2


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        (
            "training.epochs",
            "--set training.epochs: write it as key=value, for example --set training.epochs=3",
        ),
        ("=3", "--set =3: write it as key=value, for example --set training.epochs=3"),
        (
            "training..lr=3",
            "--set training..lr=3: write it as key=value, for example --set training.epochs=3",
        ),
        ("model.size=3", "--set model.size=3: model holds no keys"),
        ("training.epoch=3", "recipe.yaml: training.epoch: unknown key (did you mean 'epochs'?)"),
        ("training.epochs=many", "recipe.yaml: training.epochs: expected a whole number, found 'many'"),
        ("variants=[fp32", "--set variants, line 1, column 6: expected ',' or ']', but got '<stream end>'"),
    ],
)
def test_wrong_overrides(tmp_path: Path, override: str, expected: str) -> None:
    assert load_error(write(tmp_path, RECIPE), override) == expected


def test_weights_are_found_from_the_recipe_or_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.safetensors").write_bytes(b"")
    path = write(tmp_path, RECIPE + "weights: mine.safetensors\n")
    assert load_recipe(path).weights == str(tmp_path / "mine.safetensors")
    message = load_error(path, "weights=imagnet")
    assert "(did you mean 'imagenet'?)" in message and message.endswith("or the path of a .safetensors file")


def test_the_digest_ignores_the_place_and_the_training_digest_the_export(tmp_path: Path) -> None:
    recipes = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        recipes.append(load_recipe(write(tmp_path / name, RECIPE)))
    first, second = recipes
    assert first.data.source != second.data.source and first.digest() == second.digest()
    budget, seed = recipe_with(budget={"max_drop": 0.5}), recipe_with(training={"seed": 1})
    assert budget.digest() != recipe_with().digest() and seed.digest() != recipe_with().digest()
    assert budget.training_digest() == recipe_with().training_digest() != seed.training_digest()
    hurried = recipe_with(training={"workers": 2, "checkpoint_seconds": 1})
    assert hurried.training_digest() == recipe_with().training_digest()


def test_the_split_seed() -> None:
    assert recipe_with(training={"seed": 4}).split_seed == 4
    assert recipe_with(training={"seed": 4}, data={"source": "builtin:digits", "seed": 0}).split_seed == 0


def test_the_json_schema_knows_every_section() -> None:
    schema = recipe_json_schema()
    assert set(schema["properties"]) == set(Recipe.model_fields)
    assert schema["additionalProperties"] is False
    assert {"type": "string"} in schema["properties"]["data"]["anyOf"]
    assert json.loads(json.dumps(schema)) == schema


def test_a_recipe_is_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        recipe_with().training.epochs = 3


@pytest.mark.parametrize("value", [["none"], {"a": 1}, 3, True, [[]], [None]], ids=repr)
@pytest.mark.parametrize(
    "key", ["transfer.mode", "weights", "model", "task", "data", "data.source", "variants"]
)
@pytest.mark.parametrize("task", ["image-classification", "text-classification", "forecasting"])
def test_a_value_of_another_type_is_named_whatever_depends_on_it(task: str, key: str, value: Any) -> None:
    document: dict[str, Any] = {**SMALL, "task": task}
    section, _, name = key.partition(".")
    document[section] = {name: value} if name else value
    with pytest.raises(RecipeError) as caught:
        recipe_from_plain(document)
    assert all(line.startswith("recipe: ") for line in str(caught.value).splitlines())
