"""The recipe: the YAML that a user writes, checked whole before anything runs.

An unknown key, a wrong type or a combination that cannot work is a `RecipeError` of one line per problem.
Defaults that depend on other keys are filled in here, so that later steps find a plain value in every field.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from edgewright.pipeline.catalog import BUILTIN_PREFIX, ENCODER, TASK_RULES, family_of, is_recurrent
from edgewright.pipeline.recipe.data import Data
from edgewright.pipeline.recipe.rules import check_task, fill_defaults, only_own_keys, weight_words
from edgewright.pipeline.recipe.series import Audio, Forecast, Network
from edgewright.pipeline.recipe.text import Questions, Text, ZeroShot
from edgewright.pipeline.recipe.training import (
    AUTO_ENCODER,
    AUTO_RECURRENT,
    AUTO_VARIANTS,
    Budget,
    Input,
    Quantization,
    Training,
    Transfer,
    check_variants,
)
from edgewright.pipeline.recipe.values import Section
from edgewright.runtime.bundle.files import canonical_json, sha256_of_bytes
from edgewright.runtime.hints import did_you_mean

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
