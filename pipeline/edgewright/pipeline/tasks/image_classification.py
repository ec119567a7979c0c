"""Image classification while it is trained."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from edgewright.pipeline.tasks import scores
from edgewright.pipeline.tasks.augment import STRENGTHS, augment_image
from edgewright.pipeline.tasks.base import Metric, PerSample
from edgewright.runtime.errors import RecipeError
from edgewright.runtime.structure import to_plain
from edgewright.runtime.tasks import load_task
from edgewright.runtime.tasks.base import DeviceTask, Feeds
from edgewright.runtime.tasks.image_classification import OUTPUT

__all__ = ["METRICS", "ImageClassification", "balanced_weights"]

METRICS = {"accuracy": scores.accuracy, "macro-f1": scores.macro_f1, "auroc": scores.auroc}


def balanced_weights(targets: NDArray[np.int64], classes: int) -> tuple[float, ...]:
    """One weight per class, inverse to how often it occurs, so that the mean weight of a sample is 1."""
    counts = np.bincount(targets, minlength=classes)
    present = int((counts > 0).sum())
    return tuple(float(len(targets) / (present * count)) if count else 0.0 for count in counts)


@dataclass(frozen=True)
class ImageClassification:
    """One label of `classes` for each picture.

    `class_weights` weighs the loss by class; `auxiliary_weights` holds the published loss weight of each
    auxiliary head.
    """

    classes: tuple[str, ...]
    metric_name: str = "accuracy"
    label_smoothing: float = 0.0
    class_weights: tuple[float, ...] | None = None
    auxiliary_weights: Mapping[str, float] = field(default_factory=dict)
    augmentation: str = "none"
    name: str = "image-classification"

    @property
    def augments(self) -> bool:
        return self.augmentation != "none"

    def losses(
        self, logits: torch.Tensor, auxiliary: Mapping[str, torch.Tensor], targets: torch.Tensor
    ) -> torch.Tensor:
        total = self._cross_entropy(logits, targets)
        for path, outputs in auxiliary.items():
            total = total + self.auxiliary_weights[path] * self._cross_entropy(outputs, targets)
        return total

    def _cross_entropy(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.cross_entropy(
            logits.float(), targets, label_smoothing=self.label_smoothing, reduction="none"
        )

    def weights(self, targets: NDArray[np.int64]) -> NDArray[np.float32]:
        if self.class_weights is None:
            return np.ones(len(targets), dtype=np.float32)
        return np.asarray(self.class_weights, dtype=np.float32)[targets]

    def metrics(self, logits: NDArray[np.float32], targets: NDArray[np.int64]) -> dict[str, Any]:
        losses = self.losses(torch.from_numpy(logits), {}, torch.from_numpy(targets)).double().numpy()
        weights = self.weights(targets).astype(np.float64)
        figures: dict[str, Any] = {name: function(logits, targets) for name, function in METRICS.items()}
        figures["loss"] = float((losses * weights).sum() / max(weights.sum(), np.finfo(np.float64).tiny))
        figures["confusion"] = scores.confusion_matrix(logits, targets).tolist()
        figures["samples"] = len(targets)
        return figures

    def metric(self, name: str | None = None) -> Metric:
        wanted = name or self.metric_name
        if wanted not in METRICS:
            raise RecipeError(f"training.metric: unknown metric {wanted!r}: choose from {', '.join(METRICS)}")
        function = METRICS[wanted]
        return lambda outputs, targets: function(outputs[OUTPUT], targets)

    def per_sample(self, name: str | None = None) -> PerSample | None:
        if (name or self.metric_name) != "accuracy":
            return None
        return _correct

    def device_task(self, settings: Any, labels: Sequence[str]) -> DeviceTask:
        return load_task(self.name, to_plain(settings), tuple(labels))

    def augment(self, image: Any, generator: np.random.Generator) -> Any:
        return augment_image(image, STRENGTHS[self.augmentation], generator) if self.augments else image


def _correct(outputs: Feeds, targets: NDArray[Any]) -> NDArray[np.float64]:
    correct: NDArray[np.bool_] = outputs[OUTPUT].argmax(axis=1) == targets
    return correct.astype(np.float64)
