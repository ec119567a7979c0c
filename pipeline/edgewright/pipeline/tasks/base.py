"""What the training half of a task is: targets to a loss, outputs to metrics, the way to its device half."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from edgewright.runtime.tasks.base import DeviceTask, Feeds

__all__ = ["Metric", "PerSample", "TrainingTask"]

Metric = Callable[[Feeds, NDArray[Any]], float]
"""Outputs by name and targets to one figure; greater is better."""

PerSample = Callable[[Feeds, NDArray[Any]], NDArray[np.float64]]
"""Outputs by name and targets to one figure for each sample, whose mean is the metric."""


class TrainingTask(Protocol):
    """One task while a model is trained for it. It knows nothing of models and holds no state."""

    @property
    def name(self) -> str:
        """The task's name in recipes and manifests."""

    @property
    def metric_name(self) -> str:
        """The metric that the recipe chose."""

    def losses(
        self, logits: torch.Tensor, auxiliary: Mapping[str, torch.Tensor], targets: torch.Tensor
    ) -> torch.Tensor:
        """The loss of each sample, float32 [N]; `auxiliary` holds the logits of auxiliary heads by their
        path.
        """

    def weights(self, targets: NDArray[np.int64]) -> NDArray[np.float32]:
        """How much each sample counts in the loss of its batch, [N]."""

    def metrics(self, logits: NDArray[np.float32], targets: NDArray[np.int64]) -> dict[str, Any]:
        """Every figure of the task as plain JSON values, by name; holds at least every metric name and
        "loss".
        """

    def metric(self, name: str | None = None) -> Metric:
        """The metric called `name`, or the recipe's own."""

    def per_sample(self, name: str | None = None) -> PerSample | None:
        """What each sample adds to the metric, where the metric is a mean over samples; else None."""

    def device_task(self, settings: Any, labels: Sequence[str]) -> DeviceTask:
        """The device half, from the model's input settings: the only place where preprocessing exists."""

    def augment(self, image: Any, generator: np.random.Generator) -> Any:
        """A loaded raw input, changed at random; the same generator state gives the same result."""

    @property
    def augments(self) -> bool:
        """Whether `augment` changes anything."""
