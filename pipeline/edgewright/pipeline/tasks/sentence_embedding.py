"""Sentence embedding while it is trained: texts of one label are drawn together, others apart."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from edgewright.exporters.reference import Figure, Metric
from edgewright.pipeline.tasks.encoder_rows import EncoderRows, encoder_options
from edgewright.runtime.tasks.sentence_embedding import Embedding, neighbours

_TEMPERATURE = 0.1


@dataclass(frozen=True)
class SentenceEmbedding(EncoderRows):
    """Vectors of texts, near one another where their labels are the same: targets are int64 [N], labels.

    The metric is the share of texts whose nearest other text has their label. Where several processes train, each
    compares the texts of its own part of a batch.
    """

    classes: tuple[str, ...] = ()
    processor: Mapping[str, Any] = field(default_factory=dict)
    metric_name: str = "neighbour-accuracy"
    name: str = "sentence-embedding"

    def losses(
        self, outputs: torch.Tensor, auxiliary: Mapping[str, torch.Tensor], targets: torch.Tensor
    ) -> torch.Tensor:
        return contrastive_losses(outputs.float(), targets.to(outputs.device))

    def weights(self, targets: NDArray[Any]) -> NDArray[np.float32]:
        # a text whose label no other of its batch has can be drawn to nothing
        _, places, counts = np.unique(targets, return_inverse=True, return_counts=True)
        weights: NDArray[np.float32] = (counts[places.reshape(-1)] > 1).astype(np.float32)
        return weights

    @functools.cached_property
    def figures(self) -> tuple[Figure, ...]:
        return (Metric(name="neighbour-accuracy", evidence=_labelled, figure=_accuracy, outcomes=_alike),)


def _labelled(answer: Embedding, truth: int) -> NDArray[np.float64]:
    """The vector, and behind it the label: float64 [dimensions + 1]."""
    return np.append(answer.vector.astype(np.float64), float(truth))


def _accuracy(rows: NDArray[Any]) -> float:
    return float(_alike(rows).mean())


def _alike(rows: NDArray[Any]) -> NDArray[np.bool_]:
    """Whether the nearest other text of each has its label, from rows [N, dimensions + 1]."""
    vectors, labels = rows[:, :-1], rows[:, -1]
    nearest = neighbours(vectors, 1)
    if not nearest.shape[1]:
        return np.zeros(len(rows), bool)
    alike: NDArray[np.bool_] = labels[nearest[:, 0]] == labels
    return alike


def contrastive_losses(vectors: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The supervised contrastive loss of each text of a batch, [N]; 0 for one whose label no other has.

    Of a text it is the mean, over the others of its label, of minus the logarithm of that one's share among all
    others, by the cosine over a temperature of 0.1. Source: L_out of Khosla et al., Supervised Contrastive Learning,
    NeurIPS 2020.

    Args:
        vectors: float32 [N, dimensions], of any length.
        labels: int64 [N].
    """
    unit = torch.nn.functional.normalize(vectors, dim=1)
    own = torch.eye(len(unit), dtype=torch.bool, device=unit.device)
    # a finite number: of a batch of one text infinities would leave gradients that are none
    likeness = (unit @ unit.T / _TEMPERATURE).masked_fill(own, -1e9)
    odds = torch.log_softmax(likeness, dim=1)
    alike = (labels.unsqueeze(0) == labels.unsqueeze(1)) & ~own
    return -torch.where(alike, odds, 0.0).sum(dim=1) / alike.sum(dim=1).clamp(min=1)


make, options = SentenceEmbedding, encoder_options
