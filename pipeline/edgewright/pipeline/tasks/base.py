"""What the training half of a task is: targets to a loss, outputs to metrics, the way to its device half."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from edgewright.exporters.reference import Summed
from edgewright.pipeline.data.samples import Sample
from edgewright.runtime.contracts import Feeds
from edgewright.runtime.tasks.base import DeviceTask

Metric = Callable[[Feeds, NDArray[Any]], float]
"""Outputs by name and targets to one figure; greater is better."""

PerSample = Callable[[Feeds, NDArray[Any]], NDArray[np.float64]]
"""Outputs by name and targets to one figure for each sample, whose mean is the metric."""


class TrainingTask(Protocol):
    """One task while a model is trained for it. It knows nothing of models and holds no state.

    Outputs are the graph's only output: logits [N, classes], or a prediction [N, time, K] in normalised units,
    padded with zeros. Targets are what `targets` returns: class indices [N], or numbers in the user's units,
    NaN where a value is unknown or beyond the sample's length.
    """

    @property
    def name(self) -> str:
        """The task's name in recipes and manifests."""

    @property
    def metric_name(self) -> str:
        """The metric that the recipe chose."""

    @property
    def sequences(self) -> bool:
        """Whether inputs vary in length: an encoded sample then has "lengths" beside its values."""

    @property
    def every_step(self) -> bool:
        """Whether every step has an answer of its own."""

    def target(self, sample: Sample, feeds: Feeds) -> Any:
        """What is to be answered to one sample, encoded to `feeds`. Raises `DataError` when the two do not fit."""

    def stack(self, targets: Sequence[Any]) -> NDArray[Any]:
        """What `target` gave for each sample, as the targets of all: the first axis has the samples."""

    def targets(self, samples: Sequence[Sample], device: DeviceTask) -> NDArray[Any]:
        """The targets of `samples`, which `device` encodes where that is needed. Raises `InputError`, `DataError`."""

    def losses(
        self, outputs: torch.Tensor, auxiliary: Mapping[str, torch.Tensor], targets: torch.Tensor
    ) -> torch.Tensor:
        """The loss of each sample, float32 [N]; of a sequence the mean over its known values.

        `auxiliary` holds the logits of auxiliary heads by their path; `targets` may lie on another device.
        """

    def weights(self, targets: NDArray[Any]) -> NDArray[np.float32]:
        """How much each sample counts in the loss of its batch, [N]: by its class, or by how much of it is known."""

    def metrics(self, outputs: NDArray[np.float32], targets: NDArray[Any]) -> dict[str, Any]:
        """Every figure of the task as plain JSON values, by name; holds at least every metric name and "loss"."""

    def notes(self, metrics: Mapping[str, Mapping[str, Any]]) -> tuple[str, ...]:
        """What the user must be told about the figures of each split; mostly nothing."""

    def metric(self, name: str | None = None) -> Metric:
        """The metric called `name`, or the recipe's own. Raises `RecipeError` for an unknown one."""

    def per_sample(self, name: str | None = None) -> PerSample | None:
        """What each sample adds to the metric, where the metric is a mean of 0 and 1 over samples; else None."""

    def summed(self, name: str | None = None) -> Summed | None:
        """The metric in two steps, where reading the answers costs more than a figure of them; else None."""

    def device_task(
        self, settings: Any, labels: Sequence[str], assets: Mapping[str, bytes] | None = None
    ) -> DeviceTask:
        """The device half, from the model's input settings: the only place where preprocessing exists."""

    def augment(self, image: Any, generator: np.random.Generator) -> Any:
        """A loaded raw input, changed at random; the same generator state gives the same result."""

    @property
    def augments(self) -> bool:
        """Whether `augment` changes anything."""


class RowsTraining(TrainingTask, Protocol):
    """A task whose samples may be several rows of the graph, as the windows of a long text are.

    It learns from rows: `losses`, `weights` and `metrics` take outputs and targets of rows. What is told of a model is
    about whole samples: `figures` and `metric` take what the device's `merge` makes of the rows, and `targets`.
    """

    def row_targets(self, sample: Sample, feeds: Feeds, device: DeviceTask) -> Sequence[Any]:
        """What is to be answered in each row of a sample that `device` encoded to `feeds`; `stack` puts them together.

        Raises `DataError` when the sample and its target do not fit.
        """

    def sample_target(self, sample: Sample, feeds: Feeds, device: DeviceTask) -> Any:
        """One entry of `targets`."""

    def stack_samples(self, targets: Sequence[Any]) -> NDArray[Any]:
        """What `sample_target` gave for each sample, as `targets` gives it."""

    def named(self, outputs: NDArray[np.float32]) -> Feeds:
        """The outputs of rows, as `training_outputs` gives them, under the names of the graph's outputs."""

    def figures(self, outputs: Feeds, targets: NDArray[Any]) -> dict[str, Any]:
        """Every figure of the task but the loss as plain JSON values, from outputs of samples by name."""
