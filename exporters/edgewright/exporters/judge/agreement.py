"""What is decided for each sample, and how clearly: a decision that rounding can turn says nothing of a variant."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgewright.exporters.verdict import FP32_RELATIVE
from edgewright.runtime.contracts import Tensors
from edgewright.runtime.tasks.base import DeviceTask
from edgewright.runtime.tasks.sentence_embedding import EMBEDDING, SentenceEmbedding, neighbours

Decide = Callable[[Tensors, Sequence[Tensors] | None], list[Any]]
"""Outputs of all samples, and what these were encoded to, to a decision for each, compared with ==."""

_DRAWS = 8
"""How often outputs are moved at random and the other way: one of 256 ties of two scores is taken for clear."""

_LEVELS = (1e-3, 1e-2, 0.1)
"""How far outputs are moved for a margin, in shares of the largest of them."""


def decides(decisions: Sequence[Any]) -> bool:
    """Whether a task decides anything: one whose answers are numbers alone has an empty list for each sample."""
    return any(decision != [] for decision in decisions)


def decision_of(task: DeviceTask) -> Decide:
    """How variants of `task` are held against torch by what is decided.

    A vector alone decides nothing: of embeddings it is which of the other samples is nearest.
    """
    return _nearest if isinstance(task, SentenceEmbedding) else task.decisions


@dataclass(frozen=True)
class Decided:
    """What a model decides for each sample.

    Attributes:
        each: What is compared with another model's, see `decision_of`.
        own: What the task itself decides, which a bundle keeps.
        gaps: How far the best score of each lies above the second best, where there is one for each class.
        clear: bool [samples]: an error of `FP32_RELATIVE` in every output turns nothing; of torch alone.
        margins: float64 [samples], how clearly each is decided; of torch alone.
        vectors: Those of all samples where they are what is answered.
    """

    each: list[Any]
    own: list[Any]
    gaps: NDArray[np.float64] | None
    clear: NDArray[np.bool_]
    margins: NDArray[np.float64]
    vectors: NDArray[Any] | None = None

    def neighbours_kept(self, other: "Decided", count: int = 10) -> float | None:
        """The share of the `count` nearest samples of each that are the other's too, 0 to 1; None without vectors."""
        if self.vectors is None or other.vectors is None:
            return None
        ours, theirs = (neighbours(vectors, count) for vectors in (self.vectors, other.vectors))
        if not ours.size:
            return None
        return float(
            np.mean([len({*one} & {*two}) / len(one) for one, two in zip(ours, theirs, strict=True)])
        )


class Decisions:
    """Reads decisions batch by batch; of the outputs there stay vectors alone, whose nearest may be in any batch."""

    def __init__(self, task: DeviceTask, closely: bool = False) -> None:
        """With `closely` it is read too how clearly each sample is decided."""
        self._task, self._closely = task, closely
        self._own: list[Any] = []
        self._batches: list[tuple[NDArray[np.float64] | None, NDArray[np.bool_], NDArray[np.float64]]] = []
        self._vectors: list[NDArray[Any]] = []
        self._reach = 0.0

    def add(self, outputs: Tensors, samples: Sequence[Tensors]) -> None:
        """Read the outputs of some more samples."""
        decided, task = self._task.decisions(outputs, samples), self._task
        self._own += decided
        if isinstance(task, SentenceEmbedding):
            self._vectors.append(outputs[EMBEDDING])
            return
        self._reach = max(self._reach, *(float(np.abs(value).max(initial=0.0)) for value in outputs.values()))
        gaps = score_gaps(outputs, decided)
        clear, margin = np.ones(len(decided), bool), np.zeros(len(decided))
        if self._closely and gaps is None:
            clear = clear_rows(outputs, FP32_RELATIVE, task.decisions, samples)
            margin = margins(outputs, task.decisions, samples)
        self._batches.append((gaps, clear, margin))

    def all(self) -> Decided:
        """What was decided for all samples."""
        if self._vectors:
            return self._of_vectors(np.concatenate(self._vectors))
        if not self._batches:
            return Decided([], [], None, np.zeros(0, bool), np.zeros(0))
        near = 2.0 * FP32_RELATIVE * self._reach
        clear = [kept if gaps is None else gaps > near for gaps, kept, _ in self._batches]
        margin = [kept if gaps is None else gaps for gaps, _, kept in self._batches]
        every = [gaps for gaps, _, _ in self._batches if gaps is not None]
        whole = len(every) == len(self._batches)
        return Decided(
            self._own,
            self._own,
            np.concatenate(every) if whole else None,
            np.concatenate(clear),
            np.concatenate(margin),
        )

    def _of_vectors(self, vectors: NDArray[Any]) -> Decided:
        outputs, count = {EMBEDDING: vectors}, len(vectors)
        clear = clear_rows(outputs, FP32_RELATIVE, _nearest) if self._closely else np.ones(count, bool)
        return Decided(_nearest(outputs, None), self._own, None, clear, np.zeros(count), vectors)


