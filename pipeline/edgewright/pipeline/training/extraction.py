"""The first half of feature extraction: every sample through the frozen backbone once, its features on disk."""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import nn

from edgewright.pipeline.data.samples import Sample
from edgewright.pipeline.models.model import BuiltModel
from edgewright.pipeline.progress import Progress
from edgewright.pipeline.recipe.recipe import Recipe
from edgewright.pipeline.tasks.base import TrainingTask
from edgewright.pipeline.training.backbones import choose_engine, make_extract
from edgewright.pipeline.training.distributed import World
from edgewright.pipeline.training.feature_cache import Extract, cached_features
from edgewright.pipeline.training.results import fingerprint_of
from edgewright.pipeline.training.rows import RowSource
from edgewright.pipeline.training.sources import ArraySource, SampleSource, Source, StepSource
from edgewright.runtime.bundle.files import sha256_of_bytes
from edgewright.runtime.errors import RecipeError

FEATURES = "features"

_FORMAT = 1


def extract_features(
    built: BuiltModel,
    backbone: nn.Module,
    frozen: str,
    task: TrainingTask,
    sources: Mapping[str, SampleSource | RowSource],
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
    shape = () if task.sequences else (3, *built.settings.crop)
    total = sum(len(members) for members in samples.values())
    engine = _engine(wanted, task, backbone, shape, total, world)
    folder = run_dir / FEATURES
    place = folder if world.leads else folder / f"process-{world.rank}"  # each has its own graph
    made: list[Extract] = []

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
        cached = cached_features(path, key, source, width, extract, world, reporting, task.every_step)
        if task.every_step:
            assert source.lengths is not None
            features[name] = StepSource(cached.rows, source.lengths, source.targets, source.answers)
        elif isinstance(source, RowSource):
            features[name] = ArraySource(cached.rows, source.targets, answers=source.answers)
        else:
            beside = [source.column(extra) for extra in built.input_names[2:]]
            features[name] = ArraySource(cached.rows, source.targets, *beside, answers=source.answers)
    for leftover in ("backbone.onnx", "backbone.onnx.data"):
        (place / leftover).unlink(missing_ok=True)
    if not world.leads and place.is_dir():
        place.rmdir()
    return features


def _engine(
    wanted: str, task: TrainingTask, backbone: nn.Module, shape: tuple[int, ...], total: int, world: World
) -> str:
    if not task.sequences:
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
