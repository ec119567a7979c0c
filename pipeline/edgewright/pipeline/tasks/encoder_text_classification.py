"""Text classification by an encoder while it is trained: one label for each text or pair of texts, or any number."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from edgewright.exporters.reference import Figure, Metric
from edgewright.pipeline.data.samples import Sample
from edgewright.pipeline.tasks import label_scores
from edgewright.pipeline.tasks.encoder_rows import EncoderRows
from edgewright.pipeline.tasks.label_figures import one_label
from edgewright.runtime.contracts import Tensors
from edgewright.runtime.errors import DataError
from edgewright.runtime.tasks.labels import MultiLabel


@dataclass(frozen=True)
class OneLabel(EncoderRows):
    """One label of `classes` for each text or pair: targets are int64 [N].

    `class_weights` weighs the loss by class.
    """

    classes: tuple[str, ...]
    processor: Mapping[str, Any] = field(default_factory=dict)
    metric_name: str = "accuracy"
    label_smoothing: float = 0.0
    class_weights: tuple[float, ...] | None = None
    name: str = "text-classification"

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

    @functools.cached_property
    def figures(self) -> tuple[Figure, ...]:
        return one_label(len(self.classes))


@dataclass(frozen=True)
class SeveralLabels(EncoderRows):
    """Any number of `classes` for each text or pair: targets are float32 [N, classes] of 0 and 1.

    The loss is the mean of the labels' binary cross-entropies. The figures read what the device chooses.
    """

    classes: tuple[str, ...]
    processor: Mapping[str, Any] = field(default_factory=dict)
    metric_name: str = "micro-f1"
    label_smoothing: float = 0.0
    name: str = "text-classification"

    def stack(self, targets: Sequence[Any]) -> NDArray[np.float32]:
        return np.array(targets, np.float32).reshape(len(targets), len(self.classes))

    def target(self, sample: Sample, feeds: Tensors) -> NDArray[Any]:
        target = np.asarray(sample.target)
        if target.shape != (len(self.classes),) or not np.isin(target, (0, 1)).all():
            raise DataError(
                f"{sample.id}: its labels are not one 0 or 1 for each of {len(self.classes)} classes: "
                "name the labels that hold"
            )
        return target

    def losses(
        self, outputs: torch.Tensor, auxiliary: Mapping[str, torch.Tensor], targets: torch.Tensor
    ) -> torch.Tensor:
        truth = targets.to(outputs.device).float()
        if self.label_smoothing:
            truth = truth * (1.0 - self.label_smoothing) + 0.5 * self.label_smoothing
        each = torch.nn.functional.binary_cross_entropy_with_logits(outputs.float(), truth, reduction="none")
        return each.mean(dim=1)

    @functools.cached_property
    def figures(self) -> tuple[Figure, ...]:
        return (
            Metric(name="micro-f1", evidence=_chosen, figure=_apart(label_scores.micro_f1)),
            Metric(name="macro-f1", evidence=_chosen, figure=_apart(label_scores.macro_f1)),
            Metric(name="auroc", evidence=_odds, figure=_apart(label_scores.mean_auroc)),
            Figure(name="subset-accuracy", evidence=_chosen, figure=_apart(_all_right)),
        )


def _chosen(answer: MultiLabel, truth: NDArray[Any]) -> NDArray[np.float64]:
    """Of every label whether it was chosen and whether it holds, float64 [2, labels] of 0 and 1."""
    rows = np.zeros((2, len(truth)))
    rows[0, [score.index for score in answer.labels]] = 1.0
    rows[1] = truth
    return rows


def _odds(answer: MultiLabel, truth: NDArray[Any]) -> NDArray[np.float64]:
    """Of every label its probability and whether it holds, float64 [2, labels]."""
    return np.array((answer.probabilities, truth), np.float64)


def _apart(figure: Any) -> Any:
    """A figure of two arrays [N, labels] as one of evidence [N, 2, labels]."""
    return lambda evidence: figure(evidence[:, 0], evidence[:, 1])


def _all_right(chosen: NDArray[Any], holds: NDArray[Any]) -> float:
    return float((chosen == holds).all(axis=1).mean())
