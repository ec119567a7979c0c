"""The loop: phases, epochs, steps, validation, early stopping; it can stop and go on at any step."""

import logging
import statistics
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from edgewright.pipeline.progress import Progress, in_words
from edgewright.pipeline.training.batching import epoch_batches, share
from edgewright.pipeline.training.checkpoint import Best, Checkpoint, State, load_checkpoint, save_checkpoint
from edgewright.pipeline.training.freeze import (
    check_frozen,
    digest_tensors,
    frozen_names,
    moving_names,
    named_tensors,
    set_modes,
    set_trainable,
)
from edgewright.pipeline.training.lr_range import find_rate
from edgewright.pipeline.training.optimizers import (
    load_optimizer_tensors,
    make_optimizer,
    optimizer_tensors,
    set_rates,
)
from edgewright.pipeline.training.phases import Phase
from edgewright.pipeline.training.randomness import seed_torch
from edgewright.pipeline.training.schedule import rate_factor
from edgewright.pipeline.training.sources import Inputs
from edgewright.pipeline.training.stepping import Job, backward, evaluate
from edgewright.runtime.errors import TrainingError

_log = logging.getLogger(__name__)

_RECENT = 5
"""Epochs whose time says how long the next ones take: when a layer is unfrozen, all take longer."""

_WORTH_SAVING = 1.0  # seconds of work; a checkpoint costs some 20 ms, more than a whole epoch of a small head


