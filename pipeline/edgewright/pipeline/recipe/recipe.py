"""The recipe: the YAML that a user writes, checked whole before anything runs.

An unknown key, a wrong type or a combination that cannot work is a `RecipeError` of one line per problem.
Defaults that depend on other keys are filled in here, so that later steps find a plain value in every field.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from edgewright.pipeline.catalog import BUILTIN_PREFIX, TASKS, FamilyTask, TaskSpec
from edgewright.pipeline.recipe.data import Data
from edgewright.pipeline.recipe.defaults import fill_defaults, only_own_keys
from edgewright.pipeline.recipe.family import family_for
from edgewright.pipeline.recipe.series import Audio, Forecast, Network, Stream
from edgewright.pipeline.recipe.text import Questions, Text, ZeroShot
from edgewright.pipeline.recipe.training import (
    Budget,
    Input,
    Quantization,
    Training,
    Transfer,
    check_variants,
)
from edgewright.pipeline.recipe.values import Section
from edgewright.runtime.bundle.files import canonical_json, sha256_of_bytes

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
    stream: Stream = Stream()
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

    @property
    def spec(self) -> TaskSpec:
        """The catalogue's entry of the task."""
        return TASKS[self.task]

    @property
    def family(self) -> Any:
        """The family of the model; see `edgewright.pipeline.families`."""
        return family_for(self.task, self.model)

    @property
    def own(self) -> FamilyTask:
        """What the model's family makes of the task."""
        return self.spec.families[self.family.name]

    @property
    def wanted_variants(self) -> tuple[str, ...]:
        """The precisions to make: the list, or what auto means for the kind of model."""
        if self.variants != "auto":
            return self.variants
        variants: tuple[str, ...] = self.family.variants
        return variants

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
        if self.stream_memory != "carried" or not self.cuts_samples:
            plain.pop("stream", None)  # the training is then the same
        return _digest(plain)

    @property
    def cuts_samples(self) -> bool:
        """Whether a stream goes on where a sample of the training ends: windows of recordings, and sounds."""
        return self.spec.forecasts or self.data.window is not None or "audio" in self.spec.sections

    @property
    def stream_memory(self) -> str:
        """`stream.memory`, or what auto means."""
        if self.stream.memory != "auto":
            return self.stream.memory
        return "context" if self.cuts_samples else "carried"


def _digest(plain: dict[str, Any]) -> str:
    plain["data"]["source"] = Path(plain["data"]["source"]).name
    plain["weights"] = Path(plain["weights"]).name
    model = Path(plain["model"])
    plain["model"] = model.name if model.is_absolute() else plain["model"]
    return sha256_of_bytes(canonical_json(plain).encode())
