"""What every task of an encoder shares while it is trained: how it reads, and the options that its labels have."""

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgewright.pipeline.data.samples import Sample, Splits, TaggedWords
from edgewright.pipeline.models.model import BuiltModel
from edgewright.pipeline.recipe.recipe import Recipe
from edgewright.pipeline.tasks.base import Objective
from edgewright.pipeline.tasks.classification import balanced_weights
from edgewright.runtime.bundle.structure import to_plain
from edgewright.runtime.errors import DataError
from edgewright.runtime.text.settings import EncoderTextSettings, encoder_settings


class EncoderRows(Objective):
    """The part of a task of an encoder that does not depend on what is answered. Subclasses are frozen dataclasses.

    Unless a subclass says otherwise the target of a sample is that of each of its rows.
    """

    processor: Mapping[str, Any]

    @functools.cached_property
    def settings(self) -> EncoderTextSettings:
        """`processor`, checked. Raises `BundleError`."""
        return encoder_settings(self.processor)


def known_label(sample: Sample, classes: int) -> int:
    """The sample's label as an index. Raises `DataError` for none, or for one that the model does not have."""
    target = sample.target
    if isinstance(target, (int, np.integer)) and 0 <= target < classes:
        return int(target)
    raise DataError(f"{sample.id}: its label {target!r} is none of {classes}: give each text one label")


def encoder_options(recipe: Recipe, splits: Splits, built: BuiltModel) -> dict[str, Any]:
    """The settings of a task of an encoder, as plain values."""
    return {"metric_name": recipe.training.metric, "processor": to_plain(built.settings)}


def encoder_label_options(recipe: Recipe, splits: Splits, built: BuiltModel) -> dict[str, Any]:
    """Those of a task whose answers are labels, of texts or of words."""
    training = recipe.training
    options = encoder_options(recipe, splits, built)
    options["label_smoothing"] = training.label_smoothing
    if built.settings.multi_label:
        return options
    weights = None
    if training.class_weights == "balanced" and splits.train:
        targets = np.concatenate([_labels(sample.target) for sample in splits.train])
        weights = balanced_weights(targets.astype(np.int64), len(splits.classes))
    return {**options, "class_weights": weights}


def _labels(target: Any) -> NDArray[Any]:
    """The labels that a sample has, one or one for each of its words."""
    return target.labels if isinstance(target, TaggedWords) else np.asarray(target).reshape(-1)
