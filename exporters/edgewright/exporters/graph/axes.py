"""The axes of a graph that may change: as torch.export is told of them, and tensors of other sizes along them."""

import inspect
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import nn

Axes = Mapping[str, Mapping[int, str]]
"""Name of an input to its axes that may change, each with a name of its own: {"values": {0: "batch", 1: "time"}}."""

_LARGEST = {"time": 1 << 24}
"""Bound of an axis where it is not 65535: hours of sound have more frames than that."""


def torch_dimensions(module: nn.Module, names: Sequence[str], axes: Axes) -> tuple[object, ...]:
    """What torch.export wants to know of the axes, nested as the arguments of `module` are."""
    bounded = bounded_dimensions(axes)
    shapes = [bounded.get(name) or None for name in names]
    kinds = [parameter.kind for parameter in inspect.signature(module.forward).parameters.values()]
    rest = inspect.Parameter.VAR_POSITIONAL  # "*rest" is one argument, where it holds anything
    alone = kinds.index(rest) if rest in kinds else len(shapes)
    return (*shapes[:alone], tuple(shapes[alone:])) if shapes[alone:] else tuple(shapes)


def bounded_dimensions(axes: Axes, limits: Mapping[str, int] | None = None) -> dict[str, dict[int, object]]:
    """Each axis as torch.export's own, by input and place, with the bounds of `limits` by the axis's name."""
    # Bounds matter for recurrent layers: an unbounded batch or time axis is frozen or refused.
    labels = {label for entry in axes.values() for label in entry.values()}
    largest = {**_LARGEST, **(limits or {})}
    sizes = {label: torch.export.Dim(label, min=1, max=largest.get(label, 65535)) for label in sorted(labels)}
    return {name: {axis: sizes[label] for axis, label in entry.items()} for name, entry in axes.items()}


def resized(
    tensors: Sequence[torch.Tensor],
    names: Sequence[str],
    axes: Axes,
    size_of: Callable[[int, str], int],
) -> tuple[torch.Tensor, ...]:
    """The tensors with `size_of(size, label)` in place of each dynamic axis's size, repeating what they hold."""
    found = []
    for name, tensor in zip(names, tensors, strict=True):
        for axis, label in axes.get(name, {}).items():
            size = size_of(tensor.shape[axis], label)
            if size != tensor.shape[axis]:
                index = torch.arange(size, device=tensor.device) % tensor.shape[axis]
                tensor = tensor.index_select(axis, index)
        found.append(tensor)
    return tuple(found)
