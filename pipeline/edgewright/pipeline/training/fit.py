"""`fit`: train a built model on samples, as the recipe says; killed, the same call goes on."""

import functools
import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from edgewright.pipeline.data.samples import Sample, Splits
from edgewright.pipeline.models.built import BuiltModel, training_outputs
from edgewright.pipeline.models.features import feature_module, head_module
from edgewright.pipeline.recipe import Recipe
from edgewright.pipeline.tasks.base import TrainingTask
from edgewright.pipeline.tasks.image_classification import balanced_weights
from edgewright.pipeline.tasks.registry import make_training_task
from edgewright.pipeline.training.backbones import choose_engine, make_extract
from edgewright.pipeline.training.distributed import World
from edgewright.pipeline.training.feature_cache import Extract, cached_features
from edgewright.pipeline.training.freeze import check_frozen, digest_tensors, moving_names, named_tensors
from edgewright.pipeline.training.loop import Progress, run_phases
from edgewright.pipeline.training.phases import plan_feature_phase, plan_phases
from edgewright.pipeline.training.results import (
    CONFUSION,
    CURVES,
    MARKER,
    METRICS,
    WEIGHTS,
    Record,
    Trained,
    fingerprint_of,
    finished_training,
    write_results,
)
from edgewright.pipeline.training.sources import ArraySource, SampleSource, Source
from edgewright.pipeline.training.stepping import Job, predict
from edgewright.runtime.errors import TrainingError
from edgewright.runtime.structure import to_plain
from edgewright.runtime.tasks.base import DeviceTask

__all__ = ["fit", "task_of"]

_FORMAT = 1
_CHECKPOINTS = "checkpoints"
_FEATURES = "features"


def _silent(what: str, done: int, total: int) -> None:
    pass


def task_options(splits: Splits, recipe: Recipe, auxiliary_weights: Mapping[str, float]) -> dict[str, Any]:
    """The settings of the training task, as plain values."""
    training = recipe.training
    targets = np.array([sample.target for sample in splits.train], dtype=np.int64)
    balanced = training.class_weights == "balanced"
    return {
        "metric_name": training.metric,
        "label_smoothing": training.label_smoothing,
        "class_weights": balanced_weights(targets, len(splits.classes)) if balanced else None,
        "auxiliary_weights": dict(auxiliary_weights),
        "augmentation": training.augment,
    }


def task_of(built: BuiltModel, splits: Splits, recipe: Recipe) -> TrainingTask:
    """The training half of the recipe's task, for this model and data."""
    return make_training_task(
        recipe.task, splits.classes, **task_options(splits, recipe, built.auxiliary_heads)
    )


def fit(
    built: BuiltModel, splits: Splits, recipe: Recipe, run_dir: Path, progress: Progress | None = None
) -> Trained:
    """Train `built` in place on `splits` and write the outcome to `run_dir`.

    Call it again with the same arguments after a kill and it goes on; on the CPU the weights are then the
    same bits. A finished training is returned as it is. Under torchrun every process calls it; the first one
    writes.

    Args:
        built: as `build_model` gives it, the same for every call.
        splits: the data; validation may be empty where nothing needs it.
        recipe: transfer, training, seed.
        run_dir: where weights.safetensors, metrics.json, curves.jsonl and confusion.json end up, and
        checkpoints and
            cached features meanwhile.
        progress: hears what is being done, in the process that leads.

    Raises:
        TrainingError: the loss is no longer finite, or a frozen part moved.
        RecipeError: the recipe unfreezes what the model does not have.
        InputError: a sample can no longer be read.
        MachineError: the disk is full or `run_dir` cannot be written.
    """
    world = World(recipe.training.precision)
    report = progress if progress is not None and world.leads else _silent
    extraction = recipe.transfer.mode == "feature-extraction"
    task = task_of(built, splits, recipe)
    _same_start(built.module, world)
    fingerprint = fingerprint_of(
        {
            "format": _FORMAT,
            "recipe": recipe.training_digest(),
            "data": splits.digest(),
            "settings": built.settings,
            "model": digest_tensors(built.module),
            "torch": torch.__version__,
            "processes": world.size,
            "device": world.device.type,
        }
    )
    done: Trained | None = world.from_leader(finished_training(run_dir, fingerprint) if world.leads else None)
    if done is not None:
        if world.leads:
            shutil.rmtree(run_dir / _CHECKPOINTS, ignore_errors=True)
        return done
    if world.leads:
        _sweep(run_dir)
    device = task.device_task(built.settings, splits.classes)
    notes: list[str] = []
    training = _Training(built, splits, recipe, run_dir, world, task, device, fingerprint, report, notes)
    outcome = training.extract_and_train() if extraction else training.fine_tune()
    if world.leads:
        options = task_options(splits, recipe, built.auxiliary_heads)
        record = Record(recipe.task, dict(built.build), splits.classes, built.licence, options)
        outcome = write_results(run_dir, fingerprint, built, record, outcome)
        shutil.rmtree(run_dir / _CHECKPOINTS, ignore_errors=True)
    result: Trained = world.from_leader(outcome)
    return result


def _sweep(run_dir: Path) -> None:
    """Remove the temporary files that a killed training left half written."""
    names = (WEIGHTS, METRICS, CURVES, CONFUSION, MARKER)
    for pattern in [
        *(f".{name}.tmp-*" for name in names),
        f"{_FEATURES}/.*.tmp-*",
        f"{_CHECKPOINTS}/.*.tmp-*",
    ]:
        for leftover in run_dir.glob(pattern):
            leftover.unlink(missing_ok=True)


