"""Sequence regression while it is trained: a value of each target for each step."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from edgewright.pipeline.data.samples import Sample
from edgewright.pipeline.tasks.number_scores import errors_of, mean_over_targets
from edgewright.pipeline.tasks.numbers import Numbers, fit_steps, number_options
from edgewright.runtime.errors import DataError


@dataclass(frozen=True)
class SequenceRegression(Numbers):
    """Targets are float64 [N, T, K] in the user's units: NaN where unknown and beyond the end of a sample."""

    metric_name: str = "r2"
    name: str = "sequence-regression"

    @property
    def every_step(self) -> bool:
        return True

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

    def figures(self, outputs: NDArray[np.float32], targets: NDArray[Any]) -> dict[str, Any]:
        predictions, truth = fit_steps(outputs, targets)
        mean, std = (np.array(values) for values in self.settings.scales()[2:])
        errors = errors_of(predictions * std + mean, truth)
        figures: dict[str, Any] = {
            name: mean_over_targets(getattr(errors, name)) for name in ("r2", "rmse", "mae")
        }
        figures["targets"] = {
            target: {
                name: float(getattr(errors, name)[index]) if errors.count[index] else None
                for name in ("r2", "rmse", "mae")
            }
            for index, target in enumerate(self.names)
        }
        return figures


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "no"


make, options = SequenceRegression, number_options
