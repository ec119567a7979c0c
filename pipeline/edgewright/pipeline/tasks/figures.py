"""Figures of answers: how they are made of what is kept of each sample."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from edgewright.exporters.reference import Figure, packed
from edgewright.pipeline.tasks.base import TrainingTask

_TINY = float(np.finfo(np.float64).tiny)
_TOGETHER = 1024
"""Samples whose losses are computed at once."""


def figures_of(figures: Sequence[Figure], answered: Iterable[tuple[Any, Any]]) -> dict[str, Any]:
    """Every figure by name, from answers with the truth of each; an answer is read once and not kept."""
    kept: dict[Callable[[Any, Any], Any], list[Any]] = {figure.evidence: [] for figure in figures}
    for answer, truth in answered:
        for evidence, found in kept.items():
            found.append(evidence(answer, truth))
    arrays = {evidence: packed(found) for evidence, found in kept.items()}
    told = {figure.name: figure.figure(arrays[figure.evidence]) for figure in figures}
    left_out = {figure.name for figure in figures if figure.optional and told[figure.name] is None}
    return {name: value for name, value in told.items() if name not in left_out}


def mean_loss(task: TrainingTask, outputs: NDArray[np.float32], targets: NDArray[Any]) -> float:
    """The mean loss of samples or rows, each with its weight: what the training lowers."""
    total = weight = 0.0
    for start in range(0, len(targets), _TOGETHER):
        part = targets[start : start + _TOGETHER]
        losses = task.losses(
            torch.from_numpy(outputs[start : start + _TOGETHER]), {}, torch.from_numpy(part)
        ).double()
        weights = task.weights(part).astype(np.float64)
        total += float((losses.numpy() * weights).sum())
        weight += float(weights.sum())
    return total / max(weight, _TINY)


def mean(evidence: NDArray[Any]) -> float:
    """The mean of one number of each sample, 0 without samples."""
    return float(evidence.mean()) if len(evidence) else 0.0
