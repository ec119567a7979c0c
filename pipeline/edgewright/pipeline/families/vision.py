"""Backbones of images as a family: the classifiers of torchvision and timm."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgewright.pipeline.catalog import VISION
from edgewright.pipeline.families.base import Family
from edgewright.pipeline.recipe.recipe import Recipe

if TYPE_CHECKING:
    from torch import nn

    from edgewright.exporters.bundle.origin import Origin
    from edgewright.pipeline.data.samples import Splits
    from edgewright.pipeline.fitted.fitted import Fitted
    from edgewright.pipeline.models.entry import ModelEntry
    from edgewright.pipeline.models.model import BuiltModel

_PUBLISHED_CLASSES = 1000


class Vision(Family):
    """Whatever torchvision or timm knows by its name."""

    name = VISION
    kind = "models of images"
    instead = "use resnet18 or another of 'edgewright models'"
    published = ("imagenet",)
    augments = True
    libraries = ("torchvision", "timm")

    def look_up(self, recipe: Recipe) -> None:
        from edgewright.pipeline.models.vision.registry import find_model

        find_model(recipe.model)

    def fit(self, recipe: Recipe, splits: "Splits") -> "Fitted":
        """Nothing: the model brings its own settings."""
        from edgewright.pipeline.fitted.fitted import Fitted

        return Fitted(None)

    def build(self, recipe: Recipe, splits: "Splits", fitted: "Fitted") -> "BuiltModel":
        from edgewright.pipeline.models.vision.build import build_model

        self.check_head(recipe, splits)
        return build_model(
            recipe.model,
            len(splits.classes),
            recipe.weights,
            recipe.input.size,
            recipe.transfer.head,
            recipe.training.seed,
        )

    def rebuild(self, build: Mapping[str, Any], licence: str) -> "BuiltModel":
        from edgewright.pipeline.models.vision.build import rebuild_vision

        return rebuild_vision(build, licence)

    def features(self, built: "BuiltModel") -> "nn.Module":
        """Images, float32 [N, 3, H, W], to the head's input flattened, float32 [N, F]."""
        from edgewright.pipeline.models.vision.features import features_of

        return features_of(built)

    def head(self, built: "BuiltModel") -> "nn.Module":
        """Features, float32 [N, F], to logits, float32 [N, classes]."""
        from edgewright.pipeline.models.vision.features import head_of

        return head_of(built)

    def origin(self, recipe: Recipe, built: "BuiltModel") -> "Origin":
        """The architecture, and the published weights that the training started from."""
        from edgewright.exporters.bundle.origin import Origin
        from edgewright.pipeline.models.vision.architectures import architecture
        from edgewright.pipeline.models.vision.library import library_named

        base = ""
        if recipe.weights in self.published:
            base = library_named(built.build["library"]).published_name(built.build["name"])
        return Origin(*architecture(built.name), base_model=base)

    def outline(self, name: str) -> "BuiltModel":
        from edgewright.pipeline.models.vision.build import build_model

        return build_model(name, classes=_PUBLISHED_CLASSES, weights="none")

    def outline_of_run(self, recipe: Recipe, classes: int, folder: Path) -> "BuiltModel":
        """As the recipe says: a training need not be finished for it."""
        from edgewright.pipeline.models.vision.build import build_model

        return build_model(recipe.model, classes=classes, weights="none", input_size=recipe.input.size)

    def entries(self, pattern: str | None) -> list["ModelEntry"]:
        from edgewright.pipeline.models.vision.registry import vision_models

        return vision_models(pattern)
