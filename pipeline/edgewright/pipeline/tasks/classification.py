"""Classification while it is trained, whatever is classified: one label for each sample."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from edgewright.exporters.reference import Summed
from edgewright.pipeline.data.samples import Sample, Splits
from edgewright.pipeline.models.model import BuiltModel
from edgewright.pipeline.recipe.recipe import Recipe
from edgewright.pipeline.tasks import scores
from edgewright.pipeline.tasks.base import Metric, PerSample
from edgewright.runtime.bundle.structure import to_plain
from edgewright.runtime.contracts import Feeds
from edgewright.runtime.errors import RecipeError
from edgewright.runtime.tasks import load_task
from edgewright.runtime.tasks.base import DeviceTask

METRICS = {"accuracy": scores.accuracy, "macro-f1": scores.macro_f1, "auroc": scores.auroc}

_OUTPUT = "logits"


def balanced_weights(targets: NDArray[np.int64], classes: int) -> tuple[float, ...]:
    """One weight per class, inverse to how often it occurs, so that the mean weight of a sample is 1."""
    counts = np.bincount(targets, minlength=classes)
    present = int((counts > 0).sum())
    return tuple(float(len(targets) / (present * count)) if count else 0.0 for count in counts)


@dataclass(frozen=True)
class Classification:
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

    @property
    def sequences(self) -> bool:
        return False

    @property
    def every_step(self) -> bool:
        return False

    @property
    def augments(self) -> bool:
        return False

    def augment(self, image: Any, generator: np.random.Generator) -> Any:
        return image

    def target(self, sample: Sample, feeds: Feeds) -> Any:
        return sample.target

    def stack(self, targets: Sequence[Any]) -> NDArray[np.int64]:
        return np.array(targets, dtype=np.int64)

    def targets(self, samples: Sequence[Sample], device: DeviceTask) -> NDArray[np.int64]:
        return self.stack([sample.target for sample in samples])

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
            return np.ones(len(targets), dtype=np.float32)
        weights: NDArray[np.float32] = np.asarray(self.class_weights, dtype=np.float32)[targets]
        return weights

    def metrics(self, outputs: NDArray[np.float32], targets: NDArray[Any]) -> dict[str, Any]:
        losses = self.losses(torch.from_numpy(outputs), {}, torch.from_numpy(targets)).double().numpy()
        weights = self.weights(targets).astype(np.float64)
        figures: dict[str, Any] = {name: function(outputs, targets) for name, function in METRICS.items()}
        figures["loss"] = float((losses * weights).sum() / max(weights.sum(), np.finfo(np.float64).tiny))
        figures["confusion"] = scores.confusion_matrix(outputs, targets).tolist()
        figures["samples"] = len(targets)
        return figures

    def notes(self, metrics: Mapping[str, Mapping[str, Any]]) -> tuple[str, ...]:
        return ()

    def metric(self, name: str | None = None) -> Metric:
        wanted = name or self.metric_name
        if wanted not in METRICS:
            raise RecipeError(f"training.metric: unknown metric {wanted!r}: choose from {', '.join(METRICS)}")
        function = METRICS[wanted]
        return lambda outputs, targets: function(outputs[_OUTPUT], targets)

    def per_sample(self, name: str | None = None) -> PerSample | None:
        if (name or self.metric_name) != "accuracy":
            return None
        return _correct

    def summed(self, name: str | None = None) -> Summed | None:
        return None

    def device_task(
        self, settings: Any, labels: Sequence[str], assets: Mapping[str, bytes] | None = None
    ) -> DeviceTask:
        return load_task(self.name, to_plain(settings), tuple(labels), assets)


class SequenceLabels(Classification):
    """One label for each sequence: inputs have lengths of their own."""

    @property
    def sequences(self) -> bool:
        return True


def _correct(outputs: Feeds, targets: NDArray[Any]) -> NDArray[np.float64]:
    correct: NDArray[np.bool_] = outputs[_OUTPUT].argmax(axis=1) == targets
    return correct.astype(np.float64)


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
