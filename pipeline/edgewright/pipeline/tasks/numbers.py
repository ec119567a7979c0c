"""Tasks that answer with numbers while they are trained: the loss over known values, and what figures share."""

import abc
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from edgewright.exporters.reference import Summed
from edgewright.pipeline.catalog import TASKS
from edgewright.pipeline.data.samples import Sample, Splits
from edgewright.pipeline.models.model import BuiltModel
from edgewright.pipeline.recipe.recipe import Recipe
from edgewright.pipeline.tasks.base import Metric, PerSample
from edgewright.runtime.bundle.structure import to_plain
from edgewright.runtime.errors import RecipeError
from edgewright.runtime.series.settings import SeriesSettings, series_settings
from edgewright.runtime.tasks import load_task
from edgewright.runtime.tasks.base import DeviceTask

OUTPUT = "prediction"
LOSSES = ("mse", "mae", "huber")

_TINY = float(np.finfo(np.float64).tiny)


@dataclass(frozen=True)
class Numbers(abc.ABC):
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

    @property
    def sequences(self) -> bool:
        return True

    @property
    def every_step(self) -> bool:
        return False

    @property
    def augments(self) -> bool:
        return False

    def augment(self, image: Any, generator: np.random.Generator) -> Any:
        return image

    @abc.abstractmethod
    def target(self, sample: Sample, feeds: Mapping[str, NDArray[Any]]) -> Any: ...

    @abc.abstractmethod
    def stack(self, targets: Sequence[Any]) -> NDArray[np.float64]: ...

    def targets(self, samples: Sequence[Sample], device: DeviceTask) -> NDArray[np.float64]:
        return self.stack([self.target(sample, device.encode(sample.raw)) for sample in samples])

    @abc.abstractmethod
    def normalised(self, targets: torch.Tensor) -> torch.Tensor:
        """The truth [N, T, K] in the graph's units, float32; NaN stays NaN."""

    @abc.abstractmethod
    def figures(self, outputs: NDArray[np.float32], targets: NDArray[Any]) -> dict[str, Any]:
        """The figures of the task itself, by name."""

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
        known = ~np.isnan(self.truth(targets))
        counts: NDArray[np.float32] = (known.sum(axis=(1, 2)) / known.shape[2]).astype(np.float32)
        return counts

    def truth(self, targets: NDArray[Any]) -> NDArray[np.float64]:
        """The values to be met [N, T, K], in the user's units."""
        return targets

    def metrics(self, outputs: NDArray[np.float32], targets: NDArray[Any]) -> dict[str, Any]:
        losses = self.losses(torch.from_numpy(outputs), {}, torch.from_numpy(targets)).double().numpy()
        weights = self.weights(targets).astype(np.float64)
        figures = self.figures(outputs, targets)
        figures["loss"] = float((losses * weights).sum() / max(weights.sum(), _TINY))
        figures["samples"] = len(targets)
        figures["values"] = int((~np.isnan(self.truth(targets))).sum())
        return figures

    def notes(self, metrics: Mapping[str, Mapping[str, Any]]) -> tuple[str, ...]:
        return ()

    def metric(self, name: str | None = None) -> Metric:
        wanted, known = name or self.metric_name, TASKS[self.name].metrics
        if wanted not in known:
            raise RecipeError(f"training.metric: unknown metric {wanted!r}: choose from {', '.join(known)}")
        return lambda outputs, targets: float(self.figures(outputs[OUTPUT], targets)[wanted])

    def per_sample(self, name: str | None = None) -> PerSample | None:
        return None

    def summed(self, name: str | None = None) -> Summed | None:
        return None

    def device_task(
        self, settings: Any, labels: Sequence[str], assets: Mapping[str, bytes] | None = None
    ) -> DeviceTask:
        return load_task(self.name, to_plain(settings), tuple(labels), assets)


def fit_steps(
    outputs: NDArray[np.floating], truth: NDArray[np.float64]
) -> tuple[NDArray[np.floating], NDArray[np.float64]]:
    """Predictions and truth with the same number of steps: each is padded to the longest sample it was stacked with.

    Predictions are padded with zeros, the truth with NaN, so that steps beyond a sample never count.
    """
    steps = min(outputs.shape[1], truth.shape[1])
    return outputs[:, :steps], truth[:, :steps]


def number_options(recipe: Recipe, splits: Splits, built: BuiltModel) -> dict[str, Any]:
    """The settings of a task that answers with numbers, as plain values."""
    training = recipe.training
    options: dict[str, Any] = {"metric_name": training.metric, "processor": to_plain(built.settings)}
    return options if training.loss is None else {**options, "loss": training.loss}
