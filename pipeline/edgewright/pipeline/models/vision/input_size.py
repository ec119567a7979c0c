"""Which input sizes a model can take, found by letting shapes, not numbers, run through it."""

import copy
import warnings

import torch
from torch import Tensor, nn

from edgewright.runtime.errors import ModelError


def runs_at(module: nn.Module, size: tuple[int, int], training: bool = False) -> bool:
    """Whether the module can answer to images of this height and width; nothing is computed or changed."""
    try:
        _shapes(module, size, training)
    except (RuntimeError, ValueError, AssertionError, IndexError, ZeroDivisionError):
        return False
    return True


def smallest_size(module: nn.Module, limit: int, training: bool = False) -> int | None:
    """The smallest square input, in pixels, up to `limit`; None if there is none."""
    if not runs_at(module, (limit, limit), training):
        return None
    low, high = 0, limit
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if runs_at(module, (middle, middle), training) else (middle, high)
    return high


def check_input_size(name: str, module: nn.Module, size: tuple[int, int]) -> None:
    """Raise `ModelError` naming the smallest possible size when the module cannot take `size`."""
    if runs_at(module, size):
        return
    smallest = smallest_size(module, 512)
    way_out = (
        f"set input.size to {smallest} or more"
        if smallest is not None and smallest > min(size)
        else "leave input.size out"
    )
    raise ModelError(f"{name} cannot take images of {size[0]}x{size[1]} pixels: {way_out}")


def head_input_shape(module: nn.Module, heads: tuple[str, ...], size: tuple[int, int]) -> tuple[int, ...]:
    """Shape of what reaches the head for one image of this height and width; of two heads, one after the
    other."""
    layers = [module.get_submodule(head) for head in heads]
    widths = [layer.in_features for layer in layers if isinstance(layer, nn.Linear)]
    if len(widths) == len(layers):
        return (sum(widths),)
    return _shapes(module, size, training=False, watch=heads[0])[1:]


def output_shape(module: nn.Module, size: tuple[int, int]) -> tuple[int, ...]:
    """Shape of what the module answers in eval mode to a batch of two images of this height and width."""
    return _shapes(module, size, training=False)


def _shapes(module: nn.Module, size: tuple[int, int], training: bool, watch: str = "") -> tuple[int, ...]:
    """Shape of the output of a run on a batch of two, or of the input of the layer `watch`."""
    seen: list[tuple[int, ...]] = []

    def look(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        seen.append(tuple(int(side) for side in inputs[0].shape))

    # a copy of the structure on the meta device: the weights are neither copied nor touched
    memo: dict[int, object] = {}
    for tensor in (*module.parameters(), *module.buffers()):
        memo[id(tensor)] = (
            nn.Parameter(tensor.to("meta"), requires_grad=False)
            if isinstance(tensor, nn.Parameter)
            else tensor.to("meta")
        )
    shadow = copy.deepcopy(module, memo)
    shadow.train(training)
    if watch:
        shadow.get_submodule(watch).register_forward_pre_hook(look)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        output = shadow(torch.empty((2, 3, *size), device="meta"))
    if watch:
        return seen[0]
    return tuple(output.shape) if isinstance(output, Tensor) else ()
