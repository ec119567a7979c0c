"""A model that is built: the module, and what the other stages must know about it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from edgewright.runtime.images import ImageSettings

__all__ = ["Block", "BuiltModel", "training_outputs"]


@dataclass(frozen=True)
class Block:
    """A part of a model that is frozen or trained as one.

    `prefixes` are dotted paths of modules or parameters; no parameter belongs to two blocks of one model.
    """

    name: str
    prefixes: tuple[str, ...]

    def owns(self, parameter: str) -> bool:
        """Whether the parameter or buffer of this dotted name belongs to the block."""
        return any(parameter == prefix or parameter.startswith(f"{prefix}.") for prefix in self.prefixes)


@dataclass(frozen=True)
class BuiltModel:
    """A classifier for `classes` classes.

    In eval mode `module` maps images, float32 [N, 3, H, W] encoded by `settings`, to logits, float32 [N,
    classes]; while it trains, use `training_outputs`: some models answer with auxiliary logits too.

    Attributes:
        head: dotted path of the layer that makes the logits.
        auxiliary_heads: dotted path of each auxiliary classifier and the weight its loss was published with;
        they
            answer only in training mode, so an export has none.
        blocks: every parameter exactly once, from the input to the head; the last block is the head with its
            twin and the auxiliary heads.
        build: plain JSON that `rebuild` turns into the same module without any weights.
        feature_shape: shape of the head's input for one image; (F,) for all but convolutional heads.
        twin_head: distilled models answer with the mean of two heads; this is the path of the second.
    """

    name: str
    module: nn.Module
    classes: int
    head: str
    auxiliary_heads: Mapping[str, float]
    settings: ImageSettings
    blocks: tuple[Block, ...]
    licence: str
    build: Mapping[str, Any]
    feature_shape: tuple[int, ...]
    twin_head: str | None = None

    @property
    def heads(self) -> tuple[str, ...]:
        """Dotted paths of the head and, where there is one, its twin."""
        return (self.head,) if self.twin_head is None else (self.head, self.twin_head)

    def block_of(self, parameter: str) -> int:
        """Index into `blocks` of the block that owns the parameter or buffer of this dotted name.

        Buffers follow the parameters of their module. A name that no block owns belongs to the first block.
        """
        for index, block in enumerate(self.blocks):
            if block.owns(parameter):
                return index
        return 0


def training_outputs(module: nn.Module, images: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Run `module`, also one that is wrapped for many processes, and take its answer apart.

    Returns logits [N, classes] and the logits of each auxiliary head by its path; the second is empty in eval
    mode and for models without auxiliary heads.
    """
    outputs = module(images)
    if isinstance(outputs, Tensor):
        return outputs, {}
    # InceptionOutputs and GoogLeNetOutputs: named tuples with names of their own for the auxiliary logits
    paths = {"aux_logits": "AuxLogits", "aux_logits1": "aux1", "aux_logits2": "aux2"}
    fields = outputs._asdict()
    return fields["logits"], {
        path: fields[name] for name, path in paths.items() if fields.get(name) is not None
    }