class _Run:
    """One training under way: the job, the plan, and the state that checkpoints hold."""

    def __init__(
        self, job: Job, phases: tuple[Phase, ...], folder: Path, fingerprint: str, progress: Progress
    ) -> None:
        self.job = job
        self.phases = phases
        self.progress = progress
        self.state = State()
        self.optimizer: torch.optim.Optimizer | None = None
        self.best: dict[str, torch.Tensor] | None = None
        self._folder = folder
        self._fingerprint = fingerprint
        self._saved_at = self._epoch_began = time.monotonic()
        self._epochs: deque[float] = deque(maxlen=_RECENT)
        everything = frozenset().union(*(phase.trainable for phase in phases))
        self._moving = moving_names(job.module, everything)

    def tensors(self) -> dict[str, torch.Tensor]:
        """What may move in any phase; the rest is in the model as it was built."""
        return {name: t for name, t in named_tensors(self.job.module).items() if name in self._moving}

    def put_back(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Overwrite the model's moving tensors."""
        with torch.no_grad():
            for name, tensor in self.tensors().items():
                tensor.copy_(tensors[name])

    def save(self, at_least: float) -> None:
        """Write a checkpoint when `at_least` so many seconds have passed since the last one."""
        if not self.job.world.leads or time.monotonic() - self._saved_at < at_least:
            return
        self.state.scaler = self.job.world.scaler_state()
        moments = {} if self.optimizer is None else optimizer_tensors(self.optimizer)
        save_checkpoint(
            self._folder, self._fingerprint, Checkpoint(self.state, self.tensors(), moments, self.best)
        )
        self._saved_at = time.monotonic()

    def resume(self) -> bool:
        """Go on from the newest valid checkpoint; returns whether there was one."""
        world = self.job.world
        found = load_checkpoint(self._folder, self._fingerprint) if world.leads else None
        if not world.from_leader(found is not None):
            return False
        self.state = world.from_leader(None if found is None else found.state)
        self.put_back(world.tensors_from_leader(None if found is None else found.model))
        moments = world.tensors_from_leader(None if found is None else found.optimizer)
        if self.state.best is not None:
            self.best = world.tensors_from_leader(None if found is None else found.best)
        if not self.state.finished and (self.state.epoch or self.state.step):
            self.start_optimizer()
            assert self.optimizer is not None
            load_optimizer_tensors(self.optimizer, moments)
        world.load_scaler_state(self.state.scaler)
        return True

    def tell(self, phase: Phase, row: Mapping[str, Any]) -> None:
        """A line for the epoch that is done: loss, the task's figure, the rate, and about how long the rest takes."""
        now = time.monotonic()
        self._epochs.append(now - self._epoch_began)
        self._epoch_began = now
        if not self.job.world.leads:
            return
        later = sum(other.epochs for other in self.phases[self.state.phase + 1 :])
        rest = phase.epochs - self.state.epoch - 1 + later
        metric = self.job.task.metric().name
        figure = row.get(f"validation_{metric.replace('-', '_')}")
        said = "" if figure is None else f", validation {metric} {figure:.4f}"
        left = f", about {in_words(rest * statistics.median(self._epochs))} left" if rest else ""
        _log.info(
            f"{phase.name}, epoch {self.state.epoch + 1} of {phase.epochs}: loss {row['train_loss']:.4g}{said}, "
            f"rate {row['rate']:.2g}{left}"
        )

    def start_optimizer(self) -> None:
        """A fresh optimiser for the phase that the state stands in."""
        phase = self.phases[self.state.phase]
        self.optimizer = self.job.world.prepare(make_optimizer(self.job.module, phase, self.job.training))


def run_phases(
    job: Job, phases: tuple[Phase, ...], folder: Path, fingerprint: str, progress: Progress
) -> State:
    """Train `job.module` through `phases`; leaves the final weights in it.

    Goes on from a checkpoint in `folder` whose training had the same `fingerprint`; on the CPU the weights
    are then the same bits as without the interruption.

    Raises:
        TrainingError: the loss is no longer finite, a frozen part moved, or early stopping has no validation
        samples.
    """
    if job.training.early_stopping is not None and job.validation is None:
        raise TrainingError(
            "training.early_stopping needs validation samples: raise data.validation, "
            "or remove early_stopping"
        )
    run = _Run(job, phases, folder, fingerprint, progress)
    run.resume()
    while not run.state.finished:
        _begin_phase(run)
        _run_epoch(run)
        if not run.state.finished:
            run.save(min(_WORTH_SAVING, job.training.checkpoint_seconds))
    if run.best is not None:
        run.put_back(run.best)
    job.module.eval()
    return run.state


def _steps_per_epoch(job: Job) -> int:
    return len(epoch_batches(len(job.train.targets), job.training.batch_size, "count"))


def _begin_phase(run: _Run) -> None:
    """Set up the phase and epoch that the state stands in; at a phase's start find its rate first."""
    job, state = run.job, run.state
    phase = run.phases[state.phase]
    trainable = phase.trainable_in(state.epoch)
    if len(state.rates) == state.phase:
        rate = job.training.lr
        if rate == "auto":
            run.progress(f"learning rate for {phase.name}", 0, 0)
            rate = find_rate(job, phase, state.phase, phase.epochs * _steps_per_epoch(job))
        elif state.phase > 0:
            rate = (
                rate / 2
            )  # once the head has learnt, the whole takes half its rate, as fastai's fine_tune does
        state.rates = (*state.rates, float(rate))
        run.start_optimizer()
    frozen = frozen_names(job.module, trainable)
    if not state.frozen:
        state.frozen = digest_tensors(job.module, frozen)
    set_trainable(job.module, trainable)


def _run_epoch(run: _Run) -> None:
    """The rest of the running epoch, its validation, and the step to the next epoch or phase."""
    job, state = run.job, run.state
    phase = run.phases[state.phase]
    if not (state.gradients or state.phase or state.epoch or state.step):
        _observe(run, phase, 0)
    _train_epoch(run, phase)
    validation = _validate(job)
    row: dict[str, Any] = {
        "phase": phase.name,
        "epoch": state.epoch + 1,
        "rate": state.rates[-1],
        "train_loss": state.loss_sum / max(state.weight_sum, np.finfo(np.float64).tiny),
    }
    row |= {f"validation_{name.replace('-', '_')}": value for name, value in validation.items()}
    state.curves = (*state.curves, row)
    run.tell(phase, row)
    last = state.phase == len(run.phases) - 1
    if last and job.training.early_stopping is not None:
        _note_best(run, validation)
    stopped = last and state.waited >= (job.training.early_stopping or len(state.curves) + 1)
    if stopped or state.epoch in (0, phase.epochs - 1):
        _observe(run, phase, state.epoch + 1)
    _next_epoch(run, phase, stopped)


def _observe(run: _Run, phase: Phase, epoch: int) -> None:
    """Note the gradients that reach each time step after `epoch` epochs of `phase`; 0 is before the training."""
    job, state = run.job, run.state
    if job.observe is None or not job.world.leads:
        return
    run.progress("gradients through time", 0, 0)
    found = job.observe()
    set_modes(job.module)
    if found is not None:
        state.gradients = (*state.gradients, {"phase": phase.name, "epoch": epoch, **found})


def _train_epoch(run: _Run, phase: Phase) -> None:
    job, state, training = run.job, run.state, run.job.training
    assert run.optimizer is not None
    number = sum(earlier.epochs for earlier in run.phases[: state.phase]) + state.epoch
    seed, size = (training.seed, "order", number), training.batch_size
    plan = epoch_batches(len(job.train.targets), size, *seed, lengths=job.train.lengths)
    rest = plan[state.step :]
    mine = [share(batch, job.world.rank, job.world.size) for batch in rest]
    for batch, inputs in zip(rest, job.train.batches(mine, number), strict=True):
        done = state.epoch * len(plan) + state.step
        rate = state.rates[-1] * rate_factor(
            training.schedule, done, phase.epochs * len(plan), training.warmup
        )
        set_rates(run.optimizer, rate)
        seed_torch(training.seed, "dropout", number, state.step, job.world.rank)
        _step(run, batch, inputs, f"{phase.name}, epoch {state.epoch + 1}, step {state.step + 1}")
        state.step += 1
        whole, note = phase.epochs * len(plan), f"epoch {state.epoch + 1} of {phase.epochs}"
        run.progress(f"training: {phase.name}", state.epoch * len(plan) + state.step, whole, note)
        run.save(training.checkpoint_seconds)


def _step(run: _Run, batch: NDArray[np.int64], inputs: Inputs, where: str) -> None:
    assert run.optimizer is not None
    found = backward(run.job, batch, inputs)
    if not found.finite:
        raise TrainingError(
            f"the loss is no longer finite ({where}, learning rate {run.state.rates[-1]:.3g}): "
            "lower training.lr, set training.clip_norm, or set training.precision: no"
        )
    run.optimizer.step()
    run.optimizer.zero_grad()
    run.state.loss_sum += found.loss * found.weight
    run.state.weight_sum += found.weight


def _validate(job: Job) -> dict[str, float]:
    """Figures of the validation split; nothing without one. Leaves the layers in the modes of training."""
    if job.validation is None:
        return {}
    size = job.training.batch_size
    figures = evaluate(job.module, job.validation, job.task, size, job.world, "validation", job.graphs)
    set_modes(job.module)
    return {name: value for name, value in figures.items() if isinstance(value, float)}


def _note_best(run: _Run, validation: Mapping[str, float]) -> None:
    state = run.state
    metric = run.job.task.metric()
    value, loss = metric.merit(validation[metric.name]), validation["loss"]
    if state.best is None or (value, -loss) > (state.best.value, -state.best.loss):
        state.best = Best(value, loss, state.phase, state.epoch)
        run.best = {name: tensor.detach().clone() for name, tensor in run.tensors().items()}
        state.waited = 0
    else:
        state.waited += 1


def _next_epoch(run: _Run, phase: Phase, stopped: bool) -> None:
    job, state = run.job, run.state
    before = phase.trainable_in(state.epoch)
    state.epoch, state.step, state.loss_sum, state.weight_sum = state.epoch + 1, 0, 0.0, 0.0
    ended = stopped or state.epoch >= phase.epochs
    after = frozenset() if ended else phase.trainable_in(state.epoch)
    if ended or after != before:
        check_frozen(job.module, frozen_names(job.module, before), state.frozen, phase.name)
        state.frozen = ""
    if ended:
        state.phase, state.epoch, run.optimizer = state.phase + 1, 0, None
        state.finished = stopped or state.phase == len(run.phases)
