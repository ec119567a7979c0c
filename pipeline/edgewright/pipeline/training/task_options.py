"""The training half of a recipe's task, for the model and the data at hand."""

from typing import Any

import numpy as np

from edgewright.pipeline.data.samples import Splits
from edgewright.pipeline.models.model import BuiltModel
from edgewright.pipeline.recipe.recipe import Recipe
from edgewright.pipeline.tasks.base import TrainingTask
from edgewright.pipeline.tasks.classification import balanced_weights
from edgewright.pipeline.tasks.registry import make_training_task
from edgewright.runtime.bundle.structure import to_plain
from edgewright.runtime.text.settings import EncoderTextSettings


def task_options(splits: Splits, recipe: Recipe, built: BuiltModel) -> dict[str, Any]:
    """The settings of the training task, as plain values: they stand in the weights file."""
    training = recipe.training
    if isinstance(built.settings, EncoderTextSettings):
        return _encoder_options(splits, recipe, built.settings)
    if recipe.task in ("sequence-regression", "forecasting"):
        options: dict[str, Any] = {"metric_name": training.metric, "processor": to_plain(built.settings)}
        return options if training.loss is None else {**options, "loss": training.loss}
    targets = np.array([sample.target for sample in splits.train], dtype=np.int64)
    balanced = training.class_weights == "balanced"
    options = {
        "metric_name": training.metric,
        "label_smoothing": training.label_smoothing,
        "class_weights": balanced_weights(targets, len(splits.classes)) if balanced else None,
        "auxiliary_weights": dict(built.auxiliary_heads),
    }
    if recipe.task == "image-classification":
        options["augmentation"] = training.augment
    return options


def _encoder_options(splits: Splits, recipe: Recipe, settings: EncoderTextSettings) -> dict[str, Any]:
    training = recipe.training
    options: dict[str, Any] = {"metric_name": training.metric, "processor": to_plain(settings)}
    if recipe.task not in ("text-classification", "token-classification"):
        return options
    options["label_smoothing"] = training.label_smoothing
    if settings.multi_label:
        return options
    weights = None
    if training.class_weights == "balanced" and splits.train:
        targets = np.concatenate([np.asarray(sample.target).reshape(-1) for sample in splits.train])
        weights = balanced_weights(targets.astype(np.int64), len(splits.classes))
    return {**options, "class_weights": weights}


def task_of(built: BuiltModel, splits: Splits, recipe: Recipe) -> TrainingTask:
    """The training half of the recipe's task, for this model and data."""
    return make_training_task(recipe.task, splits.classes, **task_options(splits, recipe, built))
