"""Tasks that answer with numbers while they are trained: the loss over known values, and what figures share."""

import abc
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from edgewright.pipeline.data.samples import Sample, Splits
from edgewright.pipeline.models.model import BuiltModel
from edgewright.pipeline.recipe.recipe import Recipe
from edgewright.pipeline.tasks.base import Objective
from edgewright.runtime.bundle.structure import to_plain
from edgewright.runtime.series.settings import SeriesSettings, series_settings

LOSSES = ("mse", "mae", "huber")


@dataclass(frozen=True)
class Numbers(Objective):
    """The part that regression and forecasting share.

    `processor` are the model's `SeriesSettings` as plain values: the names of the targets and the scales between
    the user's units and the graph's. `loss` is one of `LOSSES`, in the graph's units.
    """

    classes: tuple[str, ...] = ()
    processor: Mapping[str, Any] = field(default_factory=dict)
    metric_name: str = ""
    loss: str = "mse"
    name: str = ""

    @functools.cached_property
    def settings(self) -> SeriesSettings:
        """`processor`, checked. Raises `BundleError`."""
        return series_settings(self.processor)

    @property
    def names(self) -> tuple[str, ...]:
        """The targets, in order."""
        return self.settings.targets

    @abc.abstractmethod
    def target(self, sample: Sample, feeds: Mapping[str, NDArray[Any]]) -> Any: ...

    @abc.abstractmethod
    def stack(self, targets: Sequence[Any]) -> NDArray[np.float64]: ...

    @abc.abstractmethod
    def normalised(self, targets: torch.Tensor) -> torch.Tensor:
        """The truth [N, T, K] in the graph's units, float32; NaN stays NaN."""

    def losses(
        self, outputs: torch.Tensor, auxiliary: Mapping[str, torch.Tensor], targets: torch.Tensor
    ) -> torch.Tensor:
        truth = self.normalised(targets).to(outputs.device)  # not every device has float64
        steps = min(outputs.shape[1], truth.shape[1])  # both are padded, each to the longest it has seen
        outputs, truth = outputs[:, :steps].float(), truth[:, :steps]
        known = ~torch.isnan(truth)
        missed = torch.where(known, outputs - torch.nan_to_num(truth), 0.0)
        if self.loss == "mae":
            each = missed.abs()
        elif self.loss == "huber":
            each = torch.nn.functional.huber_loss(missed, torch.zeros_like(missed), reduction="none")
        else:
            each = missed.square()
        return each.sum(dim=(1, 2)) / known.sum(dim=(1, 2)).clamp(min=1)

    def weights(self, targets: NDArray[Any]) -> NDArray[np.float32]:
        known = ~np.isnan(self.values(targets))
        counts: NDArray[np.float32] = (known.sum(axis=(1, 2)) / known.shape[2]).astype(np.float32)
        return counts

    def values(self, targets: NDArray[Any]) -> NDArray[np.float64]:
        """The values to be met [N, T, K], in the user's units."""
        return targets


def joined(evidence: NDArray[Any]) -> NDArray[np.float64]:
    """The steps of all samples one after another: evidence [T, ...] of each to [sum of T, ...]."""
    return np.concatenate(list(evidence))


def known_values(values: NDArray[np.float64]) -> int:
    """How many values there are that are not NaN."""
    return int((~np.isnan(values)).sum())


def number_options(recipe: Recipe, splits: Splits, built: BuiltModel) -> dict[str, Any]:
    """The settings of a task that answers with numbers, as plain values."""
    training = recipe.training
    options: dict[str, Any] = {"metric_name": training.metric, "processor": to_plain(built.settings)}
    return options if training.loss is None else {**options, "loss": training.loss}
