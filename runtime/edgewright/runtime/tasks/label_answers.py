"""Answers that are labels of a text, and how logits become them."""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgewright.runtime.checks import all_finite
from edgewright.runtime.errors import BundleError, InputError
from edgewright.runtime.tasks.base import Feeds
from edgewright.runtime.tasks.classification import Classification, LabelScore
from edgewright.runtime.tasks.encoder_task import lost_note, one_line

__all__ = [
    "LabelledText",
    "MultiLabelText",
    "chosen_labels",
    "finite",
    "label_answers",
    "lost_of",
    "plain_labels",
    "show_labels",
    "softmax",
]


@dataclass(frozen=True)
class LabelledText(Classification):
    """A classification of a text; `lost` is the number of tokens that were cut off and not read."""

    lost: int = 0


@dataclass(frozen=True)
class MultiLabelText:
    """Any number of labels, each with a probability of its own.

    `names` and `probabilities` stand in the order of the graph's output; a label is chosen from the probability
    `threshold` on. `lost` is the number of tokens that were cut off and not read.
    """

    names: tuple[str, ...]
    probabilities: tuple[float, ...]
    threshold: float
    lost: int = 0

    @functools.cached_property
    def labels(self) -> tuple[LabelScore, ...]:
        """The chosen labels, the most probable first; there may be none."""
        return tuple(score for score in self.scores if score.probability >= self.threshold)

    @functools.cached_property
    def scores(self) -> tuple[LabelScore, ...]:
        """Every label, the most probable first; equal ones in the order of the output."""
        scores = map(LabelScore, self.names, range(len(self.names)), self.probabilities)
        return tuple(sorted(scores, key=lambda score: -score.probability))

    def top(self, count: int) -> tuple[LabelScore, ...]:
        """The `count` most probable labels, chosen or not."""
        return self.scores[:count]


def label_answers(
    logits: NDArray[Any], names: Sequence[str], threshold: float | None, lost: Sequence[int]
) -> list[LabelledText | MultiLabelText]:
    """Logits [batch, labels] to an answer each; with a `threshold` every label has a probability of its own."""
    names = tuple(names)
    if threshold is not None:
        odds = sigmoid(logits.astype(np.float64))
        return [
            MultiLabelText(names, tuple(row.tolist()), threshold, cut)
            for row, cut in zip(odds, lost, strict=True)
        ]
    # The decision is taken on the logits: two that differ in the last bit can round to the same probability.
    best = logits.argmax(axis=1).tolist()
    return [
        LabelledText(names, tuple(row.tolist()), index, cut)
        for row, index, cut in zip(softmax(logits), best, lost, strict=True)
    ]


def chosen_labels(logits: NDArray[Any], threshold: float | None) -> list[Any]:
    """What logits [batch, labels] decide: the best label of each, or with a `threshold` all that reach it."""
    if threshold is None:
        return [int(index) for index in logits.argmax(axis=1)]
    border = math.log(threshold / (1.0 - threshold))
    return [np.flatnonzero(row >= border).tolist() for row in logits.astype(np.float64)]


def plain_labels(answer: LabelledText | MultiLabelText, top: int = 5) -> dict[str, Any]:
    """The `top` best labels, each with its index and probability; with `chosen` where any number may hold."""
    plain: dict[str, Any] = {"labels": [dict(vars(score)) for score in answer.top(top)]}
    if isinstance(answer, MultiLabelText):
        plain["chosen"] = [score.label for score in answer.labels]
    if answer.lost:
        plain["lost"] = answer.lost
    return plain


def show_labels(answer: LabelledText | MultiLabelText, top: int = 1) -> str:
    """Labels with their probabilities: the `top` best, or all that are chosen where any number may hold."""
    scores: Sequence[LabelScore] = answer.top(top)
    if isinstance(answer, MultiLabelText):
        scores = answer.labels
        if not scores:
            best = answer.top(1)[0]
            return f"none (best: {one_line(best.label)} {best.probability:.1%}){lost_note(answer.lost)}"
    shown = [f"{one_line(one.label)} {one.probability:.1%}" for one in scores]
    return "  ".join(shown) + lost_note(answer.lost)


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


def finite(outputs: Feeds, name: str, shape: Sequence[int | None]) -> NDArray[Any]:
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


def lost_of(samples: Sequence[Feeds] | None, count: int) -> list[int]:
    """How many tokens of each sample were cut off; zeros where nothing is known of them."""
    return [0] * count if samples is None else [int(sample["lost"]) for sample in samples]
