"""Zero-shot classification where its figures are wanted: nothing is trained, labelled texts say how good it is."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from edgewright.exporters.reference import Figure, Metric, hits
from edgewright.pipeline.data.samples import Sample
from edgewright.pipeline.tasks.encoder_rows import EncoderRows, encoder_options, known_label
from edgewright.pipeline.tasks.figures import mean
from edgewright.pipeline.tasks.label_figures import one_label
from edgewright.runtime.contracts import Tensors
from edgewright.runtime.errors import TrainingError
from edgewright.runtime.tasks.labels import Classification, MultiLabel

_LEAST = 1e-12
"""The probability that counts instead of none at all: a logarithm needs one."""


@dataclass(frozen=True)
class ZeroShotClassification(EncoderRows):
    """The label that fits best, of labels that the model never learnt: true of a text is its index."""

    classes: tuple[str, ...] = ()
    processor: Mapping[str, Any] = field(default_factory=dict)
    metric_name: str = "accuracy"
    name: str = "zero-shot-classification"

    learns = False

    def target(self, sample: Sample, encoded: Tensors) -> int:
        return known_label(sample, len(self.classes))

    def losses(
        self, outputs: torch.Tensor, auxiliary: Mapping[str, torch.Tensor], targets: torch.Tensor
    ) -> torch.Tensor:
        raise TrainingError("zero-shot-classification trains nothing: set transfer.mode to none")

    @functools.cached_property
    def figures(self) -> tuple[Figure, ...]:
        classes = len(self.classes)
        accuracy = Metric(name="accuracy", evidence=_decided, figure=mean, outcomes=hits)
        others = (figure for figure in one_label(classes, _best) if figure.name != "accuracy")
        return (accuracy, *others, Figure(name="loss", evidence=_surprise, figure=mean))


def _decided(answer: Classification | MultiLabel, truth: int) -> float:
    """1 where the answer is the label alone, else 0."""
    if isinstance(answer, MultiLabel):
        return float([score.index for score in answer.labels] == [truth])
    return float(answer.index == truth)


def _best(answer: Classification | MultiLabel) -> int:
    return int(np.argmax(answer.probabilities))


def _surprise(answer: Classification | MultiLabel, truth: int) -> float:
    return float(-np.log(max(answer.probabilities[truth], _LEAST)))


make, options = ZeroShotClassification, encoder_options
