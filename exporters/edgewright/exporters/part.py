"""A module of a model that becomes the graph of one role, and the modules of a model as graphs that torch runs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from edgewright.runtime.contracts import GraphSpec, Tensors
from edgewright.runtime.graphs.graphs import BatchLimits, Graphs


@dataclass(frozen=True)
class Part:
    """A module of a model that becomes the graph of one role.

    Attributes:
        input_names, output_names: in the order of the module's arguments and answers.
        dynamic_axes: what may change of each input; None is axis 0 of every one, called "batch".
        example: makes tensors to export it with, one for each input; None where an encoded sample does.
        route: how it is exported, one of `edgewright.exporters.graph.export.ROUTES`, or "auto".
        limits: the largest size of an axis that the module takes, by the axis's name.
        spec: what its graph takes and gives where it has states or constants; None where the graph says it all.
        exported: what is exported in place of `module`, with the same weights under the same names, where the graph is
            to give other tools more than is read here: first what is called `extra`, then the outputs.
        extra: names of these outputs.
    """

    module: nn.Module
    input_names: tuple[str, ...]
    output_names: tuple[str, ...]
    dynamic_axes: Mapping[str, Mapping[int, str]] | None = None
    example: Callable[[], tuple[Tensor, ...]] | None = None
    route: str = "auto"
    limits: Mapping[str, int] = field(default_factory=dict)
    spec: GraphSpec | None = None
    exported: nn.Module | None = None
    extra: tuple[str, ...] = ()


def stateful_part(module: nn.Module, spec: GraphSpec, example: Callable[[], tuple[Tensor, ...]]) -> Part:
    """The part of a module that takes the inputs of `spec`, then its states, one tensor each, and returns the outputs,
    then the states as they are afterwards. `example` makes a tensor for each input and state.
    """
    shapes = {one.name: one.shape for one in spec.inputs} | {one.input: one.shape for one in spec.states}
    axes = {
        name: {axis: side for axis, side in enumerate(shape) if isinstance(side, str)}
        for name, shape in shapes.items()
    }
    outputs = (*(one.name for one in spec.outputs), *(state.output for state in spec.states))
    return Part(module, tuple(shapes), outputs, axes, example, spec=spec)


class TorchGraphs(Graphs):
    """The parts of a model, run by torch in eval mode without gradients, wherever their parameters are."""

    def __init__(self, parts: Mapping[str, Part]) -> None:
        super().__init__({role: part.spec for role, part in parts.items() if part.spec}, BatchLimits())
        self.parts = parts

    def run(self, role: str, inputs: Tensors) -> Tensors:
        """See `Graphs`."""
        part = self.parts[role]
        return torch_outputs(part.module, inputs, part.input_names, part.output_names)


def torch_outputs(
    module: nn.Module, inputs: Tensors, input_names: Sequence[str], output_names: Sequence[str]
) -> Tensors:
    """One batch through a torch module in eval mode, numpy in and out; no gradients are kept."""
    if module.training:
        module.eval()
    device = next((parameter.device for parameter in module.parameters()), torch.device("cpu"))
    with torch.inference_mode():
        found = module(
            *(torch.from_numpy(np.ascontiguousarray(inputs[name])).to(device) for name in input_names)
        )
    values = (found,) if isinstance(found, torch.Tensor) else tuple(found)
    return {name: value.cpu().numpy() for name, value in zip(output_names, values, strict=True)}
