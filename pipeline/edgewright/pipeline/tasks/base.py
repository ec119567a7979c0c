"""What the training half of a task is: targets to a loss, answers to figures, the way to its device half."""

import abc
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from edgewright.exporters.reference import Figure, Metric
from edgewright.pipeline.data.samples import Sample
from edgewright.pipeline.models.model import training_outputs
from edgewright.runtime.bundle.structure import to_plain
from edgewright.runtime.contracts import Tensors
from edgewright.runtime.errors import RecipeError
from edgewright.runtime.tasks import load_task
from edgewright.runtime.tasks.base import Task

_TOGETHER = 512
"""Samples that are encoded at once."""


class Objective(abc.ABC):
    """What a model is trained for, and judged by. It knows nothing of models and holds no state: a frozen dataclass.

    It learns from rows, the windows of samples that go through the graph "model": `losses` and `weights` take the
    outputs and targets of rows. What is told of a model is about answers to whole samples.

    Outputs are the graph's only output: logits [N, classes], or a prediction [N, time, K] in normalised units, padded
    with zeros; several of one shape are stacked on a last axis. Targets are what `stack` returns: class indices [N],
    numbers in the user's units, NaN where a value is unknown or beyond the sample's length, or objects.
    """

    name: str
    """The task's name in recipes and manifests."""

    metric_name: str
    """The metric that the recipe chose."""

    learns = True
    """Whether anything is trained at all."""

    reads_rows = True
    """Whether answers can be read from the outputs of rows as the training gives them; False where those of a batch are
    padded, as pictures of several sizes are: the device half then runs the samples themselves.
    """

    loss_of_outputs = True
    """Whether `losses` makes the loss from outputs; False where only `row_losses` knows it, from the module itself."""

    @property
    def augments(self) -> bool:
        """Whether `augment` changes anything."""
        return False

    def augment(self, image: Any, generator: np.random.Generator) -> Any:
        """A loaded raw input, changed at random; the same generator state gives the same result."""
        return image

    def learnt(self, samples: Sequence[Sample]) -> Sequence[Sample]:
        """The training samples as they are learnt from, chosen once; mostly as they are."""
        return samples

    def target(self, sample: Sample, encoded: Tensors) -> Any:
        """What is to be learnt of a sample in one window. Raises `DataError` when the two do not fit."""
        return sample.target

    def targets(self, sample: Sample, encoded: Tensors, device: Task[Any]) -> Sequence[Any]:
        """What is to be learnt of each window of a sample that `device` encoded."""
        return [self.target(sample, encoded)] * len(device.windows(encoded))

    def stack(self, targets: Sequence[Any]) -> NDArray[Any]:
        """The targets of rows as one array, whose first axis has the rows."""
        return np.array(targets, dtype=np.int64)

    def row_losses(
        self,
        module: nn.Module,
        inputs: Sequence[torch.Tensor],
        targets: NDArray[Any],
        autocast: Callable[[], AbstractContextManager[Any]] = nullcontext,
    ) -> torch.Tensor:
        """The loss of each row of a batch, float32 [N]; `module` runs in the precision of `autocast`."""
        with autocast():
            outputs, auxiliary = training_outputs(module, *inputs)
        return self.losses(outputs, auxiliary, torch.from_numpy(targets))

    def losses(
        self, outputs: torch.Tensor, auxiliary: Mapping[str, torch.Tensor], targets: torch.Tensor
    ) -> torch.Tensor:
        """The loss of each row, float32 [N]; of a sequence the mean over its known values.

        `auxiliary` holds the logits of auxiliary heads by their path; `targets` may lie on another device.
        """
        raise NotImplementedError(f"{self.name} has no loss of outputs")

    def weights(self, targets: NDArray[Any]) -> NDArray[np.float32]:
        """How much each row counts in the loss of its batch, [N]: by its class, or by how much of it is known."""
        return np.ones(len(targets), dtype=np.float32)

    def truth(self, sample: Sample, encoded: Tensors) -> Any:
        """What the answer to a sample is held against. Raises `DataError` as `target` does."""
        return self.target(sample, encoded)

    def truths(self, samples: Sequence[Sample], device: Task[Any]) -> list[Any]:
        """What the answers to `samples` are held against. Raises `InputError`, `DataError`."""
        found: list[Any] = []
        for raws in device.parts([sample.raw for sample in samples], _TOGETHER):
            some = samples[len(found) : len(found) + len(raws)]
            found += [self.truth(*pair) for pair in zip(some, device.encode_all(raws), strict=True)]
        return found

    @property
    @abc.abstractmethod
    def figures(self) -> tuple[Figure, ...]:
        """All that is told of answers: every metric, the default first, and what else a user wants to know."""

    def metric(self, name: str | None = None) -> Metric:
        """The metric called `name`, or the recipe's own. Raises `RecipeError` for an unknown one."""
        known = {figure.name: figure for figure in self.figures if isinstance(figure, Metric)}
        wanted = name or self.metric_name
        if wanted not in known:
            raise RecipeError(f"training.metric: unknown metric {wanted!r}: choose from {', '.join(known)}")
        return known[wanted]

    def notes(self, metrics: Mapping[str, Mapping[str, Any]]) -> tuple[str, ...]:
        """What the user must be told about the figures of each split; mostly nothing."""
        return ()

    def device_task(
        self, settings: Any, labels: Sequence[str], assets: Mapping[str, bytes] | None = None
    ) -> Task[Any]:
        """The device half, from the model's input settings: the only place where preprocessing exists."""
        return load_task(self.name, to_plain(settings), tuple(labels), assets)
