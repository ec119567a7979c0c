"""`fit`: train a built model on samples, as the recipe says; killed, the same call goes on."""

import functools
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from edgewright.exporters.part import TorchGraphs
from edgewright.pipeline.data.samples import Sample, Splits
from edgewright.pipeline.families import family_of, feature_module, head_module
from edgewright.pipeline.models.model import BuiltModel
from edgewright.pipeline.progress import Progress, silent
from edgewright.pipeline.recipe.recipe import Recipe
from edgewright.pipeline.tasks.base import Objective
from edgewright.pipeline.tasks.registry import task_of, task_options
from edgewright.pipeline.training.batching import epoch_batches
from edgewright.pipeline.training.checkpoint import State
from edgewright.pipeline.training.distributed import World
from edgewright.pipeline.training.extraction import FEATURES, extract_features
from edgewright.pipeline.training.freeze import check_frozen, digest_tensors, moving_names, named_tensors
from edgewright.pipeline.training.history import history_of
from edgewright.pipeline.training.loop import run_phases
from edgewright.pipeline.training.observing import Observe, gradient_observer
from edgewright.pipeline.training.phases import plan_feature_phase, plan_phases
from edgewright.pipeline.training.results import (
    RESULTS,
    Record,
    Trained,
    fingerprint_of,
    finished_training,
    write_results,
)
from edgewright.pipeline.training.sample_source import SampleSource
from edgewright.pipeline.training.sources import Source
from edgewright.pipeline.training.stepping import Job, evaluate
from edgewright.runtime.bundle.files import sha256_of_bytes
from edgewright.runtime.bundle.structure import to_plain
from edgewright.runtime.errors import TrainingError
from edgewright.runtime.tasks.base import Task

_FORMAT = 1
_CHECKPOINTS = "checkpoints"


def fit(
    built: BuiltModel, splits: Splits, recipe: Recipe, run_dir: Path, progress: Progress | None = None
) -> Trained:
    """Train `built` in place on `splits` and write the outcome to `run_dir`; with transfer.mode none the model is only
    evaluated, and written as it is.

    Call it again with the same arguments after a kill and it goes on; on the CPU the weights are then the
    same bits. A finished training is returned as it is. Under torchrun every process calls it; the first one
    writes.

    Args:
        built: as `build_for` gives it, the same for every call.
        splits: the data; validation may be empty where nothing needs it.
        recipe: transfer, training, seed.
        run_dir: where weights.safetensors, metrics.json, curves.jsonl and their picture, of a classifier
            confusion.json and of a recurrent model gradients.json end up, checkpoints and cached features meanwhile.
        progress: hears what is being done, in the process that leads.

    Raises:
        TrainingError: the loss is no longer finite, or a frozen part moved.
        RecipeError: the recipe unfreezes what the model does not have.
        InputError: a sample can no longer be read.
        DataError: a sample and its target do not fit.
        MachineError: the disk is full or `run_dir` cannot be written.
    """
    world = World(recipe.training.precision)
    report = progress if progress is not None and world.leads else silent
    task = task_of(built, splits, recipe)
    _same_start(built.module, world)
    parts = {
        "format": _FORMAT,
        "recipe": recipe.training_digest(),
        "data": splits.digest(),
        "settings": built.settings,
        "model": digest_tensors(built.module),
        "torch": torch.__version__,
        "processes": world.size,
        "device": world.device.type,
    }
    if built.assets:
        parts["assets"] = {role: sha256_of_bytes(content) for role, content in built.assets.items()}
    parts |= family_of(recipe).fingerprint(built)
    fingerprint = fingerprint_of(parts)
    done: Trained | None = world.from_leader(finished_training(run_dir, fingerprint) if world.leads else None)
    if done is not None:
        if world.leads:
            shutil.rmtree(run_dir / _CHECKPOINTS, ignore_errors=True)
        return done
    if world.leads:
        _sweep(run_dir)
    device = task.device_task(built.settings, splits.classes, built.assets)
    notes: list[str] = []
    training = _Training(built, splits, recipe, run_dir, world, task, device, fingerprint, report, notes)
    ways = {"none": training.keep, "feature-extraction": training.extract_and_train}
    outcome = ways.get(recipe.transfer.mode, training.fine_tune)()
    if world.leads:
        options = task_options(splits, recipe, built)
        record = Record(recipe.task, dict(built.build), splits.classes, built.licence, options)
        outcome = write_results(run_dir, fingerprint, built, record, outcome, task.metric().name)
        shutil.rmtree(run_dir / _CHECKPOINTS, ignore_errors=True)
    result: Trained = world.from_leader(outcome)
    return result


