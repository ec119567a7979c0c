"""Optimisers, and their state as named tensors."""

from collections.abc import Mapping

import torch
from torch import nn

from edgewright.pipeline.recipe.training import Training
from edgewright.pipeline.training.phases import Phase


def make_optimizer(module: nn.Module, phase: Phase, training: Training) -> torch.optim.Optimizer:
    """An optimiser for what `phase` trains: one group for each rate, those that decay apart from the others.

    Biases and the scales of normalisation layers do not decay. Each group keeps its factor as "scale" and the
    names of its parameters as "names".
    """
    groups: dict[tuple[float, bool], list[tuple[str, nn.Parameter]]] = {}
    for name, parameter in module.named_parameters():
        if name in phase.trainable:
            key = (phase.scales.get(name, 1.0), parameter.ndim > 1)
            groups.setdefault(key, []).append((name, parameter))
    settings = [
        {
            "params": [parameter for _, parameter in members],
            "names": [name for name, _ in members],
            "scale": scale,
            "weight_decay": training.weight_decay if decays else 0.0,
        }
        for (scale, decays), members in sorted(groups.items(), key=lambda item: item[0])
    ]
    if training.optimizer == "sgd":
        return torch.optim.SGD(settings, lr=1.0, momentum=0.9)
    return torch.optim.AdamW(settings, lr=1.0)


def set_rates(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Give every group `rate` times its own scale."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["scale"]


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """The optimiser's state as tensors called "PARAMETER/KEY"."""
    return {
        f"{name}/{key}": value
        for group in optimizer.param_groups
        for name, parameter in zip(group["names"], group["params"], strict=True)
        for key, value in optimizer.state.get(parameter, {}).items()
        if isinstance(value, torch.Tensor)
    }


def load_optimizer_tensors(optimizer: torch.optim.Optimizer, tensors: Mapping[str, torch.Tensor]) -> None:
    """Put back what `optimizer_tensors` gave, each tensor where the optimiser wants it."""
    document = optimizer.state_dict()
    numbers = {
        name: number
        for group, live in zip(document["param_groups"], optimizer.param_groups, strict=True)
        for name, number in zip(live["names"], group["params"], strict=True)
    }
    state: dict[int, dict[str, torch.Tensor]] = {}
    for label, tensor in tensors.items():
        name, _, key = label.rpartition("/")
        state.setdefault(numbers[name], {})[key] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": document["param_groups"]})
