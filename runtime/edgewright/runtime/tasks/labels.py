"""Answers that are labels of a text, and how logits become them."""

import functools
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgewright.runtime.contracts import AnswerMaker, Tensors, TensorSpec
from edgewright.runtime.errors import BundleError, InputError
from edgewright.runtime.graphs.checks import all_finite
from edgewright.runtime.printable import one_line
from edgewright.runtime.tasks.answers import Answer, lost_note
from edgewright.runtime.tasks.base import Task

LOGITS = "logits"


@dataclass(frozen=True)
class LabelScore:
    """One class: its name, its place in the graph's output, its probability (0 to 1)."""

    label: str
    index: int
    probability: float


@dataclass(frozen=True, eq=False)
class Labels(Answer):
    """Labels with a logit each, in the order of the graph's output. `lost` is the number of tokens of a text that were
    cut off and not read.

    Everything else is made when it is looked at: a control loop must not pay for what nobody reads. A look at an
    answer of a stream whose logits are not finite raises `InputError`.
    """

    names: tuple[str, ...]
    logits: NDArray[Any]
    lost: int = 0

    def _odds(self, logits: NDArray[Any]) -> NDArray[np.float64]:
        """The probabilities of finite logits [labels]."""
        return softmax(logits)

    @functools.cached_property
    def probabilities(self) -> tuple[float, ...]:
        """The probability of each label, in the order of the graph's output."""
        return tuple(self._odds(checked(self.logits)).tolist())

    @functools.cached_property
    def scores(self) -> tuple[LabelScore, ...]:
        """Every label, the most probable first; equal ones in the order of the output."""
        # Sorted only when asked for: with a thousand classes it costs more than all the rest of an answer.
        scores = map(LabelScore, self.names, range(len(self.names)), self.probabilities)
        return tuple(sorted(scores, key=lambda score: -score.probability))

    def top(self, count: int) -> tuple[LabelScore, ...]:
        """The `count` most probable labels."""
        return self.scores[:count]

    def cells(self, top: int = 1) -> dict[str, str | float | int | None]:
        """The best label and its probability, and those of the next as "label_2", "probability_2"."""
        found: dict[str, str | float | int | None] = {}
        for place, score in enumerate(self.top(top), 1):
            number = f"_{place}" if place > 1 else ""
            found |= {f"label{number}": score.label, f"probability{number}": score.probability}
        return found

    def to_json(self, top: int = 5) -> dict[str, Any]:
        """The `top` best labels, each with its index and probability."""
        plain: dict[str, Any] = {"labels": [dict(vars(score)) for score in self.top(top)]}
        return {**plain, "lost": self.lost} if self.lost else plain

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return (self.names, self.lost, self.probabilities) == (other.names, other.lost, other.probabilities)

    def __hash__(self) -> int:
        return hash((self.names, self.lost, self.probabilities))

    def __repr__(self) -> str:
        said = self.line() if all_finite(self.logits) else "not finite"
        return f"<{type(self).__name__} {said}>"


@dataclass(frozen=True, eq=False, repr=False)
class Classification(Labels):
    """One label of several; `labels` has all of them, best first. With `alone` there is a single one, whose probability
    is that it holds.
    """

    alone: bool = False

    def _odds(self, logits: NDArray[Any]) -> NDArray[np.float64]:
        # A single label is not certain because it has no rival.
        return sigmoid(logits.astype(np.float64)) if self.alone else softmax(logits)

    @functools.cached_property
    def index(self) -> int:
        """The place of the most probable class in the graph's output, the first of equal ones."""
        # Decided on the logits: two that differ in the last bit can round to the same probability.
        return int(checked(self.logits).argmax())

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

    def bare(self) -> str:
        """The label."""
        return one_line(self.label)

    def line(self, top: int = 1) -> str:
        """The `top` best labels with their probabilities: "cat 98.1%  dog 1.2%"."""
        return _shown(self.top(top)) + lost_note(self.lost)


@dataclass(frozen=True, eq=False, repr=False)
class MultiLabel(Labels):
    """Any number of labels, each with a probability of its own; one is chosen from the probability `threshold` on."""

    threshold: float = 0.5

    def _odds(self, logits: NDArray[Any]) -> NDArray[np.float64]:
        return sigmoid(logits.astype(np.float64))

    @functools.cached_property
    def chosen(self) -> tuple[int, ...]:
        """The places of the labels that are chosen in the graph's output."""
        border = math.log(self.threshold / (1.0 - self.threshold))
        return tuple(np.flatnonzero(checked(self.logits).astype(np.float64) >= border).tolist())

    @functools.cached_property
    def labels(self) -> tuple[LabelScore, ...]:
        """The chosen labels, the most probable first; there may be none."""
        chosen = set(self.chosen)
        return tuple(score for score in self.scores if score.index in chosen)

    def to_json(self, top: int = 5) -> dict[str, Any]:
        """The `top` best labels, chosen or not, and the names of the chosen ones."""
        plain = super().to_json(top)
        return {"labels": plain.pop("labels"), "chosen": [score.label for score in self.labels], **plain}

    def bare(self) -> str:
        """The chosen labels, with tabs between them."""
        return "\t".join(one_line(score.label) for score in self.labels)

    def cells(self, top: int = 1) -> dict[str, str | float | int | None]:
        """The chosen labels as JSON, and the best as `Labels` has them."""
        chosen = json.dumps([score.label for score in self.labels], ensure_ascii=False)
        return {"chosen": chosen, **super().cells(top)}

    def line(self, top: int = 1) -> str:
        """All labels that are chosen, with their probabilities."""
        shown = _shown(self.labels) or f"none (best: {_shown(self.top(1))})"
        return shown + lost_note(self.lost)


def chosen(answer: Classification | MultiLabel) -> Any:
    """What an answer decides: the index of its label, or those of all labels that are chosen."""
    return list(answer.chosen) if isinstance(answer, MultiLabel) else answer.index


def _shown(scores: Sequence[LabelScore]) -> str:
    return "  ".join(f"{one_line(score.label)} {score.probability:.1%}" for score in scores)


def label_names(labels: Sequence[str], kind: str) -> tuple[str, ...]:
    """The labels of a task whose model is called a `kind`. Raises `BundleError` where there are none."""
    if not labels:
        raise BundleError(f"a {kind} needs labels, and the bundle has none: get a fresh copy of the bundle")
    return tuple(labels)


class Classifier(Task[Classification]):
    """The half of a classification task that starts at the logits; subclasses set `labels`."""

    def outputs(self, *before: int | str) -> tuple[TensorSpec, ...]:
        """What a graph has to give: one logit for each label."""
        return (TensorSpec(LOGITS, "float32", (*before, len(self.labels))),)

    def decode(self, outputs: Tensors, sample: Tensors) -> Classification:
        """Logits [labels] to an answer. Raises `InputError` when a logit is not finite."""
        return Classification(self.labels, finite(outputs, LOGITS, (len(self.labels),)))

    def decision(self, answer: Classification) -> int:
        """The index of the largest logit, the first of equal ones."""
        return answer.index

    def later(self) -> AnswerMaker:
        """What makes the answers of a stream, from logits [labels]; quicker than the class's own constructor."""
        new: Any = object.__new__
        names = self.labels

        def answer(output: NDArray[Any], time: float | None = None) -> Any:
            made = new(Classification)
            held = made.__dict__
            held["names"], held["logits"] = names, output
            return made

        return answer


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
    return checked(value)


def checked(value: NDArray[Any]) -> NDArray[Any]:
    """An output, if it is finite. Raises `InputError`."""
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
