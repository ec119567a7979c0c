"""What is decided for each sample, and how clearly: a decision that rounding can turn says nothing of a variant."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgewright.exporters.verdict import FP32_RELATIVE
from edgewright.runtime.contracts import Tensors
from edgewright.runtime.tasks.base import Task
from edgewright.runtime.tasks.sentence_embedding import neighbours

_DRAWS = 8
"""How often outputs are moved at random and the other way: one of 256 ties of two scores is taken for clear."""

_LEVELS = (1e-3, 1e-2, 0.1)
"""How far outputs are moved for a margin, in shares of the largest of them."""


def decides(decisions: Sequence[Any]) -> bool:
    """Whether a task decides anything: one whose answers are numbers alone has an empty list for each sample."""
    return any(decision != [] for decision in decisions)


def decide(task: Task[Any], outputs: Sequence[Tensors], samples: Sequence[Tensors]) -> list[Any]:
    """What models are compared by, for each sample: what the task decides.

    A vector alone decides nothing: of vectors it is which of the other samples is nearest.
    """
    answers = list(map(task.decode, outputs, samples))
    vectors = [task.vector(answer) for answer in answers]
    return _nearest(vectors) if _all_there(vectors) else [task.decision(answer) for answer in answers]


@dataclass(frozen=True)
class Decided:
    """What a model decides for each sample.

    Attributes:
        each: What is compared with another model's, see `decide`.
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
    """Reads decisions as answers come; of the outputs there stay vectors alone, whose nearest may be any sample."""

    def __init__(self, task: Task[Any], closely: bool = False) -> None:
        """With `closely` it is read too how clearly each sample is decided."""
        self._task, self._closely = task, closely
        self._own: list[Any] = []
        self._gaps: list[float | None] = []
        self._clear: list[bool] = []
        self._margins: list[float] = []
        self._vectors: list[Any] = []
        self._reach = 0.0

    def add(self, outputs: Sequence[Tensors], samples: Sequence[Tensors], answers: Sequence[Any]) -> None:
        """Read the answers to some more samples, made of these outputs."""
        task = self._task
        decided = [task.decision(answer) for answer in answers]
        self._own += decided
        vectors = [task.vector(answer) for answer in answers]
        if _all_there(vectors):
            self._vectors += vectors
            return
        self._reach = max(self._reach, *_reach(outputs).values())
        gaps = [_gap(task, *pair) for pair in zip(outputs, decided, strict=True)]
        clear, margin = [True] * len(gaps), [_LEVELS[-1]] * len(gaps)
        if task.loops:  # what was chosen on the way is not chosen again from outputs that are moved
            clear, margin = [False] * len(gaps), [_LEVELS[0]] * len(gaps)
        elif self._closely and None in gaps and decides(decided):
            clear = _unmoved(task, outputs, samples, FP32_RELATIVE, _DRAWS, np.random.default_rng(0)).tolist()
            margin = margins(task, outputs, samples).tolist()
        self._gaps += gaps
        self._clear += clear
        self._margins += margin

    def all(self) -> Decided:
        """What was decided for all samples."""
        if self._vectors:
            return self._of_vectors(np.stack(self._vectors))
        near = 2.0 * FP32_RELATIVE * self._reach
        clear = [
            kept if gap is None else gap > near for gap, kept in zip(self._gaps, self._clear, strict=True)
        ]
        margin = [kept if gap is None else gap for gap, kept in zip(self._gaps, self._margins, strict=True)]
        gaps = None if None in self._gaps or not self._gaps else np.array(self._gaps, np.float64)
        return Decided(self._own, self._own, gaps, np.array(clear, bool), np.array(margin, np.float64))

    def _of_vectors(self, vectors: NDArray[Any]) -> Decided:
        nearest, clear = _nearest(vectors), np.ones(len(vectors), bool)
        if self._closely:
            reach, random = float(np.abs(vectors).max(initial=0.0)), np.random.default_rng(0)
            for _ in range(_DRAWS):
                signs = random.integers(0, 2, vectors.shape, np.int8) * 2 - 1
                for way in (FP32_RELATIVE, -FP32_RELATIVE):
                    again = _nearest((vectors + reach * way * signs).astype(vectors.dtype))
                    clear &= np.array([one == other for one, other in zip(again, nearest, strict=True)], bool)
        return Decided(nearest, self._own, None, clear, np.zeros(len(vectors)), vectors)


