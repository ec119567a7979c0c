"""What the training half of a task is: targets to a loss, answers to figures, the way to its device half."""

import abc
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from edgewright.exporters.reference import Figure, Metric
from edgewright.pipeline.data.samples import Sample
from edgewright.runtime.bundle.structure import to_plain
from edgewright.runtime.contracts import Tensors
from edgewright.runtime.errors import RecipeError
from edgewright.runtime.running.windows import RowsTask, chunks, encode_all
from edgewright.runtime.tasks import load_task
from edgewright.runtime.tasks.base import DeviceTask

_TOGETHER = 512
"""Samples that are encoded at once."""


class TrainingTask(abc.ABC):
    """One task while a model is trained for it. It knows nothing of models and holds no state: a frozen dataclass.

    Outputs are the graph's only output: logits [N, classes], or a prediction [N, time, K] in normalised units,
    padded with zeros. Targets are what `stack` returns: class indices [N], or numbers in the user's units,
    NaN where a value is unknown or beyond the sample's length.
    """

    name: str
    """The task's name in recipes and manifests."""

    metric_name: str
    """The metric that the recipe chose."""

    output = "logits"
    """The graph's output."""

    sequences = False
    """Whether inputs vary in length: an encoded sample then has "lengths" beside its values."""

    every_step = False
    """Whether every step has an answer of its own."""

    learns = True
    """Whether anything is trained at all."""

    @property
    def augments(self) -> bool:
        """Whether `augment` changes anything."""
        return False

    def augment(self, image: Any, generator: np.random.Generator) -> Any:
        """A loaded raw input, changed at random; the same generator state gives the same result."""
        return image

    def target(self, sample: Sample, feeds: Tensors) -> Any:
        """What is to be answered to one sample, encoded to `feeds`. Raises `DataError` when the two do not fit."""
        return sample.target

    def stack(self, targets: Sequence[Any]) -> NDArray[Any]:
        """What `target` gave for each sample, as the targets of all: the first axis has the samples."""
        return np.array(targets, dtype=np.int64)

    @abc.abstractmethod
    def losses(
        self, outputs: torch.Tensor, auxiliary: Mapping[str, torch.Tensor], targets: torch.Tensor
    ) -> torch.Tensor:
        """The loss of each sample, float32 [N]; of a sequence the mean over its known values.

        `auxiliary` holds the logits of auxiliary heads by their path; `targets` may lie on another device.
        """

    def weights(self, targets: NDArray[Any]) -> NDArray[np.float32]:
        """How much each sample counts in the loss of its batch, [N]: by its class, or by how much of it is known."""
        return np.ones(len(targets), dtype=np.float32)

    def named(self, outputs: NDArray[np.float32]) -> Tensors:
        """Outputs as `training_outputs` gives them, under the names of the graph's outputs."""
        return {self.output: outputs}

    def truth(self, sample: Sample, feeds: Tensors) -> Any:
        """What the answer to a sample, encoded to `feeds`, is held against. Raises `DataError` as `target` does."""
        return self.target(sample, feeds)

    def truths(self, samples: Sequence[Sample], device: DeviceTask) -> list[Any]:
        """What the answers to `samples` are held against. Raises `InputError`, `DataError`."""
        found: list[Any] = []
        for raws in chunks(device, [sample.raw for sample in samples], _TOGETHER):
            some = samples[len(found) : len(found) + len(raws)]
            found += [self.truth(*pair) for pair in zip(some, encode_all(device, raws), strict=True)]
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
    ) -> DeviceTask:
        """The device half, from the model's input settings: the only place where preprocessing exists."""
        return load_task(self.name, to_plain(settings), tuple(labels), assets)


class RowsTraining(TrainingTask):
    """A task whose samples may be several rows of the graph, as the windows of a long text are.

    It learns from rows: `losses` and `weights` take outputs and targets of rows. What is told of a model is about
    answers to whole samples.
    """

    sequences = True

    def row_targets(self, sample: Sample, feeds: Tensors, device: RowsTask) -> Sequence[Any]:
        """What is to be answered in each row of a sample that `device` encoded to `feeds`; `stack` puts them together.

        Raises `DataError` when the sample and its target do not fit.
        """
        return [self.truth(sample, feeds)] * len(device.rows(feeds))
