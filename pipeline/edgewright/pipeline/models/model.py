"""A model that is built: the module, and what the other stages must know about it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from edgewright.exporters.part import Part
from edgewright.runtime.contracts import MODEL


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
    """A model for a task: a classifier for `classes` classes, or one that predicts numbers.

    In eval mode `module` maps its inputs, as `input_names`, encoded by `settings`, to one output: of a classifier
    logits, float32 [N, classes]. Images are float32 [N, 3, H, W]; `RecurrentModel` says what sequences are. While it
    trains, use `training_outputs`: some models answer with auxiliary logits too.

    Attributes:
        classes: number of classes, 0 where numbers are predicted.
        head: dotted path of the layer that makes the answer; empty where the features are the answer.
        auxiliary_heads: dotted path of each auxiliary classifier and the weight its loss was published with;
            they answer only in training mode, so an export has none.
        settings: how a raw input is encoded; a dataclass of the runtime.
        blocks: every parameter exactly once, from the input to the head; the last block is the head with its
            twin and the auxiliary heads.
        build: plain JSON that `rebuild_model` turns into the same model without any weights.
        feature_shape: shape of the head's input for one sample; (F,) for all but convolutional heads. Of a model that
            answers every step, the shape for one step.
        twin_head: distilled models answer with the mean of two heads; this is the path of the second.
        input_names, output_names: of the exported graph, in the order of the module's arguments.
        dynamic_axes: what may change of each input; None is axis 0 of every one, called "batch".
        assets: content of the files that the task needs beside its settings, by role ("tokenizer").
        others: makes the parts beside the whole, by role: "step" where the model streams.
        route: how the module is exported, one of `edgewright.exporters.graph.export.ROUTES`, or "auto".
        example: makes tensors to export it with, one for each input; None where an encoded sample does.
        limits: the largest size of an axis that the module takes, by the axis's name.
        whole: whether the module itself becomes the graph "model"; else `others` are all that is exported.
        exported, extra: what is exported in its place, and the outputs that only other tools read, see `Part`.
    """

    name: str
    module: nn.Module
    classes: int
    head: str
    auxiliary_heads: Mapping[str, float]
    settings: Any
    blocks: tuple[Block, ...]
    licence: str
    build: Mapping[str, Any]
    feature_shape: tuple[int, ...]
    twin_head: str | None = None
    input_names: tuple[str, ...] = ("pixel_values",)
    output_names: tuple[str, ...] = ("logits",)
    dynamic_axes: Mapping[str, Mapping[int, str]] | None = None
    assets: Mapping[str, bytes] = field(default_factory=dict)
    others: Mapping[str, Callable[[], Part]] = field(default_factory=dict)
    route: str = "auto"
    example: Callable[[], tuple[Tensor, ...]] | None = None
    limits: Mapping[str, int] = field(default_factory=dict)
    whole: bool = True
    exported: nn.Module | None = None
    extra: tuple[str, ...] = ()

    def part(self, role: str) -> Part:
        """What becomes the graph of `role`, "model" or one of `others`."""
        if role != MODEL:
            return self.others[role]()
        return Part(
            self.module,
            self.input_names,
            self.output_names,
            self.dynamic_axes,
            self.example,
            self.route,
            self.limits,
            exported=self.exported,
            extra=self.extra,
        )

    def parts(self) -> dict[str, Part]:
        """All of them, by role; "model" comes first where there is one."""
        return {role: self.part(role) for role in (*([MODEL] if self.whole else []), *self.others)}

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


def training_outputs(module: nn.Module, *inputs: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Run `module`, also one that is wrapped for many processes, and take its answer apart.

    Returns the logits, float32 [N, classes], or prediction, and the logits of each auxiliary head by its path; the
    second is empty in eval mode and for models without auxiliary heads. Several answers of one shape, those of the
    start and the end of a span, come as one tensor with a last axis for them.
    """
    outputs = module(*inputs)
    if isinstance(outputs, Tensor):
        return outputs, {}
    if type(outputs) is tuple:
        return torch.stack(outputs, dim=-1), {}
    # InceptionOutputs and GoogLeNetOutputs: named tuples with names of their own for the auxiliary logits
    paths = {"aux_logits": "AuxLogits", "aux_logits1": "aux1", "aux_logits2": "aux2"}
    fields = outputs._asdict()
    return fields["logits"], {
        path: fields[name] for name, path in paths.items() if fields.get(name) is not None
    }
