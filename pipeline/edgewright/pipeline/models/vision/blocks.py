"""A module divided into blocks, from the input to the head."""

from collections.abc import Iterable

from torch import nn

from edgewright.pipeline.models.model import Block

_CONTAINERS = frozenset(
    {
        "features",
        "layers",
        "blocks",
        "stages",
        "levels",
        "encoder",
        "transformers",
        "trunk_output",
        "classifier",
        "heads",
    }
)
"""Names of modules that only hold the stages of a network; any other module is a stage itself."""

_STEM = ("conv", "bn", "stem", "norm", "embed", "patch_embed", "cls_token", "class_token", "pos_embed")
"""How the parts in front of the first real stage are called where they are not one module."""

_NORMALISATIONS = ("BatchNorm", "LayerNorm", "GroupNorm", "RmsNorm", "RMSNorm")


def divide(module: nn.Module, heads: tuple[str, ...], auxiliary_heads: Iterable[str]) -> tuple[Block, ...]:
    """Every parameter in exactly one block; the last block is the heads with the auxiliary heads.

    Normalisation layers that stand alone join the block before them; parameters outside every layer (class
    tokens, position embeddings) join the first one.
    """
    last = (*heads, *auxiliary_heads)
    loose: list[str] = []
    units = [(path, unit) for path, unit in _units(module, "", heads, loose) if path not in last]
    blocks: list[list[str]] = []
    for index, (path, unit) in enumerate(units):
        in_stem = all(_is_stem(other) for other, _ in units[: index + 1])
        if blocks and (in_stem or type(unit).__name__.startswith(_NORMALISATIONS)):
            blocks[-1].append(path)
        else:
            blocks.append([path])
    if loose:
        blocks[:1] = [[*loose, *(blocks[0] if blocks else [])]]
    stem = blocks[:1] if units and _is_stem(units[0][0]) else []
    named = [
        Block("stem" if prefixes in stem and len(prefixes) > 1 else prefixes[0], tuple(prefixes))
        for prefixes in blocks
    ]
    return (*named, Block(heads[0], last))


def _units(
    module: nn.Module, path: str, heads: tuple[str, ...], loose: list[str]
) -> Iterable[tuple[str, nn.Module]]:
    for name, _ in module.named_parameters(recurse=False):
        loose.append(_join(path, name))
    for name, child in module.named_children():
        inner = _join(path, name)
        if not any(True for _ in child.parameters()):
            continue
        holds_head = any(head.startswith(f"{inner}.") for head in heads)
        if holds_head or (name in _CONTAINERS and any(True for _ in child.children())):
            yield from _units(child, inner, heads, loose)
        else:
            yield inner, child


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _is_stem(path: str) -> bool:
    return "." not in path and path.startswith(_STEM)
