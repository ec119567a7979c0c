"""What is measured: bundles of models with random weights, and photographs that need no download."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from benchmarks.randomise import randomise
from edgewright.exporters.bundle.write import Candidate, write_candidate
from edgewright.exporters.graph.export import export_graph
from edgewright.exporters.precision.registry import make_variant
from edgewright.exporters.reference import Samples
from edgewright.exporters.verdict import GoldenAnswers
from edgewright.pipeline.models.model import BuiltModel
from edgewright.pipeline.models.vision.build import build_model
from edgewright.pipeline.tasks.image_classification import ImageClassification
from edgewright.runtime.bundle.manifest import Tolerance
from edgewright.runtime.contracts import Tensors

__all__ = ["Subject", "make_subject", "photo_crops", "write_photos"]


@dataclass(frozen=True)
class Subject:
    """A model as torch runs it, and its bundle with fp32 and int8-static; `feeds` is one encoded photograph."""

    built: BuiltModel
    bundle: Path
    feeds: Tensors


def photo_crops(count: int, side: int = 400) -> list[np.ndarray]:
    """`count` different crops, uint8 [side, side, 3], of the two photographs that scikit-learn ships."""
    from sklearn.datasets import load_sample_images

    photos = load_sample_images().images
    generator = np.random.default_rng(0)
    crops = []
    for index in range(count):
        photo = photos[index % len(photos)]
        top, left = (int(generator.integers(0, photo.shape[axis] - side)) for axis in (0, 1))
        crops.append(photo[top : top + side, left : left + side])
    return crops


def write_photos(folder: Path, count: int, classes: int) -> None:
    """`count` JPEG files in `classes` folders: a class is a tone, so that there is something to learn."""
    for index, crop in enumerate(photo_crops(count, side=256)):
        name = folder / f"class_{index % classes}" / f"{index:05d}.jpg"
        name.parent.mkdir(parents=True, exist_ok=True)
        tone = 0.5 + 0.5 * (index % classes) / classes
        Image.fromarray((crop * tone).astype(np.uint8)).save(name, quality=90)


def make_subject(name: str, folder: Path, classes: int = 1000) -> Subject:
    """Build, export and bundle `name`; int8-static is calibrated on sixteen photographs."""
    labels = tuple(f"label {index}" for index in range(classes))
    built = build_model(name, classes=classes, weights="none", seed=0)
    randomise(built, seed=0)
    task = ImageClassification(labels).device_task(built.settings, labels)
    encoded = [task.collate([task.encode(crop)]) for crop in photo_crops(16)]
    path = folder / name / "model.onnx"
    fp32 = export_graph(
        built.module, (torch.from_numpy(np.repeat(encoded[0]["pixel_values"], 2, axis=0)),), path
    )
    int8 = make_variant(fp32, "int8-static", encoded, path.with_name("int8.onnx"), method="minmax")
    candidate = Candidate(
        task="image-classification",
        model=name,
        device_task=task,
        graphs={"fp32": {"model": fp32}, "int8-static": {"model": int8}},
        licence="none",
        seed=0,
    )
    golden = GoldenAnswers((), "", (), {"fp32": Tolerance(1.0), "int8-static": Tolerance(1.0)})
    crop = photo_crops(1)[0]
    samples = Samples(("one",), [crop], [0])
    bundle = write_candidate(
        folder / name / "bundle",
        candidate,
        ["fp32", "int8-static"],
        ("int8-static", "fp32"),
        golden,
        None,
        samples,
    )
    return Subject(built, bundle, encoded[0])