def _sweep(run_dir: Path) -> None:
    """Remove the temporary files that a killed training left half written."""
    for pattern in [
        *(f".{name}.tmp-*" for name in RESULTS),
        f"{FEATURES}/.*.tmp-*",
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
    """The two ways to train, over the same loop, and that of not training at all."""

    def __init__(
        self,
        built: BuiltModel,
        splits: Splits,
        recipe: Recipe,
        run_dir: Path,
        world: World,
        task: Objective,
        device: Task[Any],
        fingerprint: str,
        report: Progress,
        notes: list[str],
    ) -> None:
        self.built, self.splits, self.recipe, self.run_dir = built, splits, recipe, run_dir
        self.world, self.task, self.device = world, task, device
        self.fingerprint, self.report, self.notes = fingerprint, report, notes
        self.graphs = TorchGraphs(built.parts())

    def keep(self) -> Trained:
        """Take the model as it is: nothing may change."""
        before = digest_tensors(self.built.module)
        return self._outcome(self.built.module, self._sources(self.recipe.training.workers), State(), before)

    def fine_tune(self) -> Trained:
        """Train the module itself on encoded samples."""
        phases = plan_phases(self.built, self.recipe, self._steps_per_epoch(len(self.splits.train)))
        trainable = frozenset().union(*(phase.trainable for phase in phases))
        frozen = frozenset(named_tensors(self.built.module)) - moving_names(self.built.module, trainable)
        before = digest_tensors(self.built.module, frozen)
        sources = self._sources(self.recipe.training.workers)
        # How many steps there are shows only now, where samples are several rows.
        phases = plan_phases(self.built, self.recipe, self._steps_per_epoch(len(sources["train"].targets)))
        job = self._job(self.built.module, sources, self._observer(sources["train"]))
        state = run_phases(job, phases, self.run_dir / _CHECKPOINTS, self.fingerprint, self.report)
        check_frozen(self.built.module, frozen, before, "training")
        return self._outcome(self.built.module, sources, state, before)

    def _steps_per_epoch(self, samples: int) -> int:
        return len(epoch_batches(max(1, samples), self.recipe.training.batch_size, "count"))

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
        encoded = self._sources(max(1, self.recipe.training.workers), keep=self.device.ragged)
        sources = extract_features(
            self.built, backbone, before, self.device, encoded, self._splits(), self.recipe, self.run_dir, self.world,
            self.report, self.notes.append,
        )  # fmt: skip
        for parameter in head.parameters():
            parameter.requires_grad_(True)
        names = frozenset(name for name, _ in head.named_parameters())
        job = self._job(head, sources, self._observer(encoded["train"]))
        phases = plan_feature_phase(names, self.recipe, self._steps_per_epoch(len(sources["train"].targets)))
        state = run_phases(job, phases, self.run_dir / _CHECKPOINTS, self.fingerprint, self.report)
        check_frozen(self.built.module, frozen, before, "training")
        return self._outcome(head, sources, state, before)

    def _splits(self) -> dict[str, tuple[Sample, ...]]:
        names: tuple[str, ...] = ("train", "validation", "evaluation")
        if self.recipe.transfer.mode == "none":
            names = names[1:]
        wanted = {name: self.splits.split(name) for name in names}
        if not wanted.get("train", True):
            raise TrainingError(
                "there are no training samples: give more data, or smaller shares to the other splits"
            )
        return {name: samples for name, samples in wanted.items() if samples}

    def _sources(self, workers: int, keep: bool = True) -> dict[str, SampleSource]:
        return {
            name: SampleSource(
                self.task.learnt(samples) if name == "train" else samples,
                self.task,
                self.device,
                self.recipe.training.seed,
                workers,
                keep,
                self.built.input_names,
                judged=name != "train",
                history=history_of(self.recipe, samples, self.device) if name == "train" else None,
                progress=functools.partial(self.report, f"reading {name}"),
            )
            for name, samples in self._splits().items()
        }

    def _job(self, module: nn.Module, sources: Mapping[str, Source], observe: Observe | None) -> Job:
        train, validation, training = sources["train"], sources.get("validation"), self.recipe.training
        ragged = self.device.ragged
        return Job(module, self.task, train, validation, training, self.world, self.graphs, ragged, observe)

    def _observer(self, source: Source) -> Observe | None:
        return gradient_observer(self.built, source, self.task, self.recipe.training.seed, self.world.device)

    def _outcome(
        self, module: nn.Module, sources: Mapping[str, Source], state: State, frozen: str
    ) -> Trained:
        metrics = {}
        for name in ("validation", "evaluation"):
            if name in sources:
                self.report(f"evaluating on {name}", 0, 0)
                size = self.recipe.training.batch_size
                metrics[name] = evaluate(
                    module, sources[name], self.task, size, self.world, name, self.graphs
                )
        notes = (*self.notes, *self.task.notes(metrics))
        curves, gradients = tuple(to_plain(state.curves)), tuple(to_plain(state.gradients))
        digests = {"frozen": frozen}
        return Trained(self.run_dir, metrics, curves, state.rates, digests, notes, gradients)
