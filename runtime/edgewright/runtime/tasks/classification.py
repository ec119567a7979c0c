"""What every classifier on a device shares: labels, logits to probabilities, and how an answer is shown."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgewright.runtime.checks import all_finite
from edgewright.runtime.errors import BundleError, InputError
from edgewright.runtime.manifest import TensorSpec
from edgewright.runtime.tasks.base import Feeds
from edgewright.runtime.tasks.shapes import fits

__all__ = ["LOGITS", "Classification", "Classifier", "LabelScore"]

LOGITS = "logits"


@dataclass(frozen=True)
class LabelScore:
    """One class: its name, its place in the graph's output, its probability (0 to 1)."""

    label: str
    index: int
    probability: float


@dataclass(frozen=True)
class Classification:
    """The answer to one raw input.

    `names` and `probabilities` stand in the order of the graph's output; `labels` has all of them, best
    first.
    """

    names: tuple[str, ...]
    probabilities: tuple[float, ...]
    index: int

    @property
    def label(self) -> str:
        """The most probable class."""
        return self.names[self.index]

    @property
    def probability(self) -> float:
        """The probability of the most probable class."""
        return self.probabilities[self.index]

    @functools.cached_property
    def labels(self) -> tuple[LabelScore, ...]:
        """Every class, the most probable first; equal ones in the order of the output."""
        # Sorted only when asked for: with a thousand classes it costs more than all the rest of an answer.
        scores = map(LabelScore, self.names, range(len(self.names)), self.probabilities)
        return tuple(sorted(scores, key=lambda score: -score.probability))

    def top(self, count: int) -> tuple[LabelScore, ...]:
        """The `count` most probable classes."""
        return self.labels[:count]


class Classifier:
    """The half of a classification task that starts at the logits."""

    kind = "classifier"
    """What messages call it."""

    def __init__(self, labels: Sequence[str]) -> None:
        self._labels = tuple(labels)
        if not self._labels:
            raise BundleError(
                f"an {self.kind} needs labels, and the bundle has none: get a fresh copy of the bundle"
            )

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the classes, in the order of the logits."""
        return self._labels

    def check_logits(self, outputs: Sequence[TensorSpec]) -> None:
        """Raise `BundleError` unless a graph with these outputs gives one logit per label."""
        shape = next((spec.shape for spec in outputs if spec.name == LOGITS), None)
        if shape is None or len(shape) != 2 or not fits(shape[1:], (len(self._labels),)):
            raise BundleError(
                f"the graph must give an output {LOGITS!r} of batch x {len(self._labels)}, one per label: "
                "get a fresh copy of the bundle"
            )

    def decode(self, outputs: Feeds, samples: Sequence[Feeds] | None = None) -> list[Classification]:
        """Logits [batch, classes] to one answer each. Raises `InputError` when a logit is not finite."""
        logits = self._logits(outputs).astype(np.float64)
        exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
        probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
        # The decision is taken on the logits: two that differ in the last bit can round to the same
        # probability.
        return [
            Classification(self._labels, tuple(row.tolist()), int(index))
            for row, index in zip(probabilities, logits.argmax(axis=1), strict=True)
        ]

    def decisions(self, outputs: Feeds, samples: Sequence[Feeds] | None = None) -> list[int]:
        """The index of the largest logit of each sample, the first of equal ones."""
        return [int(index) for index in self._logits(outputs).argmax(axis=1)]

    def plain(self, answer: Classification, top: int = 5) -> dict[str, Any]:
        """The `top` best labels, each with its index and probability."""
        return {"labels": [dict(vars(score)) for score in answer.top(top)]}

    def show(self, answer: Classification, top: int = 1) -> str:
        """The `top` best labels with their probabilities: "cat 98.1%  dog 1.2%"."""
        return "  ".join(f"{score.label} {score.probability:.1%}" for score in answer.top(top))

    def _logits(self, outputs: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        logits = outputs[LOGITS]
        if logits.ndim != 2 or logits.shape[1] != len(self._labels):
            shape = "x".join(map(str, logits.shape))
            raise BundleError(
                f"the graph gave {shape} {LOGITS} for {len(self._labels)} labels: get a fresh bundle"
            )
        if not all_finite(logits):
            raise InputError(
                "the model's answer is not finite (NaN or infinity): use the fp32 variant, or another input"
            )
        return logits