def _nearest(outputs: Tensors, samples: Sequence[Tensors] | None) -> list[Any]:
    places = neighbours(outputs[EMBEDDING], 1)
    return places[:, 0].tolist() if places.shape[1] else [[] for _ in places]


def clear_rows(
    outputs: Tensors, relative: float, decide: Decide, samples: Sequence[Tensors] | None = None
) -> NDArray[np.bool_]:
    """Which samples torch decides clearly, bool [samples]: an error of `relative` in every output turns nothing.

    Where the decision is the best of one score for each class, its two best scores are further apart than the error
    allowed to both. Everything else (the labels of words, the span of an answer, a nearest neighbour) is decided again
    with all outputs moved by that much, up or down at random.
    """
    decided = decide(outputs, samples)
    gaps = score_gaps(outputs, decided)
    if gaps is not None:
        return gaps > 2.0 * relative * max(float(np.abs(value).max()) for value in outputs.values())
    return _unmoved(outputs, relative, decide, samples, decided, _DRAWS, np.random.default_rng(0))


def margins(
    outputs: Tensors, decide: Decide, samples: Sequence[Tensors] | None = None
) -> NDArray[np.float64]:
    """How clearly each sample is decided, float64 [samples]; 0 where little turns it.

    The distance between the two best scores where there is one for each class; otherwise the largest of a few errors,
    as a share of the largest output, that turns nothing.
    """
    decided = decide(outputs, samples)
    gaps = score_gaps(outputs, decided)
    if gaps is not None:
        return gaps
    found, kept = np.zeros(len(decided)), np.ones(len(decided), bool)
    random = np.random.default_rng(0)
    for level in _LEVELS:
        kept &= _unmoved(outputs, level, decide, samples, decided, 3, random)
        found[kept] = level
    return found


def score_gaps(outputs: Tensors, decided: Sequence[Any]) -> NDArray[np.float64] | None:
    """How far the best score of each sample lies above the second best, where it has a score for each class and the
    decision is the index of the best; None for any other task.
    """
    values = list(outputs.values())
    if len(values) != 1 or values[0].ndim != 2 or values[0].shape[1] < 2:
        return None
    if list(decided) != values[0].argmax(axis=1).tolist():
        return None
    best = np.sort(values[0].astype(np.float64), axis=1)[:, -2:]
    gaps: NDArray[np.float64] = best[:, 1] - best[:, 0]
    return gaps


def _unmoved(
    outputs: Tensors,
    relative: float,
    decide: Decide,
    samples: Sequence[Tensors] | None,
    decided: Sequence[Any],
    draws: int,
    random: np.random.Generator,
) -> NDArray[np.bool_]:
    """Which decisions stay what they are when every output is moved by `relative` of the largest."""
    kept = np.ones(len(decided), bool)
    for _ in range(draws):
        signs = {name: random.integers(0, 2, value.shape, np.int8) * 2 - 1 for name, value in outputs.items()}
        for way in (relative, -relative):
            again = decide(
                {name: _moved(value, way * signs[name]) for name, value in outputs.items()}, samples
            )
            kept &= np.array([one == other for one, other in zip(again, decided, strict=True)], bool)
    return kept


def _moved(value: NDArray[Any], shares: NDArray[Any]) -> NDArray[Any]:
    # What is exactly zero is padding, which is not to become anything.
    reach = float(np.abs(value).max(initial=0.0))
    moved: NDArray[Any] = np.where(value == 0, value, value + reach * shares).astype(value.dtype)
    return moved