def _same_start(module: nn.Module, world: World) -> None:
    """Put the model on its device, the same bits in every process."""
    module.to(world.device)
    if world.size == 1:
        return
    tensors = named_tensors(module)
    first = world.tensors_from_leader(tensors if world.leads else None)
    with torch.no_grad():
        for name, tensor in tensors.items():
            tensor.copy_(first[name])


class _Training:
    """The two ways to train, over the same loop."""

    def __init__(
        self,
        built: BuiltModel,
        splits: Splits,
        recipe: Recipe,
        run_dir: Path,
        world: World,
        task: TrainingTask,
        device: DeviceTask,
        fingerprint: str,
        report: Progress,
        notes: list[str],
    ) -> None:
        self.built, self.splits, self.recipe, self.run_dir = built, splits, recipe, run_dir
        self.world, self.task, self.device = world, task, device
        self.fingerprint, self.report, self.notes = fingerprint, report, notes

    def fine_tune(self) -> Trained:
        """Train the module itself on encoded samples."""
        phases = plan_phases(self.built, self.recipe)
        trainable = frozenset().union(*(phase.trainable for phase in phases))
        frozen = frozenset(named_tensors(self.built.module)) - moving_names(self.built.module, trainable)
        before = digest_tensors(self.built.module, frozen)
        sources = self._sources(self.recipe.training.workers)
        job = self._job(self.built.module, training_outputs, sources)
        state = run_phases(job, phases, self.run_dir / _CHECKPOINTS, self.fingerprint, self.report)
        check_frozen(self.built.module, frozen, before, "training")
        return self._outcome(self.built.module, sources, state.curves, state.rates, before)

    def extract_and_train(self) -> Trained:
        """Send every sample through the frozen backbone once, then train the head on the features."""
        backbone, head = feature_module(self.built), head_module(self.built)
        own = {id(tensor) for tensor in named_tensors(head).values()}
        tensors = named_tensors(self.built.module)
        frozen = frozenset(name for name, tensor in tensors.items() if id(tensor) not in own)
        before = digest_tensors(self.built.module, frozen)
        for parameter in backbone.parameters():
            parameter.requires_grad_(False)
        self.built.module.eval()
        sources = self._features(backbone, before)
        for parameter in head.parameters():
            parameter.requires_grad_(True)
        names = frozenset(name for name, _ in head.named_parameters())
        job = self._job(head, _head_outputs, sources)
        phases = plan_feature_phase(names, self.recipe)
        state = run_phases(job, phases, self.run_dir / _CHECKPOINTS, self.fingerprint, self.report)
        check_frozen(self.built.module, frozen, before, "training")
        return self._outcome(head, sources, state.curves, state.rates, before)

    def _splits(self) -> dict[str, tuple[Sample, ...]]:
        wanted = {name: self.splits.split(name) for name in ("train", "validation", "evaluation")}
        if not wanted["train"]:
            raise TrainingError(
                "there are no training samples: give more data, or smaller shares to the other splits"
            )
        return {name: samples for name, samples in wanted.items() if samples}

    def _sources(self, workers: int, keep: bool = True) -> dict[str, Source]:
        seed = self.recipe.training.seed
        return {
            name: SampleSource(samples, self.task, self.device, seed, workers, keep)
            for name, samples in self._splits().items()
        }

    def _job(self, module: nn.Module, forward: Any, sources: Mapping[str, Source]) -> Job:
        validation = sources.get("validation")
        return Job(module, forward, self.task, sources["train"], validation, self.recipe.training, self.world)

    def _features(self, backbone: nn.Module, frozen: str) -> dict[str, Source]:
        wanted = self.recipe.transfer.engine
        sources = self._sources(max(1, self.recipe.training.workers), keep=False)
        samples = self._splits()
        shape = (3, *self.built.settings.crop)
        total = sum(len(members) for members in samples.values())
        width = math.prod(self.built.feature_shape)
        engine = choose_engine(wanted, backbone, shape, total, self.world.device)
        folder = self.run_dir / _FEATURES
        place = (
            folder if self.world.leads else folder / f"process-{self.world.rank}"
        )  # each has its own graph
        made: list[Extract] = []

        def extract() -> Extract:
            if not made:
                arguments = (engine, wanted, backbone, shape, place, self.world.device, self.notes.append)
                made.append(make_extract(*arguments))
            return made[0]

        features: dict[str, Source] = {}
        for name, members in samples.items():
            key = fingerprint_of(
                {
                    "format": _FORMAT,
                    "backbone": frozen,
                    "build": self.built.build,
                    "settings": self.built.settings,
                    "samples": [sample.content for sample in members],
                    "engine": [engine, _engine_version(engine)],
                    "device": self.world.device.type,
                }
            )
            reporting = functools.partial(self.report, f"features, {name}")
            cached = cached_features(
                folder / f"{name}.npy", key, sources[name], width, extract, self.world, reporting
            )
            features[name] = ArraySource(cached.rows, sources[name].targets)
        for leftover in ("backbone.onnx", "backbone.onnx.data"):
            (place / leftover).unlink(missing_ok=True)
        if not self.world.leads and place.is_dir():
            place.rmdir()
        return features

    def _outcome(
        self,
        module: nn.Module,
        sources: Mapping[str, Source],
        curves: Any,
        rates: tuple[float, ...],
        frozen: str,
    ) -> Trained:
        metrics = {}
        for name in ("validation", "evaluation"):
            if name in sources:
                self.report(f"evaluating on {name}", 0, 0)
                logits = predict(module, sources[name], self.recipe.training.batch_size, self.world)
                metrics[name] = self.task.metrics(logits, sources[name].targets)
        return Trained(
            self.run_dir, metrics, tuple(to_plain(curves)), rates, {"frozen": frozen}, tuple(self.notes)
        )


def _head_outputs(module: nn.Module, features: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    return module(features), {}


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
