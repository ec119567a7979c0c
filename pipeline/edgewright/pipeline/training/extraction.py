"""The first half of feature extraction: every sample through the frozen backbone once, its features on disk."""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from edgewright.pipeline.data.samples import Sample
from edgewright.pipeline.models.model import BuiltModel
from edgewright.pipeline.progress import Progress
from edgewright.pipeline.recipe.recipe import Recipe
from edgewright.pipeline.training.backbones import choose_engine, make_extract
from edgewright.pipeline.training.distributed import World
from edgewright.pipeline.training.feature_cache import Extract, cached_features
from edgewright.pipeline.training.results import fingerprint_of
from edgewright.pipeline.training.sample_source import SampleSource
from edgewright.pipeline.training.sources import ArraySource, Source, StepSource
from edgewright.runtime.bundle.files import sha256_of_bytes
from edgewright.runtime.errors import RecipeError
from edgewright.runtime.tasks.base import Task

FEATURES = "features"

_FORMAT = 1


def extract_features(
    built: BuiltModel,
    backbone: nn.Module,
    frozen: str,
    device: Task[Any],
    sources: Mapping[str, SampleSource],
    samples: Mapping[str, Sequence[Sample]],
    recipe: Recipe,
    run_dir: Path,
    world: World,
    report: Progress,
    note: Callable[[str], None],
) -> dict[str, Source]:
    """The features of each split, ready for the head; what is on disk already is not made again.

    `frozen` is the digest of all that `backbone` consists of; `note` hears what the user should know. Raises
    `RecipeError`, `TrainingError`, `MachineError`.
    """
    wanted = recipe.transfer.engine
    shape = () if device.ragged else (3, *built.settings.crop)
    total = sum(len(members) for members in samples.values())
    engine = _engine(wanted, device, backbone, shape, total, world)
    folder = run_dir / FEATURES
    place = folder if world.leads else folder / f"process-{world.rank}"  # each has its own graph
    made: list[Extract] = []
    inputs = device.rows.inputs if device.ragged else ()
    beside = [spec.name for spec in inputs if len(spec.shape) > 1 and "time" not in spec.shape]

    def extract() -> Extract:
        if not made:
            made.append(make_extract(engine, wanted, backbone, shape, place, world.device, note))
        return made[0]

    features: dict[str, Source] = {}
    for name, members in samples.items():
        parts = {
            "format": _FORMAT,
            "backbone": frozen,
            "build": built.build,
            "settings": built.settings,
            "samples": [sample.content for sample in members],
            "engine": [engine, _engine_version(engine)],
            "device": world.device.type,
        }
        if built.assets:
            parts["assets"] = {role: sha256_of_bytes(content) for role, content in built.assets.items()}
        key, source = fingerprint_of(parts), sources[name]
        reporting = functools.partial(report, f"features, {name}")
        path, width = folder / f"{name}.npy", math.prod(built.feature_shape)
        cached = cached_features(path, key, source, width, extract, world, reporting, source.timed)
        if source.timed:
            assert source.lengths is not None
            features[name] = StepSource(cached.rows, source.lengths, source.targets, source.answers)
        else:
            columns = [source.column(extra) for extra in beside]
            features[name] = ArraySource(cached.rows, source.targets, *columns, answers=source.answers)
    for leftover in ("backbone.onnx", "backbone.onnx.data"):
        (place / leftover).unlink(missing_ok=True)
    if not world.leads and place.is_dir():
        place.rmdir()
    return features


def _engine(
    wanted: str, device: Task[Any], backbone: nn.Module, shape: tuple[int, ...], total: int, world: World
) -> str:
    if not device.ragged:
        return choose_engine(wanted, backbone, shape, total, world.device)
    if wanted == "onnx":
        raise RecipeError(
            "transfer.engine: onnx runs the backbones of images, those of sequences and texts run in torch: "
            "remove the key"
        )
    return "torch"


def _engine_version(engine: str) -> str:
    if engine == "torch":
        return torch.__version__
    from importlib.metadata import PackageNotFoundError, version

    for name in ("onnxruntime-gpu", "onnxruntime"):
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return "absent"
