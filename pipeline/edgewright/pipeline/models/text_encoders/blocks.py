"""An encoder divided into blocks: its embeddings, each layer, its pooler where one is read, its head."""

from collections.abc import Sequence
from typing import Any

from torch import nn

from edgewright.pipeline.models.model import Block


def encoder_blocks(module: nn.Module, trunk: str, layers: int, head: Sequence[str]) -> tuple[Block, ...]:
    """Every parameter of `module` in exactly one block.

    Args:
        trunk: dotted path of the encoder in `module`.
        layers: how many layers it is said to have. An architecture that shares one between all has one block for it.
        head: paths that are the head, in front of which nothing of the trunk lies; empty where there is none.
    """
    stacks = _layers(module.get_submodule(trunk), layers)
    units = [[f"{trunk}.{path}" for path in paths] for paths in stacks]
    inside = [path for unit in units for path in unit]
    first: list[str] = []
    last: list[str] = []
    pooler: list[str] = []
    own: list[str] = []
    begun = False
    for name, _ in module.named_parameters():
        if any(_below(name, path) for path in inside):
            begun = True
            continue
        path = _outermost(name, inside, head)
        if any(_below(name, one) for one in head):
            chosen = own
        elif "pooler" in path:
            chosen = pooler
        elif not begun or "embed" in path or "relative_attention_bias" in path or not units:
            chosen = first  # every layer reads it
        else:  # what follows the last layer belongs to it, such as a last normalisation
            chosen = last
        if path not in chosen:
            chosen.append(path)
    if units:
        units[-1] += last
    blocks = [Block("embeddings", tuple(first))] if first else []
    blocks += [Block(f"layer.{number}", tuple(paths)) for number, paths in enumerate(units)]
    blocks += [Block("pooler", tuple(pooler))] if pooler else []
    return (*blocks, Block("head", tuple(own))) if own else tuple(blocks)


def head_path(module: nn.Module, head: Sequence[str]) -> str:
    """Dotted path of the last linear layer of the head."""
    found = [
        path
        for path, layer in module.named_modules()
        if isinstance(layer, nn.Linear) and any(path == one or _below(path, one) for one in head)
    ]
    return found[-1] if found else ""


def _layers(encoder: nn.Module, layers: int) -> list[list[str]]:
    """Paths of each layer: an element of the outermost list of so many, or of several lists side by side (XLM)."""
    lists: dict[str, Any] = {}
    for path, part in encoder.named_modules():
        outermost = not any(_below(path, other) for other in lists)
        if isinstance(part, nn.ModuleList) and outermost and any(True for _ in part.parameters()):
            lists[path] = part
    full = {path: part for path, part in lists.items() if len(part) == layers}
    if not full and lists:  # shared or grouped layers: the list that holds most of the parameters
        largest = max(lists, key=lambda path: sum(one.numel() for one in lists[path].parameters()))
        full = {largest: lists[largest]}
    count = max((len(part) for part in full.values()), default=0)
    return [
        [f"{path}.{number}" for path, part in full.items() if any(True for _ in part[number].parameters())]
        for number in range(count)
    ]


def _outermost(parameter: str, inside: Sequence[str], head: Sequence[str]) -> str:
    """The outermost module that holds the parameter and nothing of a layer or another part; or the parameter itself."""
    parts = parameter.split(".")
    for length in range(2, len(parts)):
        path = ".".join(parts[:length])
        if not any(_below(other, path) for other in (*inside, *head)):
            return path
    return parameter


def _below(name: str, path: str) -> bool:
    return name == path or name.startswith(f"{path}.")
