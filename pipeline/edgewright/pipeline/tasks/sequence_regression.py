"""Sequence regression while it is trained: a value of each target for each step."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from edgewright.exporters.reference import Figure, Metric
from edgewright.pipeline.data.samples import Sample
from edgewright.pipeline.tasks.number_scores import Errors, errors_of, mean_over_targets
from edgewright.pipeline.tasks.numbers import Numbers, joined, known_values, number_options
from edgewright.runtime.errors import DataError
from edgewright.runtime.tasks.sequence_regression import Prediction

_ERRORS = ("r2", "rmse", "mae")


@dataclass(frozen=True)
class SequenceRegression(Numbers):
    """Targets are float64 [N, T, K] in the user's units: NaN where unknown and beyond the end of a sample."""

    metric_name: str = "r2"
    name: str = "sequence-regression"

    def target(self, sample: Sample, feeds: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
        target = np.asarray(sample.target, np.float64)
        wanted = (int(feeds["lengths"]), len(self.names))
        if target.shape != wanted:
            raise DataError(
                f"{sample.id}: {_size(target.shape)} target values for {_size(wanted)} encoded: "
                "give one value of each target for every step"
            )
        return target

    def stack(self, targets: Sequence[Any]) -> NDArray[np.float64]:
        longest = max((len(target) for target in targets), default=0)
        stacked = np.full((len(targets), longest, len(self.names)), np.nan)
        for row, target in zip(stacked, targets, strict=True):
            row[: len(target)] = target
        return stacked

    def normalised(self, targets: torch.Tensor) -> torch.Tensor:
        mean, std = (targets.new_tensor(values) for values in self.settings.scales()[2:])
        return ((targets - mean) / std).float()

    @functools.cached_property
    def figures(self) -> tuple[Figure, ...]:
        return (
            Metric(name="r2", evidence=_both, figure=_mean_error("r2")),
            Figure(name="rmse", evidence=_both, figure=_mean_error("rmse")),
            Figure(name="mae", evidence=_both, figure=_mean_error("mae")),
            Figure(name="targets", evidence=_both, figure=self._each_target),
            Figure(name="values", evidence=_both, figure=lambda each: known_values(joined(each)[..., 1])),
        )

    def _each_target(self, evidence: NDArray[Any]) -> dict[str, Any]:
        errors = _errors(evidence)
        return {
            target: {
                name: float(getattr(errors, name)[index]) if errors.count[index] else None for name in _ERRORS
            }
            for index, target in enumerate(self.names)
        }


def _both(answer: Prediction, truth: NDArray[np.float64]) -> NDArray[np.float64]:
    """What was predicted and what is true of each step, float64 [T, K, 2]."""
    return np.stack((answer.values, truth[: len(answer.values)]), axis=2)


def _errors(evidence: NDArray[Any]) -> Errors:
    steps = joined(evidence)
    return errors_of(steps[..., 0], steps[..., 1])


def _mean_error(name: str) -> Callable[[NDArray[Any]], float]:
    return lambda evidence: mean_over_targets(getattr(_errors(evidence), name))


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "no"


make, options = SequenceRegression, number_options
