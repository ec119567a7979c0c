"""Answers that are labels of a text, and how logits become them."""

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgewright.runtime.contracts import Tensors, TensorSpec
from edgewright.runtime.errors import BundleError, InputError
from edgewright.runtime.graphs.checks import all_finite
from edgewright.runtime.options import Option
from edgewright.runtime.printable import one_line
from edgewright.runtime.tasks.answers import Answer, lost_note
from edgewright.runtime.tasks.shapes import fits

LOGITS = "logits"


@dataclass(frozen=True)
class LabelScore:
    """One class: its name, its place in the graph's output, its probability (0 to 1)."""

    label: str
    index: int
    probability: float


@dataclass(frozen=True)
class _Labels(Answer):
    """Labels with probabilities, both in the order of the graph's output."""

    names: tuple[str, ...]
    probabilities: tuple[float, ...]

    @functools.cached_property
    def scores(self) -> tuple[LabelScore, ...]:
        """Every label, the most probable first; equal ones in the order of the output."""
        # Sorted only when asked for: with a thousand classes it costs more than all the rest of an answer.
        scores = map(LabelScore, self.names, range(len(self.names)), self.probabilities)
        return tuple(sorted(scores, key=lambda score: -score.probability))

    def top(self, count: int) -> tuple[LabelScore, ...]:
        """The `count` most probable labels."""
        return self.scores[:count]

    def to_json(self, top: int = 5) -> dict[str, Any]:
        """The `top` best labels, each with its index and probability."""
        return {"labels": [dict(vars(score)) for score in self.top(top)]}


@dataclass(frozen=True)
class Classification(_Labels):
    """One label of several.

    `names` and `probabilities` stand in the order of the graph's output; `labels` has all of them, best first. `lost`
    is the number of tokens of a text that were cut off and not read.
    """

    index: int
    lost: int = 0

    @property
    def label(self) -> str:
        """The most probable class."""
        return self.names[self.index]

    @property
    def probability(self) -> float:
        """The probability of the most probable class."""
        return self.probabilities[self.index]

    @property
    def labels(self) -> tuple[LabelScore, ...]:
        """Every class, the most probable first; equal ones in the order of the output."""
        return self.scores

    def to_json(self, top: int = 5) -> dict[str, Any]:
        plain = super().to_json(top)
        return {**plain, "lost": self.lost} if self.lost else plain

    def line(self, top: int = 1) -> str:
        """The `top` best labels with their probabilities: "cat 98.1%  dog 1.2%"."""
        return _shown(self.top(top)) + lost_note(self.lost)


@dataclass(frozen=True)
class MultiLabel(_Labels):
    """Any number of labels, each with a probability of its own.

    `names` and `probabilities` stand in the order of the graph's output; a label is chosen from the probability
    `threshold` on. `lost` is the number of tokens of a text that were cut off and not read.
    """

    threshold: float
    lost: int = 0

    @functools.cached_property
    def labels(self) -> tuple[LabelScore, ...]:
        """The chosen labels, the most probable first; there may be none."""
        return tuple(score for score in self.scores if score.probability >= self.threshold)

    def to_json(self, top: int = 5) -> dict[str, Any]:
        """The `top` best labels, chosen or not, and the names of the chosen ones."""
        plain = {**super().to_json(top), "chosen": [score.label for score in self.labels]}
        return {**plain, "lost": self.lost} if self.lost else plain

    def line(self, top: int = 1) -> str:
        """All labels that are chosen, with their probabilities."""
        shown = _shown(self.labels) or f"none (best: {_shown(self.top(1))})"
        return shown + lost_note(self.lost)


def _shown(scores: Sequence[LabelScore]) -> str:
    return "  ".join(f"{one_line(score.label)} {score.probability:.1%}" for score in scores)


class Classifier:
    """The half of a classification task that starts at the logits."""

    kind = "classifier"
    """What messages call it."""

    options: tuple[Option, ...] = ()

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

    def decode(self, outputs: Tensors, samples: Sequence[Tensors] | None = None) -> list[Classification]:
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

    def decisions(self, outputs: Tensors, samples: Sequence[Tensors] | None = None) -> list[int]:
        """The index of the largest logit of each sample, the first of equal ones."""
        return [int(index) for index in self._logits(outputs).argmax(axis=1)]

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


def label_answers(
    logits: NDArray[Any], names: Sequence[str], threshold: float | None, lost: Sequence[int]
) -> list[Classification | MultiLabel]:
    """Logits [batch, labels] to an answer each; with a `threshold` every label has a probability of its own."""
    names = tuple(names)
    if threshold is not None:
        odds = sigmoid(logits.astype(np.float64))
        return [
            MultiLabel(names, tuple(row.tolist()), threshold, cut)
            for row, cut in zip(odds, lost, strict=True)
        ]
    # The decision is taken on the logits: two that differ in the last bit can round to the same probability.
    best = logits.argmax(axis=1).tolist()
    return [
        Classification(names, tuple(row.tolist()), index, cut)
        for row, index, cut in zip(softmax(logits), best, lost, strict=True)
    ]


def chosen_labels(logits: NDArray[Any], threshold: float | None) -> list[Any]:
    """What logits [batch, labels] decide: the best label of each, or with a `threshold` all that reach it."""
    if threshold is None:
        return [int(index) for index in logits.argmax(axis=1)]
    border = math.log(threshold / (1.0 - threshold))
    return [np.flatnonzero(row >= border).tolist() for row in logits.astype(np.float64)]


def softmax(logits: NDArray[Any]) -> NDArray[np.float64]:
    """Probabilities over the last axis, computed in float64."""
    values = logits.astype(np.float64)
    exponentials = np.exp(values - values.max(axis=-1, keepdims=True))
    result: NDArray[np.float64] = exponentials / exponentials.sum(axis=-1, keepdims=True)
    return result


def sigmoid(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """The probability of each logit, without overflow."""
    result: NDArray[np.float64] = 0.5 * (1.0 + np.tanh(0.5 * logits))
    return result


def finite(outputs: Tensors, name: str, shape: Sequence[int | None]) -> NDArray[Any]:
    """The output `name`, of this shape (None: any size). Raises `BundleError` for another one, `InputError` for values
    that are not finite.
    """
    value = outputs[name]
    if value.ndim != len(shape):
        raise _misshaped(name, value, shape)
    for size, axis in zip(shape, value.shape, strict=False):
        if size is not None and size != axis:
            raise _misshaped(name, value, shape)
    if not all_finite(value):
        raise InputError(
            "the model's answer is not finite (NaN or infinity): use the fp32 variant, or another input"
        )
    return value


def _misshaped(name: str, value: NDArray[Any], shape: Sequence[int | None]) -> BundleError:
    found, wanted = (
        "x".join("*" if size is None else str(size) for size in one) for one in (value.shape, shape)
    )
    return BundleError(f"the graph gave {name} of {found} instead of {wanted}: get a fresh bundle")


def lost_of(samples: Sequence[Tensors] | None, count: int) -> list[int]:
    """How many tokens of each sample were cut off; zeros where nothing is known of them."""
    return [0] * count if samples is None else [int(sample["lost"]) for sample in samples]
