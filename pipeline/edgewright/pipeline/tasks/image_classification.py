"""Image classification while it is trained."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from edgewright.pipeline.data.samples import Splits
from edgewright.pipeline.models.model import BuiltModel
from edgewright.pipeline.recipe.recipe import Recipe
from edgewright.pipeline.tasks.augment import STRENGTHS, augment_image
from edgewright.pipeline.tasks.classification import Classification, label_options


@dataclass(frozen=True)
class ImageClassification(Classification):
    """One label of `classes` for each picture; `augmentation` is how strongly pictures are changed in training."""

    augmentation: str = "none"
    name: str = "image-classification"

    @property
    def augments(self) -> bool:
        return self.augmentation != "none"

    def augment(self, image: Any, generator: np.random.Generator) -> Any:
        return augment_image(image, STRENGTHS[self.augmentation], generator) if self.augments else image


def options(recipe: Recipe, splits: Splits, built: BuiltModel) -> dict[str, Any]:
    """The settings of the task, as plain values."""
    return {**label_options(recipe, splits, built), "augmentation": recipe.training.augment}


make = ImageClassification
