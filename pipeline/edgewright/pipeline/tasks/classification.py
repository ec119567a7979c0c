"""Classification while it is trained, whatever is classified: one label for each sample."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from edgewright.exporters.reference import Figure
from edgewright.pipeline.data.samples import Sample, Splits
from edgewright.pipeline.models.model import BuiltModel
from edgewright.pipeline.recipe.recipe import Recipe
from edgewright.pipeline.tasks.base import Objective
from edgewright.pipeline.tasks.label_figures import one_label
from edgewright.runtime.tasks.base import Task


def balanced_weights(targets: NDArray[np.int64], classes: int) -> tuple[float, ...]:
    """One weight per class, inverse to how often it occurs, so that the mean weight of a sample is 1."""
    counts = np.bincount(targets, minlength=classes)
    present = int((counts > 0).sum())
    return tuple(float(len(targets) / (present * count)) if count else 0.0 for count in counts)


@dataclass(frozen=True)
class Classification(Objective):
    """One label of `classes` for each sample; each kind of input is a subclass that says its `name`.

    `class_weights` weighs the loss by class; `auxiliary_weights` holds the published loss weight of each
    auxiliary head.
    """

    classes: tuple[str, ...]
    metric_name: str = "accuracy"
    label_smoothing: float = 0.0
    class_weights: tuple[float, ...] | None = None
    auxiliary_weights: Mapping[str, float] = field(default_factory=dict)
    name: str = ""

    def losses(
        self, outputs: torch.Tensor, auxiliary: Mapping[str, torch.Tensor], targets: torch.Tensor
    ) -> torch.Tensor:
        targets = targets.to(outputs.device)
        total = self._cross_entropy(outputs, targets)
        for path, logits in auxiliary.items():
            total = total + self.auxiliary_weights[path] * self._cross_entropy(logits, targets)
        return total

    def _cross_entropy(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.cross_entropy(
            logits.float(), targets, label_smoothing=self.label_smoothing, reduction="none"
        )

    def weights(self, targets: NDArray[Any]) -> NDArray[np.float32]:
        if self.class_weights is None:
            return super().weights(targets)
        weights: NDArray[np.float32] = np.asarray(self.class_weights, dtype=np.float32)[targets]
        return weights

    def truths(self, samples: Sequence[Sample], device: Task[Any]) -> list[Any]:
        return [sample.target for sample in samples]

    @functools.cached_property
    def figures(self) -> tuple[Figure, ...]:
        return one_label(len(self.classes))


def label_options(recipe: Recipe, splits: Splits, built: BuiltModel) -> dict[str, Any]:
    """The settings of a task that gives each sample one label, as plain values."""
    training = recipe.training
    targets = np.array([sample.target for sample in splits.train], dtype=np.int64)
    balanced = training.class_weights == "balanced"
    return {
        "metric_name": training.metric,
        "label_smoothing": training.label_smoothing,
        "class_weights": balanced_weights(targets, len(splits.classes)) if balanced else None,
        "auxiliary_weights": dict(built.auxiliary_heads),
    }
