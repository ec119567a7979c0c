"""Image classification on the device: an image in, every class with its probability out."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edgewright.runtime.errors import BundleError, InputError
from edgewright.runtime.images import encode_image, image_files, image_settings, load_image
from edgewright.runtime.manifest import TensorSpec
from edgewright.runtime.structure import to_plain
from edgewright.runtime.tasks.base import Feeds

__all__ = ["INPUT", "OUTPUT", "Classification", "ImageClassification", "LabelScore"]

INPUT = "image"
OUTPUT = "logits"


@dataclass(frozen=True)
class LabelScore:
    """One class: its name, its place in the graph's output, its probability (0 to 1)."""

    label: str
    index: int
    probability: float


@dataclass(frozen=True)
class Classification:
    """The answer to one image.

    `names` and `probabilities` stand in the order of the graph's output; `labels` has all of them, best
    first.
    """

    names: tuple[str, ...]
    probabilities: tuple[float, ...]
    index: int

    @property
    def label(self) -> str:
        """The most probable class."""
        return self.names[self.index]

    @property
    def probability(self) -> float:
        """The probability of the most probable class."""
        return self.probabilities[self.index]

    @functools.cached_property
    def labels(self) -> tuple[LabelScore, ...]:
        """Every class, the most probable first; equal ones in the order of the output."""
        # Sorted only when asked for: with a thousand classes it costs more than all the rest of an answer.
        scores = map(LabelScore, self.names, range(len(self.names)), self.probabilities)
        return tuple(sorted(scores, key=lambda score: -score.probability))

    def top(self, count: int) -> tuple[LabelScore, ...]:
        """The `count` most probable classes."""
        return self.labels[:count]


class ImageClassification:
    """The device half of image classification; `processor` holds `ImageSettings` as plain values."""

    name = "image-classification"

    def __init__(
        self, processor: Mapping[str, Any], labels: Sequence[str], assets: Mapping[str, bytes] | None = None
    ) -> None:
        self.settings = image_settings(processor)
        self._labels = tuple(labels)
        if not self._labels:
            raise BundleError(
                "an image classifier needs labels, and the bundle has none: get a fresh copy of the bundle"
            )

    @property
    def processor(self) -> Mapping[str, Any]:
        """The settings as plain JSON values."""
        plain: dict[str, Any] = to_plain(self.settings)
        return plain

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the classes, in the order of the logits."""
        return self._labels

    def check(self, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> None:
        """Raise `BundleError` unless the graph takes these images and answers with one logit per label."""
        wanted = (3, *self.settings.crop)
        shape = next((spec.shape for spec in inputs if spec.name == INPUT), None)
        if shape is None or len(inputs) != 1 or len(shape) != 4 or not _fits(shape[1:], wanted):
            raise BundleError(
                f"the graph must take one input {INPUT!r} of batch x {'x'.join(map(str, wanted))}: "
                "get a fresh copy of the bundle"
            )
        shape = next((spec.shape for spec in outputs if spec.name == OUTPUT), None)
        if shape is None or len(shape) != 2 or not _fits(shape[1:], (len(self._labels),)):
            raise BundleError(
                f"the graph must give an output {OUTPUT!r} of batch x {len(self._labels)}, one per label: "
                "get a fresh copy of the bundle"
            )

    def files(self, directory: Path) -> list[Path]:
        """The image files below `directory`, sorted."""
        return image_files(directory)

    def load(self, raw: Any) -> Image.Image:
        """The first half of `encode`: decode to an upright RGB image. Training augments between the two
        halves.
        """
        return load_image(raw, self.settings.max_pixels)

    def encode_loaded(self, image: Image.Image) -> Feeds:
        """The second half of `encode`: an RGB image to a float32 tensor [3, height, width]."""
        return {INPUT: encode_image(image, self.settings)}

    def encode(self, raw: Any) -> Feeds:
        """One raw image to a float32 tensor [3, height, width], without a batch axis. Raises `InputError`."""
        return self.encode_loaded(self.load(raw))

    def collate(self, samples: Sequence[Feeds]) -> Feeds:
        """Samples to one batch [batch, 3, height, width]; a single one is not copied."""
        if len(samples) == 1:
            return {INPUT: samples[0][INPUT][np.newaxis]}
        return {INPUT: np.stack([sample[INPUT] for sample in samples])}

    def decode(self, outputs: Feeds) -> list[Classification]:
        """Logits [batch, classes] to one answer each. Raises `InputError` when a logit is not finite."""
        logits = self._logits(outputs).astype(np.float64)
        exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
        probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
        # The decision is taken on the logits: two that differ in the last bit can round to the same
        # probability.
        return [
            Classification(self._labels, tuple(row.tolist()), int(index))
            for row, index in zip(probabilities, logits.argmax(axis=1), strict=True)
        ]

    def decisions(self, outputs: Feeds) -> list[int]:
        """The index of the largest logit of each sample, the first of equal ones."""
        return [int(index) for index in self._logits(outputs).argmax(axis=1)]

    def _logits(self, outputs: Feeds) -> NDArray[Any]:
        logits = outputs[OUTPUT]
        if logits.ndim != 2 or logits.shape[1] != len(self._labels):
            shape = "x".join(map(str, logits.shape))
            raise BundleError(
                f"the graph gave {shape} {OUTPUT} for {len(self._labels)} labels: get a fresh bundle"
            )
        if not np.isfinite(logits).all():
            raise InputError(
                "the model's answer is not finite (NaN or infinity): use the fp32 variant, or another input"
            )
        return logits


def _fits(shape: Sequence[int | str], wanted: Sequence[int]) -> bool:
    return len(shape) == len(wanted) and all(
        isinstance(axis, str) or axis == size for axis, size in zip(shape, wanted, strict=True)
    )
