"""The family of a recipe or of a model that was built, and what is asked of it."""

import fnmatch
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from edgewright.pipeline.catalog import FALLBACK
from edgewright.pipeline.families.base import Family
from edgewright.pipeline.recipe.family import families, family_named
from edgewright.pipeline.recipe.recipe import Recipe

if TYPE_CHECKING:
    from torch import nn

    from edgewright.pipeline.data.samples import Splits
    from edgewright.pipeline.fitted.fitted import Fitted
    from edgewright.pipeline.models.entry import ModelEntry
    from edgewright.pipeline.models.model import BuiltModel


def family_of(recipe: Recipe) -> Family:
    """The family of a recipe's model."""
    return cast(Family, recipe.family)


def family_of_record(build: Mapping[str, Any]) -> Family:
    """The family of a model, from its `BuiltModel.build` record."""
    everyone: tuple[Family, ...] = families()
    library = build.get("library")
    found = next((family for family in everyone if library in family.libraries), None)
    return found or cast(Family, family_named(FALLBACK))


def fit_settings(recipe: Recipe, splits: "Splits") -> "Fitted":
    """What the device half of the recipe's task is told; see `Family.fit`."""
    return family_of(recipe).fit(recipe, splits)


def build_for(recipe: Recipe, splits: "Splits", fitted: "Fitted") -> "BuiltModel":
    """The model that the recipe asks for; see `Family.build`."""
    return family_of(recipe).build(recipe, splits, fitted)


def rebuild_model(build: Mapping[str, Any], licence: str = "unknown") -> "BuiltModel":
    """The model of a `BuiltModel.build` record, with random weights. Raises `ModelError`."""
    return family_of_record(build).rebuild(build, licence)


def feature_module(built: "BuiltModel") -> "nn.Module":
    """The part of a model that makes features; see `Family.features`."""
    return family_of_record(built.build).features(built)


def head_module(built: "BuiltModel") -> "nn.Module":
    """The part of a model that turns features into outputs; see `Family.head`."""
    return family_of_record(built.build).head(built)


def list_models(pattern: str | None = None) -> list["ModelEntry"]:
    """The models whose name matches.

    Without a pattern: the recurrent cells, the architectures of encoders, and the models of torchvision. A pattern is
    a part of a name or a glob; it searches timm too, and may begin with `timm:`.
    """
    everyone: tuple[Family, ...] = families()
    return [entry for family in everyone for entry in family.entries(pattern)]


def matching(names: tuple[str, ...], pattern: str | None) -> list[str]:
    """The names that a pattern of `list_models` finds, all without one."""
    if pattern is None:
        return list(names)
    glob = pattern.lower() if any(sign in pattern for sign in "*?[") else f"*{pattern.lower()}*"
    return [name for name in names if fnmatch.fnmatchcase(name, glob)]
