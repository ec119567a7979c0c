"""Figures of answers: how they are made of what is kept of each sample."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from edgewright.exporters.reference import Figure, packed
from edgewright.pipeline.tasks.base import Objective

_TINY = float(np.finfo(np.float64).tiny)
_TOGETHER = 1024
"""Samples whose losses are computed at once."""


def figures_of(figures: Sequence[Figure], answered: Iterable[tuple[Any, ...]]) -> dict[str, Any]:
    """Every figure by name, from answers with the truth of each and, where a figure reads them, the outputs.

    All of it is read once and not kept.
    """
    kept: dict[tuple[Callable[[Any, Any], Any], str], list[Any]] = {
        (figure.evidence, figure.reads): [] for figure in figures
    }
    for answer, truth, *outputs in answered:
        for (evidence, reads), found in kept.items():
            found.append(evidence(outputs[0] if reads == "outputs" else answer, truth))
    arrays = {key: packed(found) for key, found in kept.items()}
    told = {figure.name: figure.figure(arrays[figure.evidence, figure.reads]) for figure in figures}
    left_out = {figure.name for figure in figures if figure.optional and told[figure.name] is None}
    return {name: value for name, value in told.items() if name not in left_out}


def mean_loss(task: Objective, outputs: Sequence[NDArray[np.float32]], targets: NDArray[Any]) -> float:
    """The mean loss of rows, each with its weight: what the training lowers. `outputs` are those of each row, [C], or
    [T, K] with an entry for each of its steps.
    """
    total = weight = 0.0
    longest = max((len(row) for row in outputs), default=0)
    for start in range(0, len(targets), _TOGETHER):
        part = targets[start : start + _TOGETHER]
        stacked = _stacked(outputs[start : start + _TOGETHER], longest)
        losses = task.losses(torch.from_numpy(stacked), {}, torch.from_numpy(part)).double()
        weights = task.weights(part).astype(np.float64)
        total += float((losses.numpy() * weights).sum())
        weight += float(weights.sum())
    return total / max(weight, _TINY)


def _stacked(rows: Sequence[NDArray[np.float32]], longest: int) -> NDArray[np.float32]:
    """Rows as a batch, those of fewer than `longest` steps padded with zeros."""
    if all(len(row) == longest for row in rows):
        return np.stack(rows)
    stacked = np.zeros((len(rows), longest, *rows[0].shape[1:]), np.float32)
    for place, row in zip(stacked, rows, strict=True):
        place[: len(row)] = row
    return stacked


def mean(evidence: NDArray[Any]) -> float:
    """The mean of one number of each sample, 0 without samples."""
    return float(evidence.mean()) if len(evidence) else 0.0
