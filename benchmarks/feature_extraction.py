"""Feature extraction, 10 epochs: the cache against the loop that runs the frozen backbone again in every epoch."""

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from benchmarks.common import Claim, print_claims
from benchmarks.randomise import randomise
from benchmarks.subjects import write_photos
from edgewright.exporters.graph.export import export_graph
from edgewright.pipeline.data.sources import open_data
from edgewright.pipeline.families import feature_module, head_module
from edgewright.pipeline.models.model import BuiltModel
from edgewright.pipeline.models.vision.build import build_model
from edgewright.pipeline.recipe.load import recipe_from_plain
from edgewright.pipeline.tasks.image_classification import ImageClassification
from edgewright.pipeline.training.fit import fit
from edgewright.runtime.graphs.session import open_session
from edgewright.runtime.tasks.base import Task

IMAGES, CLASSES, EPOCHS, BATCH = 2000, 5, 10, 32


def build(weights: Path) -> BuiltModel:
    """resnet18 with the weights that both sides share."""
    return build_model("resnet18", classes=CLASSES, weights=weights)


def naive_loop(built: BuiltModel, task: Task[Any], splits: dict[str, list[tuple[Path, int]]]) -> float:
    """Seconds of the loop as most scripts write it: frozen backbone, then head, for every batch of every epoch.

    Each epoch trains and validates, as `fit` does, and the end evaluates. One epoch is measured; the ten do the same.
    """
    backbone, head = feature_module(built).eval(), head_module(built)
    optimizer = torch.optim.AdamW(head.parameters(), lr=1e-3)

    def walk(samples: list[tuple[Path, int]], learn: bool) -> float:
        before = time.perf_counter()
        for start in range(0, len(samples), BATCH):
            batch = samples[start : start + BATCH]
            images = torch.from_numpy(task.collate([task.encode(path) for path, _ in batch])["pixel_values"])
            with torch.no_grad():
                features = backbone(images)
            logits = head(features)
            if learn:
                targets = torch.tensor([target for _, target in batch])
                optimizer.zero_grad()
                torch.autograd.backward(torch.nn.functional.cross_entropy(logits, targets))
                optimizer.step()
        return time.perf_counter() - before

    epoch = walk(splits["train"], learn=True) + walk(splits["validation"], learn=False)
    return EPOCHS * epoch + walk(splits["evaluation"], learn=False)


def ort_pass(graph: Path, task: Task[Any], samples: list[tuple[Path, int]]) -> float:
    """Seconds of one pass over the data, encode and ONNX Runtime, nothing else."""
    session = open_session(graph, "cpu", threads=torch.get_num_threads(), cache=False)
    before = time.perf_counter()
    for start in range(0, len(samples), BATCH):
        batch = samples[start : start + BATCH]
        session.run(task.collate([task.encode(path) for path, _ in batch]))
    return time.perf_counter() - before


def measure() -> list[Claim]:
    """Both claims; everything that `fit` does (export of the backbone, features, ten epochs, evaluation) counts."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_photos(folder / "photos", IMAGES, CLASSES)
        start = build_model("resnet18", classes=CLASSES, weights="none")
        randomise(start)
        weights = folder / "weights.safetensors"
        save_file(start.module.state_dict(), weights)
        recipe = recipe_from_plain(
            {
                "task": "image-classification",
                "model": "resnet18",
                "weights": str(weights),
                "data": {
                    "source": str(folder / "photos"),
                    "validation": 0.1,
                    "calibration": 0.0,
                    "evaluation": 0.1,
                },
                "transfer": {"mode": "feature-extraction"},
                "training": {"epochs": EPOCHS, "batch_size": BATCH, "lr": 1e-3},
                "variants": ["fp32"],
            }
        )
        splits = open_data(recipe)
        labels = splits.classes
        built = build(weights)
        task = ImageClassification(labels).device_task(built.settings, labels)
        by_split = {
            name: [(Path(str(sample.raw)), sample.label or 0) for sample in splits.split(name)]
            for name in ("train", "validation", "evaluation")
        }
        everything = [sample for samples in by_split.values() for sample in samples]
        example = (torch.zeros(2, 3, 224, 224),)
        graph = export_graph(
            feature_module(built), example, folder / "features.onnx", output_names=("features",)
        )
        first_pass = ort_pass(graph.path, task, everything)
        before = time.perf_counter()
        trained = fit(build(weights), splits, recipe, folder / "run")
        total = time.perf_counter() - before
        second_pass = ort_pass(graph.path, task, everything)
        naive = naive_loop(built, task, by_split)
    print(f"accuracy of the head {trained.metrics['evaluation']['accuracy']:.3f}", file=sys.stderr)
    one_pass = (first_pass + second_pass) / 2
    return [
        Claim(
            f"feature extraction, {EPOCHS} epochs, {IMAGES} photos, against the loop that re-runs the backbone",
            ">= 10 x faster", f"{naive / total:.1f} x ({total:.0f} / {naive:.0f} s)", naive / total >= 10,
        ),
        Claim(
            "the same, total / one ONNX Runtime pass over the data", "<= 1.25 x",
            f"{total / one_pass:.2f} x ({total:.0f} / {one_pass:.0f} s)", total / one_pass <= 1.25,
        ),
    ]  # fmt: skip


if __name__ == "__main__":
    raise SystemExit(print_claims(measure()))
