"""The training halves of tasks: one file each, named by the catalogue."""

from typing import Any

from edgewright.pipeline.catalog import TASKS, load
from edgewright.pipeline.data.samples import Splits
from edgewright.pipeline.models.model import BuiltModel
from edgewright.pipeline.recipe.recipe import Recipe
from edgewright.pipeline.tasks.base import Objective
from edgewright.runtime.errors import RecipeError


def make_training_task(name: str, classes: tuple[str, ...], **options: Any) -> Objective:
    """The training half of the task `name`. Raises `RecipeError` for an unknown one."""
    if name not in TASKS:
        raise RecipeError(f"task: unknown task {name!r}: choose from {', '.join(TASKS)}")
    task: Objective = load(TASKS[name].training).make(classes, **options)
    return task


def task_options(splits: Splits, recipe: Recipe, built: BuiltModel) -> dict[str, Any]:
    """The settings of the training half, as plain values: they stand in the weights file."""
    options: dict[str, Any] = load(recipe.spec.training).options(recipe, splits, built)
    return options


def task_of(built: BuiltModel, splits: Splits, recipe: Recipe) -> Objective:
    """The training half of the recipe's task, for this model and data."""
    return make_training_task(recipe.task, splits.classes, **task_options(splits, recipe, built))
