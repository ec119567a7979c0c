"""Both halves of a task whose answer is a picture, of the size of the one that was asked about: where it is bright.

Its family, in the same file, is fully convolutional; its data are pictures of many sizes.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from edgewright.exporters.reference import Figure, Metric
from edgewright.pipeline.data.readers import Reader
from edgewright.pipeline.data.samples import Sample, SampleKind, Splits, content_of_array
from edgewright.pipeline.models.model import Block, BuiltModel
from edgewright.pipeline.progress import Count
from edgewright.pipeline.recipe.recipe import Recipe
from edgewright.pipeline.tasks.base import Objective
from edgewright.runtime.contracts import MODEL, GraphSpec, Tensors, TensorSpec
from edgewright.runtime.images.decoding import IMAGE_SUFFIXES, load_image
from edgewright.runtime.tasks.answers import Answer
from edgewright.runtime.tasks.base import Task
from edgewright.runtime.tasks.description import Description, ModelFacts
from edgewright.runtime.tasks.labels import finite
from tests.pipeline.families.toy_family import ToyFamily

UNKNOWN = -1
"""The target of a pixel that pads a batch."""


@dataclass(frozen=True, eq=False)
class Mask(Answer):
    """Which pixels are bright: bool [height, width]."""

    pixels: NDArray[np.bool_]

    def to_json(self, top: int = 5) -> dict[str, Any]:
        return {"bright": int(self.pixels.sum()), "size": list(self.pixels.shape)}

    def line(self, top: int = 1) -> str:
        height, width = self.pixels.shape
        return f"{self.pixels.mean():.1%} of {height} x {width} pixels"

    def files(self) -> Mapping[str, bytes]:
        buffer = BytesIO()
        Image.fromarray(self.pixels.astype(np.uint8) * 255).save(buffer, format="PNG")
        return {".png": buffer.getvalue()}


@dataclass(frozen=True)
class Shades:
    """How a picture is read: `middle` is the shade that becomes 0."""

    middle: float = 0.5


class DeviceTask(Task[Mask]):
    """A grey picture of any size in, a mask of its size out."""

    name = "toy-pictures"
    noun = "picture"
    suffixes = IMAGE_SUFFIXES
    alike = 0.98

    def __init__(
        self, processor: Mapping[str, Any], labels: Sequence[str], assets: Mapping[str, bytes] | None = None
    ) -> None:
        self.settings = Shades(**processor)
        size = ("batch", 1, "height", "width")
        image, scores = TensorSpec("pixel_values", "float32", size), TensorSpec("scores", "float32", size)
        self.signatures = {MODEL: GraphSpec((image,), (scores,))}

    def describe(self, model: ModelFacts) -> Description:
        return Description(
            tag="image-segmentation",
            reads="grey pictures of any size",
            answers="Answers with a mask.",
            example='"a.png"',
        )

    def raw_file(self, raw: Any) -> tuple[bytes, str]:
        if isinstance(raw, (str, Path)):
            return Path(raw).read_bytes(), Path(raw).suffix
        buffer = BytesIO()
        Image.fromarray(raw).save(buffer, format="PNG")
        return buffer.getvalue(), ".png"

    def encode(self, raw: Any) -> Tensors:
        grey = np.asarray(load_image(raw, 1 << 20).convert("L"), np.float32) / 255
        return {
            "pixel_values": grey[np.newaxis] - np.float32(self.settings.middle),
            "size": np.array(grey.shape),
        }

    def collate(self, samples: Sequence[Tensors]) -> Tensors:
        """In training pictures of several sizes share a batch, padded."""
        images = [sample["pixel_values"] for sample in samples]
        height, width = (max(image.shape[axis] for image in images) for axis in (1, 2))
        pads = [((0, 0), (0, height - one.shape[1]), (0, width - one.shape[2])) for one in images]
        return {"pixel_values": np.stack([np.pad(one, pad) for one, pad in zip(images, pads, strict=True)])}

    def decode(self, outputs: Tensors, sample: Tensors) -> Mask:
        return Mask(finite(outputs, "scores", (1, *sample["size"].tolist()))[0] > 0)

    def decision(self, answer: Mask) -> Any:
        height, width = answer.pixels.shape
        return f"{height}x{width}:{base64.b64encode(np.packbits(answer.pixels).tobytes()).decode()}"

    def agreement(self, one: Any, other: Any) -> float:
        ours, theirs = unpacked(one), unpacked(other)
        return float((ours == theirs).mean()) if ours.shape == theirs.shape else 0.0


def unpacked(decision: str) -> NDArray[Any]:
    """The pixels of a decision, which is short because one is kept for every sample and variant."""
    size, _, bits = decision.partition(":")
    height, width = map(int, size.split("x"))
    found = np.unpackbits(np.frombuffer(base64.b64decode(bits), np.uint8), count=height * width)
    return found.reshape(height, width)


def overlap(answer: Mask, truth: NDArray[Any]) -> tuple[int, int]:
    """Pixels that both say are bright, and that one of them does."""
    return int((answer.pixels & (truth > 0)).sum()), int((answer.pixels | (truth > 0)).sum())


def of_all(each: NDArray[Any]) -> float:
    both, either = each.sum(axis=0)
    return float(both / either) if either else 1.0


@dataclass(frozen=True)
class Toy(Objective):
    """A mask for each picture: targets are objects, int64 [height, width] each."""

    classes: tuple[str, ...] = ()
    metric_name: str = "overlap"
    name: str = "toy-pictures"

    def stack(self, targets: Sequence[Any]) -> NDArray[Any]:
        stacked = np.empty(len(targets), object)
        stacked[:] = [np.asarray(target) for target in targets]
        return stacked

    def truths(self, samples: Sequence[Sample], device: Task[Any]) -> list[Any]:
        return [sample.target for sample in samples]

    def row_losses(
        self, module: nn.Module, inputs: Sequence[torch.Tensor], targets: NDArray[Any], *precision: Any
    ) -> torch.Tensor:
        scores = module(*inputs)[:, 0]
        wanted = torch.full(scores.shape, UNKNOWN)
        for row, target in zip(wanted, targets, strict=True):
            row[: target.shape[0], : target.shape[1]] = torch.from_numpy(target)
        each = nn.functional.binary_cross_entropy_with_logits(
            scores, wanted.clamp(min=0).float(), reduction="none"
        )
        known = (wanted != UNKNOWN).float()
        return (each * known).sum(dim=(1, 2)) / known.sum(dim=(1, 2))

    reads_rows = loss_of_outputs = False

    @property
    def figures(self) -> tuple[Figure, ...]:
        return (
            Metric(name="overlap", evidence=overlap, figure=of_all),
            Figure(
                name="brightest", evidence=_highest, figure=lambda each: float(each.max()), reads="outputs"
            ),
        )


def _highest(outputs: Tensors, truth: Any) -> float:
    return float(outputs["scores"].max())


def options(recipe: Recipe, splits: Splits, built: BuiltModel) -> dict[str, Any]:
    return {"metric_name": recipe.training.metric}


make = Toy


def bright_squares(name: str, recipe: Recipe) -> Splits:
    """Noise with a bright square in it: pictures of sizes between 5 and 14, and where the square is."""
    random = np.random.default_rng(3)
    samples = []
    for place in range(56):
        height, width = (int(side) for side in random.integers(5, 15, 2))
        mask = np.zeros((height, width), np.int64)
        top, left = (int(random.integers(0, side - 3)) for side in (height, width))
        mask[top : top + 4, left : left + 4] = 1
        picture = (random.integers(0, 90, mask.shape) + 150 * mask).astype(np.uint8)
        samples.append(Sample(f"square/{place:02d}", picture, mask, content_of_array(picture)))
    bounds = (samples[:32], samples[32:36], samples[36:40], samples[40:])
    train, validation, calibration, evaluation = map(tuple, bounds)
    return Splits((), train, validation, calibration, evaluation, (), "builtin:squares", files=len(samples))


def _no_folder(recipe: Recipe, progress: Count | None) -> Splits:
    raise NotImplementedError


READER = Reader(SampleKind(), _no_folder, bright_squares, {"squares": None}, files=True)


class Family(ToyFamily):
    """toy-convolutions: two layers that keep the size of a picture."""

    name = "toy-pictures"
    models = ("toy-convolutions",)
    libraries = ("toy-pictures",)
    variants = ("fp32", "fp16", "int8-dynamic")

    def build(self, recipe: Recipe, splits: Splits, fitted: Any) -> BuiltModel:
        return self.rebuild({"library": "toy-pictures", "seed": recipe.training.seed}, "none")

    def rebuild(self, build: Mapping[str, Any], licence: str) -> BuiltModel:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(build["seed"])
            module = nn.Sequential(
                nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 1, 1, padding=0)
            ).eval()
        return BuiltModel(
            name="toy-convolutions",
            module=module,
            classes=0,
            head="2",
            auxiliary_heads={},
            settings=Shades(),
            blocks=(Block("body", ("0",)), Block("head", ("2",))),
            licence=licence,
            build=build,
            feature_shape=(4,),
            output_names=("scores",),
            dynamic_axes={"pixel_values": {0: "batch", 2: "height", 3: "width"}},
        )
