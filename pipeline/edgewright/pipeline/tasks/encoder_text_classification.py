"""Text classification by an encoder while it is trained: one label for each text or pair of texts, or any number."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from edgewright.pipeline.data.samples import Sample
from edgewright.pipeline.tasks import label_scores, scores
from edgewright.pipeline.tasks.base import PerSample
from edgewright.pipeline.tasks.encoder_rows import LARGEST_MATRIX, EncoderRows
from edgewright.runtime.contracts import Feeds
from edgewright.runtime.errors import DataError
from edgewright.runtime.tasks.base import DeviceTask
from edgewright.runtime.tasks.labels import chosen_labels


@dataclass(frozen=True)
class OneLabel(EncoderRows):
    """One label of `classes` for each text or pair: targets are int64 [N], of rows as of samples.

    `class_weights` weighs the loss by class.
    """

    classes: tuple[str, ...]
    processor: Mapping[str, Any] = field(default_factory=dict)
    metric_name: str = "accuracy"
    label_smoothing: float = 0.0
    class_weights: tuple[float, ...] | None = None
    name: str = "text-classification"

    known = ("accuracy", "macro-f1", "auroc")

    def losses(
        self, outputs: torch.Tensor, auxiliary: Mapping[str, torch.Tensor], targets: torch.Tensor
    ) -> torch.Tensor:
        return torch.nn.functional.cross_entropy(
            outputs.float(),
            targets.to(outputs.device),
            label_smoothing=self.label_smoothing,
            reduction="none",
        )

    def weights(self, targets: NDArray[Any]) -> NDArray[np.float32]:
        if self.class_weights is None:
            return super().weights(targets)
        weights: NDArray[np.float32] = np.asarray(self.class_weights, np.float32)[targets]
        return weights

    def figures(self, outputs: Feeds, targets: NDArray[Any]) -> dict[str, Any]:
        logits = outputs[self.output]
        figures: dict[str, Any] = {
            "accuracy": scores.accuracy(logits, targets),
            "macro-f1": scores.macro_f1(logits, targets),
            "auroc": scores.auroc(logits, targets),
        }
        if logits.shape[1] <= LARGEST_MATRIX:
            figures["confusion"] = scores.confusion_matrix(logits, targets).tolist()
        return figures

    def metric(self, name: str | None = None) -> Any:
        function = getattr(scores, self.checked(name).replace("-", "_"))
        return lambda outputs, targets: function(outputs[self.output], targets)

    def per_sample(self, name: str | None = None) -> PerSample | None:
        if self.checked(name) != "accuracy":
            return None
        return lambda outputs, targets: (outputs[self.output].argmax(axis=1) == targets).astype(np.float64)


@dataclass(frozen=True)
class SeveralLabels(EncoderRows):
    """Any number of `classes` for each text or pair: targets are float32 [N, classes] of 0 and 1.

    The loss is the mean of the labels' binary cross-entropies. The figures decide as the device does, by its
    `threshold`.
    """

    classes: tuple[str, ...]
    processor: Mapping[str, Any] = field(default_factory=dict)
    metric_name: str = "micro-f1"
    label_smoothing: float = 0.0
    name: str = "text-classification"

    known = ("micro-f1", "macro-f1", "auroc")

    def stack(self, targets: Sequence[Any]) -> NDArray[np.float32]:
        return np.array(targets, np.float32).reshape(len(targets), len(self.classes))

    def sample_target(self, sample: Sample, feeds: Feeds, device: DeviceTask) -> NDArray[Any]:
        target = np.asarray(sample.target)
        if target.shape != (len(self.classes),) or not np.isin(target, (0, 1)).all():
            raise DataError(
                f"{sample.id}: its labels are not one 0 or 1 for each of {len(self.classes)} classes: "
                "name the labels that hold"
            )
        return target

    def row_targets(self, sample: Sample, feeds: Feeds, device: DeviceTask) -> Sequence[Any]:
        self.sample_target(sample, feeds, device)
        return super().row_targets(sample, feeds, device)

    def losses(
        self, outputs: torch.Tensor, auxiliary: Mapping[str, torch.Tensor], targets: torch.Tensor
    ) -> torch.Tensor:
        truth = targets.to(outputs.device).float()
        if self.label_smoothing:
            truth = truth * (1.0 - self.label_smoothing) + 0.5 * self.label_smoothing
        each = torch.nn.functional.binary_cross_entropy_with_logits(outputs.float(), truth, reduction="none")
        return each.mean(dim=1)

    def figures(self, outputs: Feeds, targets: NDArray[Any]) -> dict[str, Any]:
        chosen = self._chosen(outputs)
        return {
            "micro-f1": label_scores.micro_f1(chosen, targets),
            "macro-f1": label_scores.macro_f1(chosen, targets),
            "auroc": label_scores.mean_auroc(outputs[self.output], targets),
            "subset-accuracy": float((chosen == (targets > 0.5)).all(axis=1).mean()),
        }

    def metric(self, name: str | None = None) -> Any:
        wanted = self.checked(name)
        if wanted == "auroc":
            return lambda outputs, targets: label_scores.mean_auroc(outputs[self.output], targets)
        function = label_scores.micro_f1 if wanted == "micro-f1" else label_scores.macro_f1
        return lambda outputs, targets: function(self._chosen(outputs), targets)

    @functools.cached_property
    def _threshold(self) -> float:
        return self.settings.threshold

    def _chosen(self, outputs: Feeds) -> NDArray[np.bool_]:
        logits = outputs[self.output]
        chosen = np.zeros(logits.shape, bool)
        for row, indices in zip(chosen, chosen_labels(logits, self._threshold), strict=True):
            row[indices] = True
        return chosen
