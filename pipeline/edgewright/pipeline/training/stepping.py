"""One step: a batch forward, backward, summed over the processes, clipped."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from edgewright.pipeline.models.model import training_outputs
from edgewright.pipeline.recipe.training import Training
from edgewright.pipeline.tasks.base import Objective
from edgewright.pipeline.tasks.figures import figures_of, mean_loss
from edgewright.pipeline.training.batching import cut, share
from edgewright.pipeline.training.distributed import World
from edgewright.pipeline.training.sources import Inputs, Source
from edgewright.runtime.errors import TrainingError
from edgewright.runtime.graphs.graphs import Graphs

_TINY = 1e-30  # a batch of classes that all weigh nothing must not divide by zero


@dataclass(frozen=True)
class Job:
    """What is trained, on what, and how: everything that stays the same throughout a training.

    `module` is a whole model, or a head on cached features; `graphs` are those of the whole model. `ragged` says
    whether samples differ in length. `observe` looks at the gradients that reach each time step and answers with plain
    JSON values, or with None where there is nothing to see; it leaves everything as it was.
    """

    module: nn.Module
    task: Objective
    train: Source
    validation: Source | None
    training: Training
    world: World
    graphs: Graphs
    ragged: bool = False
    observe: Callable[[], Any] | None = None


@dataclass(frozen=True)
class Step:
    """What a backward pass found: the batch's loss, the weight of its samples, the norm of the gradient
    before clipping.

    The norm is 0 where nothing is clipped.
    """

    loss: float
    weight: float
    norm: float

    @property
    def finite(self) -> bool:
        """Whether the optimiser may use these gradients."""
        return math.isfinite(self.loss) and math.isfinite(self.norm)


def backward(job: Job, batch: NDArray[np.int64], inputs: Inputs) -> Step:
    """Leave the gradients of the whole `batch` in the parameters.

    `inputs` are those of this process's share of the batch. The loss is the weighted mean over the whole
    batch, so it does not depend on how the batch is divided.
    """
    world, task = job.world, job.task
    mine = share(batch, world.rank, world.size)
    weight = float(task.weights(job.train.targets[batch]).astype(np.float64).sum())
    parameters = [parameter for parameter in job.module.parameters() if parameter.requires_grad]
    loss = torch.zeros((), device=world.device)
    if len(mine):
        targets = job.train.targets[mine]
        weights = torch.from_numpy(task.weights(targets)).to(world.device)
        losses = task.row_losses(job.module, _moved(inputs, world), targets, world.autocast)
        loss = (losses * weights).sum() / max(weight, _TINY)
        world.backward(loss)
    value = float(world.sum_gradients(parameters, loss.detach(), _statistics(job), len(mine) / len(batch)))
    norm = 0.0
    if job.training.clip_norm is not None and math.isfinite(value):
        norm = world.clip(parameters, job.training.clip_norm)
        if job.training.precision == "fp16" and not math.isfinite(norm):
            norm = 0.0  # the loss scaler sees this too, skips the step and lowers its scale
    return Step(value, weight, norm)


def _statistics(job: Job) -> list[torch.Tensor]:
    """The running statistics that the forward pass moved, which the processes must agree on."""
    if job.world.size == 1:
        return []
    return [
        buffer
        for layer in job.module.modules()
        if layer.training
        for buffer in layer.buffers(recurse=False)
        if buffer.is_floating_point()
    ]


def predict(module: nn.Module, source: Source, batch_size: int, world: World) -> list[NDArray[np.float32]]:
    """The outputs of every row of `source`, in eval mode and full precision; the processes share the batches.

    Those of a row are logits [C], or of every one of its steps [T, K]. Leaves the module in eval mode.
    """
    module.eval()
    count, lengths = len(source.targets), source.lengths
    order = np.arange(count, dtype=np.int64) if lengths is None else np.argsort(lengths, kind="stable")
    plan = cut(order, batch_size)
    mine = plan[world.rank :: world.size]
    steps = lengths if source.timed else None
    found: list[NDArray[np.float32]] = [np.empty(0, np.float32)] * count
    with torch.inference_mode():
        for indices, inputs in zip(mine, source.batches(mine, None), strict=True):
            outputs = training_outputs(module, *_moved(inputs, world))[0].float().cpu().numpy()
            for index, row in zip(indices.tolist(), outputs, strict=True):
                found[index] = row if steps is None else row[: steps[index]]
    return found if world.size == 1 else _gathered(found, np.concatenate([*mine, order[:0]]), steps, world)


def _gathered(
    rows: list[NDArray[np.float32]], mine: NDArray[np.int64], steps: NDArray[np.int64] | None, world: World
) -> list[NDArray[np.float32]]:
    """The outputs of all rows, of which this process has `mine`: every one fills its own part of zeros, and the sum has
    them all.
    """
    shape = _widest([rows[index] for index in mine.tolist()], world)[steps is not None :]
    sizes = np.ones(len(rows), np.int64) if steps is None else steps
    ends = np.cumsum(sizes)
    flat = torch.zeros(int(sizes.sum()), *shape, device=world.device)
    for index in mine.tolist():
        values = torch.from_numpy(rows[index]).to(world.device)
        flat[ends[index] - sizes[index] : ends[index]] = values
    parts = np.split(world.sum(flat).cpu().numpy(), ends[:-1])
    return [part[0] for part in parts] if steps is None else parts


def _widest(rows: list[NDArray[np.float32]], world: World) -> tuple[int, ...]:
    """The largest shape of a row's outputs in all processes, some of which may have no rows."""
    shapes = torch.zeros(world.size, 3, dtype=torch.int64, device=world.device)
    for values in rows:
        size = torch.tensor([values.ndim, *values.shape, 0, 0][:3], device=world.device)
        shapes[world.rank] = torch.maximum(shapes[world.rank], size)
    axes, *sizes = world.sum(shapes).amax(dim=0).tolist()
    return tuple(sizes[:axes])


