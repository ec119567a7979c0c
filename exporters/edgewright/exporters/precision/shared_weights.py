"""Gives every integer product weights of its own where a graph shares them, as layers that are used twice do.

For a CPU whose sums of products would saturate ONNX Runtime rewrites int8 weights, product by product, and does not
open a graph in which two read the same ones ("Attempt to replace the existing tensor", 1.24 to 1.31). A Reshape to the
shape that is there already gives the same weights a second name: it is computed once, when the graph is opened, and
the file holds them once.
"""

from collections import Counter

import numpy as np
import onnx
from onnx import helper, numpy_helper

_PRODUCTS = ("Conv", "ConvTranspose", "Gemm", "MatMul")


def separate_weights(model: onnx.ModelProto) -> None:
    """Let no two integer products of `model`, as ONNX Runtime's tool has quantised it, read the same int8 weights."""
    graph = model.graph
    ranks = {
        tensor.name: len(tensor.dims)
        for tensor in graph.initializer
        if tensor.data_type == onnx.TensorProto.INT8
    }
    nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in graph.node]
    nodes = _one_reader_each(nodes, ranks)
    copies, copied = _copies(nodes, ranks)
    graph.initializer.extend(
        numpy_helper.from_array(np.zeros(rank, np.int64), _shape(rank)) for rank in sorted(copied)
    )
    del graph.node[:]
    graph.node.extend([*copies, *nodes])


def _one_reader_each(nodes: list[onnx.NodeProto], ranks: dict[str, int]) -> list[onnx.NodeProto]:
    """A DequantizeLinear of constant weights for every product that reads it."""
    makers = {
        node.output[0]: node
        for node in nodes
        if node.op_type == "DequantizeLinear" and node.input[0] in ranks
    }
    count: Counter[str] = Counter()
    found: list[onnx.NodeProto] = []
    for node in nodes:
        for position, name in enumerate(node.input):
            if node.op_type not in _PRODUCTS or name not in makers:
                continue
            count[name] += 1
            if count[name] > 1:
                again = onnx.NodeProto.FromString(makers[name].SerializeToString())
                again.name = f"{again.name}_{count[name]}"
                again.output[0] = node.input[position] = f"{name}_{count[name]}"
                found.append(again)
        found.append(node)
    return found


def _copies(nodes: list[onnx.NodeProto], ranks: dict[str, int]) -> tuple[list[onnx.NodeProto], set[int]]:
    """What names the weights anew for every reader after the first, and the ranks of them."""
    count: Counter[str] = Counter()
    made: list[onnx.NodeProto] = []
    copied: set[int] = set()
    for node in nodes:
        for position, name in enumerate(node.input):
            if node.op_type not in ("MatMulInteger", "DequantizeLinear") or name not in ranks:
                continue
            count[name] += 1
            if count[name] > 1:
                again = node.input[position] = f"{name}_{count[name]}"
                made.append(helper.make_node("Reshape", [name, _shape(ranks[name])], [again], name=again))
                copied.add(ranks[name])
    return made, copied


def _shape(rank: int) -> str:
    return f"same_shape_{rank}"  # zeros: every side as it is
