"""What every task of an encoder shares while it is trained: rows with targets of their own, figures of samples."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from edgewright.exporters.reference import Summed
from edgewright.pipeline.data.samples import Sample, Splits
from edgewright.pipeline.models.model import BuiltModel
from edgewright.pipeline.recipe.recipe import Recipe
from edgewright.pipeline.tasks.base import Metric, PerSample
from edgewright.pipeline.tasks.classification import balanced_weights
from edgewright.runtime.bundle.structure import to_plain
from edgewright.runtime.contracts import Feeds
from edgewright.runtime.errors import DataError, RecipeError
from edgewright.runtime.running.windows import RowsTask
from edgewright.runtime.tasks import load_task
from edgewright.runtime.tasks.base import DeviceTask
from edgewright.runtime.text.settings import EncoderTextSettings, encoder_settings

LARGEST_MATRIX = 500
"""Classes of which the confusion is still written down: it has as many cells as this squared."""

_TINY = float(np.finfo(np.float64).tiny)
_TOGETHER = 1024
"""Rows whose losses are computed at once."""


class EncoderRows:
    """The part of a task of an encoder that does not depend on what is answered. Subclasses are frozen dataclasses.

    Unless a subclass says otherwise the target of a sample is that of each of its rows.
    """

    name: str
    metric_name: str
    processor: Mapping[str, Any]

    known: tuple[str, ...] = ()
    """The metrics of the task; the first is the default."""

    output = "logits"
    """The graph's output."""

    @functools.cached_property
    def settings(self) -> EncoderTextSettings:
        """`processor`, checked. Raises `BundleError`."""
        return encoder_settings(self.processor)

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

    def target(self, sample: Sample, feeds: Feeds) -> Any:
        return sample.target

    def stack(self, targets: Sequence[Any]) -> NDArray[Any]:
        return np.array(targets, dtype=np.int64)

    def row_targets(self, sample: Sample, feeds: Feeds, device: DeviceTask) -> Sequence[Any]:
        return [sample.target] * len(cast(RowsTask, device).rows(feeds))

    def sample_target(self, sample: Sample, feeds: Feeds, device: DeviceTask) -> Any:
        return sample.target

    def stack_samples(self, targets: Sequence[Any]) -> NDArray[Any]:
        return self.stack(targets)

    def targets(self, samples: Sequence[Sample], device: DeviceTask) -> NDArray[Any]:
        encoded = cast(RowsTask, device).encode_all([sample.raw for sample in samples])
        return self.stack_samples(
            [
                self.sample_target(sample, feeds, device)
                for sample, feeds in zip(samples, encoded, strict=True)
            ]
        )

    def named(self, outputs: NDArray[np.float32]) -> Feeds:
        return {self.output: outputs}

    def losses(
        self, outputs: torch.Tensor, auxiliary: Mapping[str, torch.Tensor], targets: torch.Tensor
    ) -> torch.Tensor:
        raise NotImplementedError

    def weights(self, targets: NDArray[Any]) -> NDArray[np.float32]:
        return np.ones(len(targets), dtype=np.float32)

    def metrics(self, outputs: NDArray[np.float32], targets: NDArray[Any]) -> dict[str, Any]:
        return {"loss": mean_loss(self, outputs, targets)}

    def figures(self, outputs: Feeds, targets: NDArray[Any]) -> dict[str, Any]:
        raise NotImplementedError

    def notes(self, metrics: Mapping[str, Mapping[str, Any]]) -> tuple[str, ...]:
        return ()

    def metric(self, name: str | None = None) -> Metric:
        wanted = self.checked(name)
        summed = self.summed(wanted)
        if summed is not None:
            return lambda outputs, targets: summed.figure(summed.each(outputs, targets))
        return lambda outputs, targets: float(self.figures(outputs, targets)[wanted])

    def checked(self, name: str | None) -> str:
        """`name`, or the recipe's own metric. Raises `RecipeError` for one that the task does not have."""
        wanted = name or self.metric_name
        if wanted not in self.known:
            raise RecipeError(
                f"training.metric: unknown metric {wanted!r}: choose from {', '.join(self.known)}"
            )
        return wanted

    def per_sample(self, name: str | None = None) -> PerSample | None:
        return None

    def summed(self, name: str | None = None) -> Summed | None:
        return None

    def device_task(
        self, settings: Any, labels: Sequence[str], assets: Mapping[str, bytes] | None = None
    ) -> DeviceTask:
        return load_task(self.name, to_plain(settings), tuple(labels), assets)


def mean_loss(task: EncoderRows, outputs: NDArray[np.float32], targets: NDArray[Any]) -> float:
    """The mean loss of rows, each with its weight: what the training lowers."""
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


def object_array(entries: Sequence[Any]) -> NDArray[Any]:
    """One object for each sample as an array [N], so that samples can be chosen from it as from any other."""
    array = np.empty(len(entries), object)
    for place, entry in enumerate(entries):
        array[place] = entry
    return array


def known_label(sample: Sample, classes: int) -> int:
    """The sample's label as an index. Raises `DataError` for none, or for one that the model does not have."""
    target = sample.target
    if isinstance(target, (int, np.integer)) and 0 <= target < classes:
        return int(target)
    raise DataError(f"{sample.id}: its label {target!r} is none of {classes}: give each text one label")


def encoder_options(recipe: Recipe, splits: Splits, built: BuiltModel) -> dict[str, Any]:
    """The settings of a task of an encoder, as plain values."""
    return {"metric_name": recipe.training.metric, "processor": to_plain(built.settings)}


def encoder_label_options(recipe: Recipe, splits: Splits, built: BuiltModel) -> dict[str, Any]:
    """Those of a task whose answers are labels, of texts or of words."""
    training = recipe.training
    options = encoder_options(recipe, splits, built)
    options["label_smoothing"] = training.label_smoothing
    if built.settings.multi_label:
        return options
    weights = None
    if training.class_weights == "balanced" and splits.train:
        targets = np.concatenate([np.asarray(sample.target).reshape(-1) for sample in splits.train])
        weights = balanced_weights(targets.astype(np.int64), len(splits.classes))
    return {**options, "class_weights": weights}
