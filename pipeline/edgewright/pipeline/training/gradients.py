"""How much of the loss's gradient reaches each step of a sequence: what a recurrent layer can learn from the past."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edgewright.pipeline.models.model import BuiltModel
from edgewright.pipeline.models.recurrent.layers import RecurrentLayer, reversed_index, take_steps
from edgewright.pipeline.models.recurrent.model import RecurrentModel, answer
from edgewright.pipeline.models.recurrent.network import Network
from edgewright.pipeline.models.recurrent.readout import read_out
from edgewright.pipeline.models.recurrent.tasks import recurrent_tasks
from edgewright.pipeline.tasks.base import Objective
from edgewright.pipeline.training.gradient_curves import LayerCurve
from edgewright.runtime.errors import TrainingError

_SAMPLES = 8
_STEPS = 1000
"""Sequences that are unrolled, and their last steps: enough for a curve, little beside an epoch."""

_VANISHED = 1e-3
"""Share of the gradient that must be left at the far end, or in the first layer, for it to learn from there."""

_EXPLODED = 1e3
_LARGEST = 1e300  # what stands for a norm that is not finite: JSON has no infinity


@dataclass(frozen=True)
class GradientReport:
    """The gradients of one moment of a training: so many `samples`, the longest of so many `steps`."""

    samples: int
    steps: int
    aligned: str
    layers: tuple[LayerCurve, ...]


def gradient_curves(
    built: BuiltModel, inputs: Sequence[Tensor], targets: Tensor, task: Objective
) -> GradientReport:
    """Unroll the recurrence step by step and measure the gradient that reaches each state.

    Nothing of `built` changes: neither weights and gradients nor modes, and no random number is drawn. At most 8
    samples are used, and of each the last 1,000 steps. Computed in float64, in which nothing real is rounded to zero.

    A model that answers every step is asked for its last known answer only (a direction that reads from the end: for
    the first): with a loss at every step each would feel its own, and nothing would be seen of what comes back
    through time.

    Args:
        inputs: a batch of the model's inputs, in the order of `built.input_names`.
        targets: as `task.losses` takes them.

    Raises:
        TrainingError: the model is not recurrent.
    """
    if not isinstance(built.module, RecurrentModel):
        raise TrainingError(
            f"{built.name} has no recurrent layers: gradients through time are those of rnn, lstm and gru"
        )
    model = copy.deepcopy(built.module).cpu().double().eval()
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    values, lengths, *extra = (tensor[:_SAMPLES].detach().cpu() for tensor in inputs)
    targets = targets[:_SAMPLES].detach().cpu()
    values, targets, lengths = _last_steps(values, targets, lengths, model.dimensions.per_step)
    asked = _asked(targets, lengths, model.dimensions.per_step)
    extra = [tensor.double() for tensor in extra]
    curves: dict[str, NDArray[np.float64]] = {}
    with torch.enable_grad():
        states, outputs = _unroll(model, values, lengths, tuple(extra))
        for direction, (wanted, entry) in asked.items():
            chosen = {name: kept for name, kept in states.items() if _direction(name) == direction}
            if chosen:
                # summed, so that each sample feels its own loss whatever the size of the batch
                curves |= _norms(task.losses(outputs, {}, wanted).sum(), chosen, entry)
    curves = {name: curves[name] for name in states}
    top = max(float(curve.max()) for name, curve in curves.items() if name.startswith(_last_layer(model)))
    per_step = model.dimensions.per_step
    layers = [_judge(name, curve, top, model.network, task.name, per_step) for name, curve in curves.items()]
    return GradientReport(len(lengths), int(lengths.max()), "end", tuple(layers))


def _last_layer(model: RecurrentModel) -> str:
    return f"layers.{len(model.layers) - 1}"


def _direction(name: str) -> str:
    return "backward" if name.endswith("backward") else "forward"


def _asked(targets: Tensor, lengths: Tensor, per_step: bool) -> dict[str, tuple[Tensor, Tensor]]:
    """By direction what is asked of the model, and after how many steps read the answer to it stands, [N]."""
    if not per_step:
        return {"forward": (targets, lengths), "backward": (targets, lengths)}
    known = ~targets.isnan().all(dim=2)
    place = torch.arange(known.shape[1])
    last = torch.where(known, place, -1).amax(dim=1)
    first = torch.where(known, place, known.shape[1]).amin(dim=1)
    some = known.any(dim=1)
    asked = {}
    for direction, step, entry in (("forward", last, last + 1), ("backward", first, lengths - first)):
        only = (place == step.unsqueeze(1)).unsqueeze(2)
        asked[direction] = torch.where(only, targets, torch.nan), torch.where(some, entry, 0)
    return asked


def _last_steps(
    values: Tensor, targets: Tensor, lengths: Tensor, per_step: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """The last steps of each sequence, moved to the front."""
    lengths = lengths.long()
    if values.dtype != torch.int64:
        values = values.double()
    kept = lengths.clamp(max=_STEPS)
    place = torch.arange(int(kept.max())) + (lengths - kept).unsqueeze(1)
    rows = torch.arange(len(lengths)).unsqueeze(1)
    if per_step:
        inside = (torch.arange(place.shape[1]) < kept.unsqueeze(1)).unsqueeze(2)
        targets = torch.where(inside, targets[rows, place.clamp(max=targets.shape[1] - 1)], torch.nan)
    return values[rows, place.clamp(max=values.shape[1] - 1)], targets, kept


def _unroll(
    model: RecurrentModel, values: Tensor, lengths: Tensor, extra: tuple[Tensor, ...]
) -> tuple[dict[str, list[tuple[Tensor, ...]]], Tensor]:
    """The model's answer, and by name of layer and direction the states after each step, in the order read."""
    states: dict[str, list[tuple[Tensor, ...]]] = {}
    steps = values.transpose(0, 1)
    if model.embedding is not None:
        steps = model.embedding(steps)
    turned = reversed_index(steps.shape[0], lengths)
    for number, layer in enumerate(model.layers):
        assert isinstance(layer, RecurrentLayer)
        outputs = []
        for direction, cell in enumerate(layer.cells):
            name = f"layers.{number}{' backward' if direction else ''}"
            read = take_steps(steps, turned) if direction else steps
            states[name] = _read(cell, read)
            written = torch.cat([state[0] for state in states[name]])
            outputs.append(take_steps(written, turned) if direction else written)
        steps = layer.finish(steps, torch.cat(outputs, dim=2))
    features = steps.transpose(0, 1) if model.dimensions.per_step else read_out(model.network, steps, lengths)
    return states, answer(model.dimensions, model.head, features, extra)


