"""Frozen means frozen: which tensors may move, the train or eval mode of every layer, and digests that prove
it.
"""

import hashlib
from collections.abc import Iterable, Set

import torch
from torch import nn

from edgewright.runtime.errors import TrainingError


def set_trainable(module: nn.Module, trainable: Set[str]) -> None:
    """Let the parameters called `trainable` learn, freeze all others, and set every layer's mode to fit."""
    for name, parameter in module.named_parameters():
        parameter.requires_grad_(name in trainable)
        if name not in trainable:
            parameter.grad = None
    set_modes(module)


def set_modes(module: nn.Module) -> None:
    """Train mode for layers with something to learn, eval mode for all others.

    So BatchNorm of a frozen block keeps its statistics and dropout inside it does nothing. A layer without
    parameters follows the layer that holds it. A recurrent cell without dropout of its own is always in train mode:
    it computes the same in both, and cuDNN takes gradients through it in train mode only.
    """
    _set_mode(module, True)


def _set_mode(module: nn.Module, parent: bool) -> bool:
    parameters = list(module.parameters())
    mode = any(parameter.requires_grad for parameter in parameters) if parameters else parent
    module.training = mode or (isinstance(module, nn.RNNBase) and not module.dropout)
    for child in module.children():
        _set_mode(child, mode)
    return mode


def named_tensors(module: nn.Module) -> dict[str, torch.Tensor]:
    """Every parameter and buffer of `module` by its dotted name, also buffers that are not saved."""
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


def moving_names(module: nn.Module, trainable: Set[str]) -> frozenset[str]:
    """The tensors that training `trainable` may change: these parameters, and buffers of layers in train
    mode.

    Leaves the module set up for `trainable`.
    """
    set_trainable(module, trainable)
    names = {name for name, parameter in module.named_parameters() if parameter.requires_grad}
    for path, layer in module.named_modules():
        if layer.training:
            names.update(f"{path}.{name}" if path else name for name, _ in layer.named_buffers(recurse=False))
    return frozenset(names)


def frozen_names(module: nn.Module, trainable: Set[str]) -> frozenset[str]:
    """The tensors that training `trainable` must not change. Leaves the module set up for `trainable`."""
    return frozenset(named_tensors(module)) - moving_names(module, trainable)


def digest_tensors(module: nn.Module, names: Iterable[str] | None = None) -> str:
    """Hex SHA-256 over name, type, shape and bytes of the tensors called `names`, or of all."""
    tensors = named_tensors(module)
    digest = hashlib.sha256()
    for name in sorted(tensors if names is None else names):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def check_frozen(module: nn.Module, names: Iterable[str], before: str, where: str) -> None:
    """Raise `TrainingError` when the tensors called `names` no longer have the digest `before`."""
    if digest_tensors(module, names) != before:
        raise TrainingError(
            f"a frozen parameter or buffer changed during {where}: the fault is in the model's code or in "
            "edgewright, not in your data; use unfreeze: all, or report it"
        )
