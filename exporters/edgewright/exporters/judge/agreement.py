"""What is decided for each sample, and how clearly: a decision that rounding can turn says nothing of a variant."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

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


def neighbours_kept(task: DeviceTask, wanted: Tensors, found: Tensors, count: int = 10) -> float | None:
    """The share of the `count` nearest samples of each that are torch's too, 0 to 1; None for other tasks."""
    if not isinstance(task, SentenceEmbedding):
        return None
    ours, theirs = (neighbours(outputs[EMBEDDING], count) for outputs in (wanted, found))
    if not ours.size:
        return None
    return float(np.mean([len({*one} & {*two}) / len(one) for one, two in zip(ours, theirs, strict=True)]))


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
