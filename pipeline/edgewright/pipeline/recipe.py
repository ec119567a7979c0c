"""The recipe: the YAML that a user writes, checked whole before anything runs.

An unknown key, a wrong type or a combination that cannot work is a `RecipeError` of one line per problem.
Defaults that depend on other keys are filled in here, so that later steps find a plain value in every field.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, ValidationError, model_validator

from edgewright.pipeline.recipe_data import Data
from edgewright.pipeline.recipe_encoders import Questions, Text, ZeroShot
from edgewright.pipeline.recipe_paths import BUILTIN_PREFIX, RUN_WEIGHTS, WEIGHT_WORDS, resolve_paths
from edgewright.pipeline.recipe_rules import ENCODER, TASK_RULES, family_of, is_recurrent
from edgewright.pipeline.recipe_sections import (
    AUTO_ENCODER,
    AUTO_RECURRENT,
    AUTO_VARIANTS,
    VARIANTS,
    Budget,
    Input,
    Quantization,
    Training,
    Transfer,
    check_variants,
)
from edgewright.pipeline.recipe_sequences import Audio, Forecast, Network
from edgewright.pipeline.recipe_tasks import check_task, fill_defaults, only_own_keys, weight_words
from edgewright.pipeline.recipe_text import did_you_mean, parse_yaml, sentences
from edgewright.pipeline.recipe_values import Section
from edgewright.runtime.errors import RecipeError
from edgewright.runtime.files import canonical_json, sha256_of_bytes

__all__ = [
    "AUTO_ENCODER",
    "AUTO_RECURRENT",
    "AUTO_VARIANTS",
    "BUILTIN_PREFIX",
    "TASK_RULES",
    "VARIANTS",
    "Audio",
    "Budget",
    "Data",
    "Forecast",
    "Input",
    "Network",
    "Quantization",
    "Questions",
    "Recipe",
    "Text",
    "Training",
    "Transfer",
    "ZeroShot",
    "load_recipe",
    "override_export",
    "recipe_from_plain",
    "recipe_json_schema",
]

_MAX_BYTES = 1 << 20

_AFTER_TRAINING = ("variants", "quantization", "budget")
"""The sections that do not touch the trained weights."""


def _data(value: Any) -> Any:
    return {"source": value} if isinstance(value, str) else value


class Recipe(Section):
    """Everything that decides what comes out of a run.

    `model` is a name of 'edgewright models', rnn, lstm or gru, or a checkpoint of an encoder: a folder, a name of the
    hub, or package:NAME for one that an installed package carries.
    """

    task: str
    model: str = Field(min_length=1)
    data: Annotated[Data, BeforeValidator(_data)]
    weights: str = Field(default="imagenet", min_length=1)  # none for a recurrent model, else pretrained
    input: Input = Input()
    network: Network = Network()
    forecast: Forecast = Forecast()
    text: Text = Text()
    question: Questions = Questions()
    zero_shot: ZeroShot = ZeroShot()
    audio: Audio = Audio()
    transfer: Transfer = Transfer()
    training: Training = Training()
    variants: Annotated[Literal["auto"] | tuple[str, ...], BeforeValidator(check_variants)] = "auto"
    quantization: Quantization = Quantization()
    budget: Budget = Budget()

    @model_validator(mode="before")
    @classmethod
    def _fill_defaults_that_depend(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        value = {key: inner for key, inner in value.items() if inner is not None}  # "training:" alone
        source = value.get("data")
        source = source.get("source") if isinstance(source, Mapping) else source
        return fill_defaults(value, isinstance(source, str) and source.startswith(BUILTIN_PREFIX))

    @model_validator(mode="after")
    def _can_work(self) -> Self:
        if self.task not in TASK_RULES:
            raise ValueError(
                f"task: unknown task {self.task!r}{did_you_mean(self.task, TASK_RULES, 1)}: "
                f"choose from {', '.join(TASK_RULES)}"
            )
        check_task(self)
        if self.weights == "none":
            self._can_start_at_random()
        extraction = self.transfer.mode == "feature-extraction"
        if extraction and self.training.augment != "none":
            raise ValueError(
                "training.augment: feature-extraction sees each image once, so it cannot be augmented: "
                "use augment: none, or mode: fine-tuning"
            )
        if self.data.calibration == 0 and "int8-static" in self.wanted_variants:
            raise ValueError(
                "data.calibration: int8-static is calibrated on this share of the samples: "
                "make it greater than 0, or list variants without int8-static"
            )
        return self

    def _can_start_at_random(self) -> None:
        words = [word for word in weight_words(self.task, self.model) if word != "none"]
        trained = f"{words[0]} or a path" if words else "the path of a run"
        if self.transfer.mode == "none":
            raise ValueError(
                "transfer.mode: none ships the weights as they are, and weights: none makes them random: "
                f"use weights: {trained}, or mode: fine-tuning"
            )
        if self.transfer.mode == "feature-extraction":
            raise ValueError(
                "transfer.mode: feature-extraction keeps the backbone as it is, and weights: none makes "
                f"it random: use weights: {trained}, or mode: fine-tuning"
            )
        if self.transfer.unfreeze != "all":
            raise ValueError(
                "transfer.unfreeze: with weights: none the frozen layers would stay random: "
                f"use unfreeze: all, or weights: {trained}"
            )
        if self.transfer.head == "keep":
            raise ValueError(
                "transfer.head: weights: none has no trained head to keep: "
                f"use head: new, or weights: {trained}"
            )

    @property
    def wanted_variants(self) -> tuple[str, ...]:
        """The precisions to make: the list, or what auto means for the kind of model."""
        if self.variants != "auto":
            return self.variants
        if self.is_encoder:
            return AUTO_ENCODER
        return AUTO_RECURRENT if self.is_recurrent else AUTO_VARIANTS

    @property
    def is_recurrent(self) -> bool:
        """Whether the model is a recurrent net."""
        return is_recurrent(self.model)

    @property
    def is_encoder(self) -> bool:
        """Whether the model is a checkpoint of an encoder."""
        return family_of(self.task, self.model) == ENCODER

    @property
    def split_seed(self) -> int:
        """The seed that divides the data: `data.seed`, or `training.seed` where it is not given."""
        return self.training.seed if self.data.seed is None else self.data.seed

    def to_plain(self) -> dict[str, Any]:
        """Plain JSON values, without keys of other tasks; `recipe_from_plain` reads them back."""
        return only_own_keys(self.model_dump(mode="json"))

    def digest(self) -> str:
        """Hex SHA-256 of the whole recipe, the same wherever its folder lies.

        Of the folders of data and model and of the weights file only the name counts: what is in them has its own
        digests.
        """
        return _digest(self.to_plain())

    def training_digest(self) -> str:
        """Hex SHA-256 of what decides the trained weights, so that a new budget does not train again."""
        plain = self.to_plain()
        for key in _AFTER_TRAINING:
            del plain[key]
        for key in ("workers", "checkpoint_seconds"):
            del plain["training"][key]
        return _digest(plain)


def _digest(plain: dict[str, Any]) -> str:
    plain["data"]["source"] = Path(plain["data"]["source"]).name
    plain["weights"] = Path(plain["weights"]).name
    model = Path(plain["model"])
    plain["model"] = model.name if model.is_absolute() else plain["model"]
    return sha256_of_bytes(canonical_json(plain).encode())


def recipe_from_plain(document: Any, where: str = "recipe") -> Recipe:
    """Check plain values whose paths are absolute already.

    Raises `RecipeError`, one line per problem, each starting with `where`.
    """
    if not isinstance(document, Mapping):
        raise RecipeError(
            f"{where}: expected keys such as task, model and data, found {type(document).__name__}"
        )
    try:
        return Recipe.model_validate(dict(document))
    except ValidationError as error:
        lines = sentences(error.errors(include_url=False), Recipe)
        raise RecipeError("\n".join(f"{where}: {line}" for line in lines)) from None


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
    words = weight_words(recipe.task, recipe.model)
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
