"""What a model card says of how its model came to be: the data, the transfer, what it is given."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from edgewright.exporters.bundle.origin import Origin
from edgewright.pipeline.data.samples import Splits
from edgewright.pipeline.families import family_of
from edgewright.pipeline.models.model import BuiltModel
from edgewright.pipeline.recipe.recipe import Recipe
from edgewright.runtime.tasks.base import Task
from edgewright.runtime.tasks.description import ModelFacts


def card_facts(recipe: Recipe, splits: Splits, task: Task[Any]) -> dict[str, str]:
    """Facts by name, in the order to print them."""
    counts = {name: sum(count) for name, count in splits.counts().items()}
    return {
        "Data": f"{Path(splits.source).name}, {counts['train']} training, {counts['validation']} validation, "
        f"{counts['calibration']} calibration and {counts['evaluation']} evaluation samples",
        "Transfer": _transfer(recipe),
        "Input": task.describe(ModelFacts()).reads,
    }


def origin_of(recipe: Recipe, splits: Splits, built: BuiltModel) -> Origin:
    """Where the model and its data came from."""
    return replace(
        family_of(recipe).origin(recipe, built),
        datasets=(Path(splits.source.removeprefix("builtin:")).name,),
    )


def _transfer(recipe: Recipe) -> str:
    if recipe.weights == "none":
        return "trained from random weights"
    return "none: the checkpoint as it is" if recipe.transfer.mode == "none" else recipe.transfer.mode
