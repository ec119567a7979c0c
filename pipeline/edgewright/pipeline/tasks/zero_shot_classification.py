"""Zero-shot classification where its figures are wanted: nothing is trained, labelled texts say how good it is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from edgewright.pipeline.data.samples import Sample
from edgewright.pipeline.tasks import label_scores, scores
from edgewright.pipeline.tasks.base import PerSample
from edgewright.pipeline.tasks.encoder_rows import (
    LARGEST_MATRIX,
    EncoderRows,
    encoder_options,
    known_label,
    object_array,
)
from edgewright.runtime.contracts import Feeds
from edgewright.runtime.errors import TrainingError
from edgewright.runtime.tasks.base import DeviceTask
from edgewright.runtime.tasks.labels import LOGITS
from edgewright.runtime.tasks.sentence_embedding import EMBEDDING
from edgewright.runtime.tasks.zero_shot_classification import ZeroShotClassification as Scorer

_LEAST = 1e-12
"""The probability that counts instead of none at all: a logarithm needs one."""


@dataclass(frozen=True, eq=False)
class ScoredText:
    """The label of one text, and the device task that reads an answer to it."""

    device: Scorer
    feeds: Feeds
    label: int


@dataclass(frozen=True)
class ZeroShotClassification(EncoderRows):
    """The label that fits best, of labels that the model never learnt. Targets of samples are `ScoredText` [N]."""

    classes: tuple[str, ...] = ()
    processor: Mapping[str, Any] = field(default_factory=dict)
    metric_name: str = "accuracy"
    name: str = "zero-shot-classification"

    known = ("accuracy", "macro-f1", "auroc")

    def row_targets(self, sample: Sample, feeds: Feeds, device: DeviceTask) -> Sequence[Any]:
        return [known_label(sample, len(self.classes))] * len(cast(Scorer, device).rows(feeds))

    def sample_target(self, sample: Sample, feeds: Feeds, device: DeviceTask) -> ScoredText:
        return ScoredText(cast(Scorer, device), feeds, known_label(sample, len(self.classes)))

    def stack_samples(self, targets: Sequence[Any]) -> NDArray[Any]:
        return object_array(targets)

    def named(self, outputs: NDArray[np.float32]) -> Feeds:
        way = self.settings.zero_shot
        return {EMBEDDING if way is not None and way.by == "embedding" else LOGITS: outputs}

    def losses(
        self, outputs: torch.Tensor, auxiliary: Mapping[str, torch.Tensor], targets: torch.Tensor
    ) -> torch.Tensor:
        raise TrainingError("zero-shot-classification trains nothing: set transfer.mode to none")

    def metrics(self, outputs: NDArray[np.float32], targets: NDArray[Any]) -> dict[str, Any]:
        return {}  # rows alone say nothing: the loss is one of the figures

    def figures(self, outputs: Feeds, targets: NDArray[Any]) -> dict[str, Any]:
        first: ScoredText = targets[0]
        labels = np.array([target.label for target in targets], np.int64)
        odds = np.array([answer.probabilities for answer in first.device.decode(outputs)], np.float64)
        figures: dict[str, Any] = {
            "accuracy": float(_correct(outputs, targets).mean()),
            "macro-f1": scores.macro_f1(odds, labels),
            "auroc": label_scores.mean_auroc(odds, labels[:, np.newaxis] == np.arange(odds.shape[1])),
            "loss": float(-np.log(np.maximum(odds[np.arange(len(odds)), labels], _LEAST)).mean()),
        }
        if odds.shape[1] <= LARGEST_MATRIX:
            figures["confusion"] = scores.confusion_matrix(odds, labels).tolist()
        return figures

    def per_sample(self, name: str | None = None) -> PerSample | None:
        return _correct if self.checked(name) == "accuracy" else None


def _correct(outputs: Feeds, targets: NDArray[Any]) -> NDArray[np.float64]:
    """1 for each text of which the device decides for its label alone, else 0."""
    first: ScoredText = targets[0]
    found = []
    for decided, target in zip(first.device.decisions(outputs), targets, strict=True):
        found.append(decided in (target.label, [target.label]))
    return np.array(found, np.float64)


make, options = ZeroShotClassification, encoder_options
