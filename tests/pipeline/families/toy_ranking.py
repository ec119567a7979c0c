"""Both halves of a task whose metric keeps of a sample as much as there is to keep: labels ranked over all pictures."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgewright.exporters.reference import Figure, Metric
from edgewright.pipeline.tasks.image_classification import ImageClassification, options
from edgewright.runtime.tasks.image_classification import ImageClassification as DeviceTask

__all__ = ["DeviceTask", "Toy", "average_precision", "make", "options", "scored"]

LEAST = 0.05
"""Probability from which a label is held for one that was found."""


def scored(answer: Any, truth: int) -> NDArray[np.float64]:
    """The labels that were found in a picture, any number of them: the score of each, and whether it is there."""
    return np.array(
        [(score, label == truth) for label, score in enumerate(answer.probabilities) if score >= LEAST]
    ).reshape(-1, 2)


def average_precision(evidence: NDArray[Any]) -> float:
    """The area below precision over recall, of what was found in all pictures, each of which has one label."""
    pairs = np.concatenate([*evidence])
    right = pairs[np.argsort(-pairs[:, 0], kind="stable"), 1]
    precision = np.cumsum(right) / np.arange(1, len(right) + 1)
    return float((precision * right).sum() / len(evidence))


@dataclass(frozen=True)
class Toy(ImageClassification):
    """The labels of a picture, ranked over all pictures."""

    name: str = "toy-ranking"

    @property
    def figures(self) -> tuple[Figure, ...]:
        own = Metric(name="average-precision", evidence=scored, figure=average_precision)
        return (own, *super().figures)


make = Toy
