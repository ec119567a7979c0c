"""A family of one model, in its own file: a linear map of pixels."""

from collections.abc import Mapping
from typing import Any, ClassVar, cast

import torch
from torch import nn

from edgewright.pipeline.data.samples import Splits
from edgewright.pipeline.families.base import Family
from edgewright.pipeline.fitted.fitted import Fitted
from edgewright.pipeline.models.model import Block, BuiltModel
from edgewright.pipeline.recipe.recipe import Recipe
from edgewright.runtime.images.encoding import ImageSettings

SIDE = 16


class ToyFamily(Family):
    """toy-linear, of random weights."""

    name = "toy"
    models = ("toy-linear",)
    kind = "toys"
    instead = "use toy-linear"
    variants: ClassVar[tuple[str, ...]] = ("fp32", "fp16")
    libraries = ("toys",)

    def fit(self, recipe: Recipe, splits: Splits) -> Fitted:
        return Fitted()

    def build(self, recipe: Recipe, splits: Splits, fitted: Fitted) -> BuiltModel:
        record = {"library": "toys", "classes": len(splits.classes), "seed": recipe.training.seed}
        return self.rebuild(record, "none (trained from random weights)")

    def rebuild(self, build: Mapping[str, Any], licence: str) -> BuiltModel:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(build["seed"])
            module = nn.Sequential(nn.Flatten(), nn.Linear(3 * SIDE * SIDE, build["classes"])).eval()
        grey = (0.5, 0.5, 0.5)
        return BuiltModel(
            name="toy-linear",
            module=module,
            classes=build["classes"],
            head="1",
            auxiliary_heads={},
            settings=ImageSettings((SIDE, SIDE), (SIDE, SIDE), "bilinear", grey, grey),
            blocks=(Block("head", ("1",)),),
            licence=licence,
            build=build,
            feature_shape=(3 * SIDE * SIDE,),
        )

    def features(self, built: BuiltModel) -> nn.Module:
        return cast(nn.Sequential, built.module)[0]

    def head(self, built: BuiltModel) -> nn.Module:
        return cast(nn.Sequential, built.module)[1]

    def outline(self, name: str) -> BuiltModel:
        return self.rebuild({"library": "toys", "classes": 2, "seed": 0}, "none")