def _read(cell: nn.Module, steps: Tensor) -> list[tuple[Tensor, ...]]:
    """The states of one cell after each step."""
    assert isinstance(cell, nn.RNNBase)
    shape = (1, steps.shape[1], cell.hidden_size)
    start = torch.zeros(shape, dtype=steps.dtype, requires_grad=True)
    state: tuple[Tensor, ...] = (start, torch.zeros(shape, dtype=steps.dtype))[
        : 1 + isinstance(cell, nn.LSTM)
    ]
    states = []
    for step in torch.split(steps, 1):
        after = cell(step, state if isinstance(cell, nn.LSTM) else state[0])[1]
        state = after if isinstance(cell, nn.LSTM) else (after,)
        states.append(state)
    return states


def _norms(
    loss: Tensor, states: Mapping[str, list[tuple[Tensor, ...]]], entry: Tensor
) -> dict[str, NDArray[np.float64]]:
    """Mean norm of the gradient that each step's state gets, [time] by name.

    The steps before which the loss enters, after `entry` of them for each sample, stand together at the end. The state
    of an LSTM is both its hidden and its cell state.
    """
    flat = [tensor for kept in states.values() for state in kept for tensor in state]
    found = torch.autograd.grad(loss, flat, retain_graph=True, allow_unused=True)
    gradients = iter(
        torch.zeros_like(tensor) if part is None else part for tensor, part in zip(flat, found, strict=True)
    )
    longest = max(1, int(entry.max()))
    curves = {}
    for name, kept in states.items():
        rows = [torch.cat([next(gradients) for _ in state], dim=2) for state in kept]
        norms = torch.linalg.vector_norm(torch.cat(rows), dim=2).numpy()  # [time, batch]
        norms = np.nan_to_num(norms, nan=_LARGEST, posinf=_LARGEST).clip(max=_LARGEST)
        total, count = np.zeros(longest), np.zeros(longest)
        for sample, length in enumerate(entry.tolist()):
            total[longest - length :] += norms[:length, sample] / len(entry)
            count[longest - length :] += 1 / len(entry)
        curves[name] = total / count.clip(min=1e-9)
    return curves


def _judge(
    name: str, norms: NDArray[np.float64], top: float, network: Network, task: str, per_step: bool
) -> LayerCurve:
    width = max(1, len(norms) // 20)
    far, near = float(norms[:width].mean()), float(norms[-width:].mean())
    ratio = far / near if near > 0 and far < _LARGEST else None
    steps = len(norms)
    verdict, reason = "healthy", f"{ratio or 0:.1e} of the gradient reaches the first of {steps} steps"
    advice: tuple[str, ...] = ()
    if norms.max() >= _LARGEST or (ratio is not None and ratio > _EXPLODED):
        verdict, advice = "explodes", _against_explosion(network)
        reason = f"over {steps} steps the gradient grows {far / near if near else np.inf:.1e} times"
    elif norms.max() < _VANISHED * top:
        verdict = "vanishes"
        advice = ("network.residual: true, a way around each layer", "network.layer_norm: true")
        reason = f"of the gradient in the last layer only {float(norms.max()) / top:.1e} reaches this one"
    elif ratio is None or ratio < _VANISHED:
        verdict, advice = "vanishes", _against_vanishing(network, task, per_step)
        reason = f"only {ratio or 0:.1e} of the gradient reaches the first of {steps} steps"
    return LayerCurve(name, _direction(name), tuple(norms.tolist()), ratio, verdict, reason, advice)


def _against_vanishing(network: Network, task: str, per_step: bool) -> tuple[str, ...]:
    advice = []
    if network.cell == "rnn":
        advice.append("model: lstm or gru, whose gates carry gradients further")
    if network.init != "orthogonal":
        advice.append("network.init: orthogonal, which neither shrinks nor grows what it carries")
    if network.readout == "last" and not per_step:
        advice.append("network.readout: mean or max, which every step feels directly")
    if network.cell != "rnn":
        advice.append("training.epochs: more, gates learn to stay open")
    shorter = recurrent_tasks()[task].shorter
    advice.append(f"{shorter}, or nothing if what was so long ago does not matter")
    return tuple(advice)


def _against_explosion(network: Network) -> tuple[str, ...]:
    advice = ["training.clip_norm: 1 or less"]
    if network.cell == "rnn":
        advice.append("model: lstm or gru, whose gates hold the state within bounds")
        if network.activation == "relu":
            advice.append("network.activation: tanh, which has a limit")
    if network.init != "orthogonal":
        advice.append("network.init: orthogonal, which neither shrinks nor grows what it carries")
    if not network.layer_norm:
        advice.append("network.layer_norm: true")
    advice.append("training.lr: lower")
    return tuple(advice)