def clear_samples(
    task: Task[Any], outputs: Sequence[Tensors], samples: Sequence[Tensors], relative: float
) -> NDArray[np.bool_]:
    """Which samples torch decides clearly, bool [samples]: an error of `relative` in every output turns nothing.

    Where the decision is the best of one score for each class, its two best scores are further apart than the error
    allowed to both. Everything else (the labels of words, the span of an answer, a nearest neighbour) is decided again
    with all outputs moved by that much, up or down at random.
    """
    gaps = list(map(score_gap, outputs, decide(task, outputs, samples)))
    if None not in gaps:
        return np.array(gaps) > 2.0 * relative * max(_reach(outputs).values())
    return _unmoved(task, outputs, samples, relative, _DRAWS, np.random.default_rng(0))


def margins(task: Task[Any], outputs: Sequence[Tensors], samples: Sequence[Tensors]) -> NDArray[np.float64]:
    """How clearly each sample is decided, float64 [samples]; 0 where little turns it.

    The distance between the two best scores where there is one for each class; otherwise the largest of a few errors,
    as a share of the largest output, that turns nothing.
    """
    gaps = list(map(score_gap, outputs, decide(task, outputs, samples)))
    if None not in gaps:
        return np.array(gaps, np.float64)
    found, kept = np.zeros(len(outputs)), np.ones(len(outputs), bool)
    random = np.random.default_rng(0)
    for level in _LEVELS:
        kept &= _unmoved(task, outputs, samples, level, 3, random)
        found[kept] = level
    return found


def _gap(task: Task[Any], outputs: Tensors, decision: Any) -> float | None:
    gap = score_gap(outputs, decision)
    return task.margin(outputs) if gap is None and task.loops else gap


def score_gap(outputs: Tensors, decision: Any) -> float | None:
    """How far the best score of a sample lies above the second best, where it has a score for each class and the
    decision is the index of the best; None for any other task.
    """
    values = list(outputs.values())
    if len(values) != 1 or values[0].ndim != 1 or len(values[0]) < 2 or not isinstance(decision, int):
        return None
    if decision != int(values[0].argmax()):
        return None
    best = np.sort(values[0].astype(np.float64))[-2:]
    return float(best[1] - best[0])


def _reach(outputs: Sequence[Tensors]) -> dict[str, float]:
    """The largest absolute value of each output; 0 of one that holds choices."""
    return {
        name: max(float(np.abs(one[name]).max(initial=0.0)) for one in outputs)
        if value.dtype.kind == "f"
        else 0.0
        for name, value in outputs[0].items()
    }


def _unmoved(
    task: Task[Any],
    outputs: Sequence[Tensors],
    samples: Sequence[Tensors],
    relative: float,
    draws: int,
    random: np.random.Generator,
) -> NDArray[np.bool_]:
    """Which decisions stay what they are when every output is moved by `relative` of the largest."""
    decided, reach = decide(task, outputs, samples), _reach(outputs)
    kept = np.ones(len(decided), bool)
    for _ in range(draws):
        signs = [
            {name: random.integers(0, 2, value.shape, np.int8) * 2 - 1 for name, value in one.items()}
            for one in outputs
        ]
        for way in (relative, -relative):
            moved = [
                {name: _moved(value, reach[name] * way * ups[name]) for name, value in one.items()}
                for one, ups in zip(outputs, signs, strict=True)
            ]
            again = decide(task, moved, samples)
            kept &= np.array(list(map(task.same, again, decided)), bool)
    return kept


def _moved(value: NDArray[Any], by: NDArray[Any]) -> NDArray[Any]:
    """A number is rounded, a choice that was made is not."""
    return (value + by).astype(value.dtype) if value.dtype.kind == "f" else value


def _all_there(vectors: Sequence[Any]) -> bool:
    return bool(vectors) and all(vector is not None for vector in vectors)


def _nearest(vectors: Any) -> list[Any]:
    places = neighbours(np.stack([*vectors]), 1)
    return places[:, 0].tolist() if places.shape[1] else [[] for _ in places]
