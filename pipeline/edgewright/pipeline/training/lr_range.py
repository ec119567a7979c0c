"""`lr: auto`: a range test. The rate rises step by step until the loss explodes; the model is put back as it
was.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from edgewright.pipeline.training.batching import epoch_batches, share
from edgewright.pipeline.training.freeze import moving_names, named_tensors
from edgewright.pipeline.training.optimizers import make_optimizer, set_rates
from edgewright.pipeline.training.phases import Phase
from edgewright.pipeline.training.randomness import seed_torch
from edgewright.pipeline.training.sources import Inputs
from edgewright.pipeline.training.stepping import Job, backward

_LOWEST, _HIGHEST = {"adamw": 1e-5, "sgd": 1e-4}, {"adamw": 1.0, "sgd": 10.0}
_FALLBACK = {"adamw": 1e-3, "sgd": 1e-2}
_MOST_STEPS, _FEWEST_STEPS = 100, 20
_NOTICEABLE = 0.02
_SMOOTHING = 0.8
_EXPLODED = 4.0


def find_rate(job: Job, phase: Phase, number: int, steps: int) -> float:
    """The peak rate for `phase` (the `number`th), which has `steps` steps to come. Leaves the model bit for
    bit as it was.
    """
    length = min(_MOST_STEPS, max(_FEWEST_STEPS, steps // 4))
    rates, losses = range_test(job, phase, number, length)
    # Of few sequences every batch is nearly the whole data: the loss falls without noise from the first, far too
    # small, rate on. A short training has no steps to make up for that.
    short = job.ragged and length == _FEWEST_STEPS
    found = suggest_rate(rates, losses, _NOTICEABLE if short else 0.0)
    return _FALLBACK[job.training.optimizer] if found is None else found


def range_test(job: Job, phase: Phase, number: int, steps: int) -> tuple[list[float], list[float]]:
    """Train at most `steps` steps with a rate that rises geometrically; returns the rates and the smoothed
    losses.

    Leaves the model bit for bit as it was.
    """
    training, names = job.training, moving_names(job.module, phase.trainable_in(0))
    before = {
        name: tensor.detach().clone() for name, tensor in named_tensors(job.module).items() if name in names
    }
    scaler = job.world.scaler_state()
    optimizer = job.world.prepare(make_optimizer(job.module, phase, training))
    lowest, highest = _LOWEST[training.optimizer], _HIGHEST[training.optimizer]
    rates: list[float] = []
    losses: list[float] = []
    average = 0.0
    for step, (batch, inputs) in enumerate(_batches(job, number, steps)):
        rate = lowest * (highest / lowest) ** (step / max(1, steps - 1))
        set_rates(optimizer, rate)
        seed_torch(training.seed, "range dropout", number, step, job.world.rank)
        found = backward(job, batch, inputs)
        if not found.finite:
            break
        average = _SMOOTHING * average + (1 - _SMOOTHING) * found.loss
        rates.append(rate)
        losses.append(average / (1 - _SMOOTHING ** (step + 1)))
        if losses[-1] > _EXPLODED * min(losses):
            break
        optimizer.step()
        optimizer.zero_grad()
    with torch.no_grad():
        for name, tensor in named_tensors(job.module).items():
            if name in names:
                tensor.copy_(before[name])
    for parameter in job.module.parameters():
        parameter.grad = None
    job.world.load_scaler_state(scaler)
    return rates, losses


def _batches(job: Job, number: int, steps: int) -> Iterator[tuple[NDArray[np.int64], Inputs]]:
    done = 0
    turn = 0
    while done < steps:
        seed = (job.training.seed, "range order", number, turn)
        size, lengths = job.training.batch_size, job.train.lengths
        plan = epoch_batches(len(job.train.targets), size, *seed, lengths=lengths)[: steps - done]
        mine = [share(batch, job.world.rank, job.world.size) for batch in plan]
        yield from zip(plan, job.train.batches(mine, -1 - turn), strict=True)
        done += len(plan)
        turn += 1


def suggest_rate(rates: Sequence[float], losses: Sequence[float], least: float = 0.0) -> float | None:
    """The rate in the middle of the longest descent of the losses, on a logarithmic scale; None where nothing
    descends. The descent begins where the share `least` of the whole fall has happened.
    """
    count = len(losses)
    length = [1] * count
    for right in range(count):
        for left in range(right):
            if losses[right] < losses[left] and length[right] < length[left] + 1:
                length[right] = length[left] + 1
    if count == 0 or max(length) < max(3, count // 10):
        return None
    end = length.index(max(length))
    start = end - (length[end] - 1)
    if losses[end] > 0.98 * max(losses[: end + 1]):
        return None  # the loss wavers but does not fall
    if least:
        top = max(losses[: end + 1])
        fallen = top - least * (top - losses[end])
        start = max(start, next(i for i in range(losses.index(top), end + 1) if losses[i] <= fallen))
    return math.sqrt(rates[max(0, start)] * rates[end])
