"""What is trained: from the recipe's `unfreeze` to parameter names, and every layer as a row to show."""

import fnmatch
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from torch import nn

from edgewright.pipeline.models.model import BuiltModel
from edgewright.runtime.errors import RecipeError
from edgewright.runtime.hints import near_names


@dataclass(frozen=True)
class LayerRow:
    """One layer: a module that has parameters or buffers of its own.

    `state` is "trainable", "frozen" or "partly"; "" for a layer without parameters. `batchnorm` is "batch"
    where a BatchNorm normalises by the batch while it trains, "running" where it is frozen with its running
    statistics, "" for other layers.
    """

    name: str
    type: str
    parameters: int
    state: str
    batchnorm: str


def layer_rows(module: nn.Module, trainable: Collection[str]) -> list[LayerRow]:
    """Every layer of `module` in its own order; `trainable` names the parameters that are trained."""
    rows: list[LayerRow] = []
    chosen = frozenset(trainable)
    for path, layer in module.named_modules():
        own = {
            f"{path}.{name}" if path else name: tensor
            for name, tensor in layer.named_parameters(recurse=False)
        }
        if not own and not any(True for _ in layer.buffers(recurse=False)):
            continue
        trained = [name for name in own if name in chosen]
        state = (
            ""
            if not own
            else "frozen"
            if not trained
            else "trainable"
            if len(trained) == len(own)
            else "partly"
        )
        batchnorm = ""
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            batchnorm = "batch" if trained else "running"
        rows.append(
            LayerRow(
                name=path or type(module).__name__,
                type=type(layer).__name__,
                parameters=sum(tensor.numel() for tensor in own.values()),
                state=state,
                batchnorm=batchnorm,
            )
        )
    return rows


def resolve_unfreeze(built: BuiltModel, unfreeze: str | int | Sequence[str]) -> frozenset[str]:
    """Names of the parameters that are trained.

    Args:
        unfreeze: "all"; a number of blocks counted from the end, the head being the first of them; or names and globs
            of blocks, layers or parameters ("layer4", "features.1[0-9]", "*.bias"). The head, where there is one, is
            always trained: 0, 1 and an empty list train nothing else.

    Raises:
        RecipeError: a name matches nothing (near matches are given), or there are not that many blocks.
    """
    parameters = [name for name, _ in built.module.named_parameters()]
    head = built.blocks[-1:] if built.head else ()
    if isinstance(unfreeze, int):
        if not 0 <= unfreeze <= len(built.blocks):
            raise RecipeError(
                f"transfer.unfreeze: {built.name} has {len(built.blocks)} blocks: "
                f"give a number from 0 to {len(built.blocks)}, not {unfreeze}, or all"
            )
        last = built.blocks[len(built.blocks) - max(unfreeze, len(head)) :]
        return frozenset(name for name in parameters if any(block.owns(name) for block in last))
    if unfreeze == "all":
        return frozenset(parameters)
    patterns = [unfreeze] if isinstance(unfreeze, str) else list(unfreeze)
    chosen = {name for name in parameters if any(block.owns(name) for block in head)}
    for pattern in patterns:
        matched = {name for name in parameters if _matches(built, name, pattern)}
        if not matched:
            raise RecipeError(
                f"transfer.unfreeze: {built.name} has no layer {pattern!r}: {_hint(built, pattern)}"
            )
        chosen |= matched
    return frozenset(chosen)


def _matches(built: BuiltModel, parameter: str, pattern: str) -> bool:
    """Whether the parameter, a module it lies in, or its block is called like the pattern."""
    parts = parameter.split(".")
    paths = [".".join(parts[:length]) for length in range(1, len(parts) + 1)]
    if any(fnmatch.fnmatchcase(path, pattern) for path in paths):
        return True
    return any(fnmatch.fnmatchcase(block.name, pattern) and block.owns(parameter) for block in built.blocks)


def _hint(built: BuiltModel, pattern: str) -> str:
    known = [block.name for block in built.blocks]
    known += [
        path for path, layer in built.module.named_modules() if path and any(True for _ in layer.parameters())
    ]
    near = near_names(pattern, known)
    if near:
        return f"did you mean {' or '.join(near)}?"
    blocks = ", ".join(block.name for block in built.blocks[-8:])
    # A checkpoint is named by its folder, of which `built` knows the last part alone.
    name = "MODEL" if built.route == "transformers" else built.name
    return f"its last blocks are {blocks} (edgewright layers {name})"
