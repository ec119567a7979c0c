"""One step: a batch forward, backward, summed over the processes, clipped."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from edgewright.pipeline.models.model import training_outputs
from edgewright.pipeline.recipe.training import Training
from edgewright.pipeline.tasks.base import TrainingTask
from edgewright.pipeline.tasks.figures import figures_of, mean_loss
from edgewright.pipeline.training.batching import cut, share
from edgewright.pipeline.training.distributed import World
from edgewright.pipeline.training.sources import Inputs, Source
from edgewright.runtime.errors import TrainingError

_TINY = 1e-30  # a batch of classes that all weigh nothing must not divide by zero


@dataclass(frozen=True)
class Job:
    """What is trained, on what, and how: everything that stays the same throughout a training.

    `module` is a whole model, or a head on cached features. `observe` looks at the gradients that reach each time
    step and answers with plain JSON values, or with None where there is nothing to see; it leaves everything as it
    was.
    """

    module: nn.Module
    task: TrainingTask
    train: Source
    validation: Source | None
    training: Training
    world: World
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
        targets = torch.from_numpy(job.train.targets[mine])
        weights = torch.from_numpy(task.weights(job.train.targets[mine])).to(world.device)
        with world.autocast():
            outputs, auxiliary = training_outputs(job.module, *_moved(inputs, world))
        losses = task.losses(outputs, auxiliary, targets)
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


def predict(module: nn.Module, source: Source, batch_size: int, world: World) -> NDArray[np.float32]:
    """The outputs of every input of `source`, in eval mode and full precision; the processes share the batches.

    Logits are [N, C]; those of every step [N, T, K] are padded with zeros to the longest. Leaves the module in eval
    mode.
    """
    module.eval()
    count, lengths = len(source.targets), source.lengths
    order = np.arange(count, dtype=np.int64) if lengths is None else np.argsort(lengths, kind="stable")
    plan = cut(order, batch_size)
    mine = plan[world.rank :: world.size]
    rows = []
    with torch.inference_mode():
        for inputs in source.batches(mine, None):
            rows.append(training_outputs(module, *_moved(inputs, world))[0].float())
    if world.size == 1 and lengths is None:
        return torch.cat(rows).cpu().numpy()
    # Every process fills its own rows of zeros; the sum has them all.
    outputs = torch.zeros(count, *_widest(rows, world), device=world.device)
    for indices, values in zip(mine, rows, strict=True):
        place = outputs if values.ndim < 3 else outputs[:, : values.shape[1]]
        place[torch.from_numpy(indices).to(world.device)] = values
    return world.sum(outputs).cpu().numpy()


def _widest(rows: list[torch.Tensor], world: World) -> tuple[int, ...]:
    """The largest shape of a sample's outputs in all processes, some of which may have no rows."""
    shapes = torch.zeros(world.size, 3, dtype=torch.int64, device=world.device)
    for values in rows:
        size = torch.tensor([values.ndim, *values.shape[1:], 0][:3], device=world.device)
        shapes[world.rank] = torch.maximum(shapes[world.rank], size)
    axes, *sizes = world.sum(shapes).amax(dim=0).tolist()
    return tuple(sizes[: axes - 1])


def _moved(inputs: Inputs, world: World) -> Inputs:
    return tuple(tensor.to(world.device) for tensor in inputs)


def evaluate(
    module: nn.Module, source: Source, task: TrainingTask, batch_size: int, world: World, name: str
) -> dict[str, Any]:
    """Every figure of `task` on the split called `name`. Leaves the module in eval mode.

    Raises `TrainingError` when the answers are not finite.
    """
    outputs = predict(module, source, batch_size, world)
    if not np.isfinite(outputs).all():
        raise TrainingError(
            f"the model's answers to the {name} samples are no longer finite: lower training.lr, or set "
            "training.clip_norm"
        )
    figures: dict[str, Any] = {"loss": mean_loss(task, outputs, source.targets)} if task.learns else {}
    answers = source.answers
    assert answers is not None, "a source that is only learnt from is not evaluated"
    figures |= figures_of(task.figures, answers.read(module, outputs, source.lengths))
    return {**figures, **answers.counts}
