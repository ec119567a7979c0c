"""Changes to an ONNX graph in memory: weights looked up, nodes put in the place of others."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

MICROSOFT = "com.microsoft"
"""The domain of ONNX Runtime's own operators."""


class GraphEdit:
    """A model that is being changed: it is whole again once `finish` has returned it."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self._weights = {tensor.name: tensor for tensor in model.graph.initializer}
        self._names = set(self._weights)
        self._first: list[onnx.NodeProto] = []
        for node in model.graph.node:
            self._names.update((*node.input, *node.output))

    def weight(self, name: str) -> NDArray[np.float32] | None:
        """The float32 weight called `name`; None where that is computed, absent or of another type."""
        tensor = self._weights.get(name)
        if tensor is None or tensor.data_type != onnx.TensorProto.FLOAT:
            return None
        value: NDArray[np.float32] = numpy_helper.to_array(tensor)
        return value

    def is_constant(self, name: str) -> bool:
        """Whether `name` is a float32 weight, or was one and is computed from constants by now."""
        return self.weight(name) is not None or any(name in node.output for node in self._first)

    def add_weight(self, hint: str, value: NDArray[Any]) -> str:
        """Keep `value` in the graph; returns the name it got, which begins with `hint`."""
        name = self.name(hint)
        self._weights[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name

    def take_weight(self, name: str) -> onnx.TensorProto:
        """The weight called `name`, for a graph inside this one to hold: this one holds it no longer."""
        return self._weights.pop(name)

    def name(self, hint: str) -> str:
        """A name that no tensor of the graph has yet."""
        name, count = hint, 1
        while name in self._names:
            count += 1
            name = f"{hint}_{count}"
        self._names.add(name)
        return name

    def compute_weight(self, name: str, nodes: list[onnx.NodeProto]) -> None:
        """Let `nodes`, the last of which gives `name`, stand first in the graph in place of the weight itself."""
        self._first += nodes
        del self._weights[name]

    def rewrite(self, change: Callable[[onnx.NodeProto], list[onnx.NodeProto] | None]) -> None:
        """Put what `change` returns for a node in its place; None keeps it."""
        body: list[onnx.NodeProto] = []
        for node in self.model.graph.node:
            made = change(node)
            body += [onnx.NodeProto.FromString(node.SerializeToString())] if made is None else made
        del self.model.graph.node[:]
        self.model.graph.node.extend(body)

    def finish(self) -> onnx.ModelProto:
        """The model, without weights that nothing reads any more, and with the domains its nodes come from."""
        graph = self.model.graph
        body = [onnx.NodeProto.FromString(node.SerializeToString()) for node in graph.node]
        del graph.node[:]
        graph.node.extend([*self._first, *body])
        self._first = []
        read = {value.name for value in graph.output}
        domains: set[str] = set()
        for node in graph.node:
            read.update(_reads(node))
            domains.update(part.domain for part in _with_inner(node))
        del graph.initializer[:]
        graph.initializer.extend(tensor for name, tensor in self._weights.items() if name in read)
        if MICROSOFT in domains and all(entry.domain != MICROSOFT for entry in self.model.opset_import):
            self.model.opset_import.append(helper.make_opsetid(MICROSOFT, 1))
        made = {name for node in graph.node for name in node.output}
        shapes = [value for value in graph.value_info if value.name in made]
        del graph.value_info[:]
        graph.value_info.extend(shapes)
        return self.model


def _with_inner(node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
    """A node, and those of the graphs inside it."""
    yield node
    for attribute in node.attribute:
        for inner in attribute.g.node:
            yield from _with_inner(inner)


def _reads(node: onnx.NodeProto) -> set[str]:
    """The tensors that a node, or a node inside it, takes."""
    return {name for part in _with_inner(node) for name in part.input}
