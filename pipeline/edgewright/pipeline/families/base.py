"""What a family of models is to the rest of the pipeline."""

import abc
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from edgewright.pipeline.catalog import RUN_WEIGHTS, WEIGHT_WORDS
from edgewright.pipeline.recipe.family import RecipeFamily
from edgewright.pipeline.recipe.recipe import Recipe
from edgewright.runtime.errors import RecipeError

if TYPE_CHECKING:
    from torch import nn

    from edgewright.exporters.bundle.origin import Origin
    from edgewright.pipeline.data.samples import Splits
    from edgewright.pipeline.fitted.fitted import Fitted
    from edgewright.pipeline.models.entry import ModelEntry
    from edgewright.pipeline.models.model import BuiltModel


class Family(RecipeFamily, abc.ABC):
    """A family of models. What is heavy is imported by its methods: a recipe is checked without loading torch.

    `libraries` are the words by which the build records of its models name it. `reads` is what a list of models says of
    the input of those that have no size in pixels, and `listed` a paragraph below such a list.
    """

    libraries: ClassVar[tuple[str, ...]]
    reads: ClassVar[str] = ""
    listed: ClassVar[str] = ""

    def look_up(self, recipe: Recipe) -> None:
        """Raise `RecipeError` for a model that does not exist, before minutes are spent on data."""

    @abc.abstractmethod
    def fit(self, recipe: Recipe, splits: "Splits") -> "Fitted":
        """Fit what the device half of the recipe's task needs on `splits.train`; the same samples give the same bytes.

        Where the recipe starts from the weights of a run, the scales, bands or vocabulary of that run are kept.

        Raises `DataError` when the training samples cannot say it, such as a column without any value, `RecipeError`
        where the sound of a run was cut into other frames or a checkpoint cannot do what is wanted, and `ModelError`
        for a checkpoint that cannot be used.
        """

    @abc.abstractmethod
    def build(self, recipe: Recipe, splits: "Splits", fitted: "Fitted") -> "BuiltModel":
        """The model that the recipe asks for, for the data's classes and what was fitted on its training part.

        The same recipe and data give the same weights. Raises `RecipeError` and `ModelError`.
        """

    def check_head(self, recipe: Recipe, splits: "Splits") -> None:
        """Raise `RecipeError` where a head is kept whose outputs mean other classes than the data's."""
        from edgewright.pipeline.models.weights import check_kept_classes

        if recipe.transfer.head == "keep" and recipe.weights not in WEIGHT_WORDS:
            check_kept_classes(Path(recipe.weights), splits.classes, recipe.data.classes is not None)

    @abc.abstractmethod
    def rebuild(self, build: Mapping[str, Any], licence: str) -> "BuiltModel":
        """The model of a `BuiltModel.build` record, with random weights. Raises `ModelError`."""

    @abc.abstractmethod
    def features(self, built: "BuiltModel") -> "nn.Module":
        """The part of a model that makes features, float32 [N, ...]; it shares its layers with the model.

        Use it in eval mode. Its parameters are those of `built.module`, under the same names, without the head's.
        Raises `ModelError` for a model that cannot be cut before its head.
        """

    @abc.abstractmethod
    def head(self, built: "BuiltModel") -> "nn.Module":
        """The part that turns features into the model's outputs.

        In eval mode the two after each other give exactly the outputs of `built.module`.
        """

    def fingerprint(self, built: "BuiltModel") -> Mapping[str, Any]:
        """What decides the outcome of a training beside recipe, data, settings and weights."""
        return {}

    def origin(self, recipe: Recipe, built: "BuiltModel") -> "Origin":
        """Where a model came from, as hubs of models say it; of its data nothing."""
        from edgewright.exporters.bundle.origin import UNKNOWN

        return UNKNOWN

    def claims(self, name: str) -> bool:
        """Whether a word on the command line names a model of this family, rather than the folder of a run."""
        return name in self.models

    @abc.abstractmethod
    def outline(self, name: str) -> "BuiltModel":
        """The model of this name for two classes or more: its layers can be looked at before there is any data."""

    def outline_of_run(self, recipe: Recipe, classes: int, folder: Path) -> "BuiltModel":
        """The model of a run with random weights; its data decided its widths. Raises `RecipeError`."""
        from edgewright.pipeline.models.weights import read_weights_record

        record = read_weights_record(folder / RUN_WEIGHTS)
        if record is None:
            raise RecipeError(
                f"{folder} holds no trained weights: run 'edgewright fit' with this folder first"
            )
        return self.rebuild(record, "unknown")

    def entries(self, pattern: str | None) -> list["ModelEntry"]:
        """Its models whose name matches; see `list_models`."""
        return []

    def not_alone(self, name: str) -> str | None:
        """Why `name`, which this family knows, is not a model that can be looked up by its name alone; else None."""
        return None