def _moved(inputs: Inputs, world: World) -> Inputs:
    return tuple(tensor.to(world.device) for tensor in inputs)


def evaluate(
    module: nn.Module,
    source: Source,
    task: Objective,
    batch_size: int,
    world: World,
    name: str,
    graphs: Graphs,
) -> dict[str, Any]:
    """Every figure of `task` on the split called `name`. Leaves the module in eval mode.

    `graphs` are those of the whole model, for what answers need beside the outputs of rows. Raises `TrainingError` when
    the answers are not finite.
    """
    answers = source.answers
    assert answers is not None, "a source that is only learnt from is not evaluated"
    figures: dict[str, Any] = {}
    outputs = predict(module, source, batch_size, world) if answers.of_rows else []

    def check(rows: Iterable[NDArray[Any]]) -> None:
        if not all(np.isfinite(row).all() for row in rows):
            raise TrainingError(
                f"the model's answers to the {name} samples are no longer finite: lower training.lr, or set "
                "training.clip_norm"
            )

    check(outputs)
    if task.learns:
        by_outputs = answers.of_rows and task.loss_of_outputs
        figures["loss"] = (
            mean_loss(task, outputs, source.targets)
            if by_outputs
            else _loss_of_module(module, source, task, batch_size, world)
        )
    if answers.of_rows:
        answered = answers.read(outputs, graphs)
    else:
        answered = answers.run(graphs, lambda found: check(found.values()))
    figures |= figures_of(task.figures, answered)
    return {**figures, **answers.counts}


def _loss_of_module(
    module: nn.Module, source: Source, task: Objective, batch_size: int, world: World
) -> float:
    """The mean loss of rows, each with its weight, where the module itself makes it."""
    module.eval()
    order = np.arange(len(source.targets), dtype=np.int64)
    plan = cut(order, batch_size)
    sums = torch.zeros(2, dtype=torch.float64, device=world.device)
    mine = plan[world.rank :: world.size]
    with torch.no_grad():
        for indices, inputs in zip(mine, source.batches(mine, None), strict=True):
            targets = source.targets[indices]
            weights = torch.from_numpy(task.weights(targets)).double().to(world.device)
            losses = task.row_losses(module, _moved(inputs, world), targets).double()
            sums += torch.stack(((losses * weights).sum(), weights.sum()))
    total, weight = world.sum(sums).tolist()
    return float(total / max(weight, _TINY))
