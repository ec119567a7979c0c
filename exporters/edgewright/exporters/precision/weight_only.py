"""Weights stored in int8 or int4 and computed in fp32: a file of a quarter or an eighth, at the speed of fp32.

The arithmetic that expands a weight depends on nothing but the weight, so ONNX Runtime does it once, when it loads the
graph. (DequantizeLinear says the same and is not folded: it would run every time, and a recurrent operator whose
weights are computed is slower than one whose weights are constant.)
"""

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from edgewright.exporters.graph.edit import GraphEdit
from edgewright.runtime.errors import ExportError

BLOCK = 32
"""Values that share a scale in int4."""

_TABLE_FROM = 1 << 12  # a table of fewer values is not worth two more nodes


def int8_of(
    weight: NDArray[np.float32], axis: int | tuple[int, ...]
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Symmetric int8 with one scale for the values along `axis`; the scales keep that axis with size 1."""
    largest = np.abs(weight).max(axis=axis, keepdims=True)
    scale = np.where(largest > 0.0, largest / 127.0, 1.0).astype(np.float32)
    return np.clip(np.rint(weight / scale), -127, 127).astype(np.int8), scale


def store_int8(edit: GraphEdit, name: str, per_channel: bool) -> None:
    """Store the weight `name` in int8, a scale for each row of its last axis (or one for all)."""
    weight = edit.weight(name)
    assert weight is not None
    values, scale = int8_of(weight, -1 if per_channel else tuple(range(weight.ndim)))
    stored = edit.add_weight(f"{name}_int8", values)
    factor = edit.add_weight(f"{name}_scale", scale)
    floats = edit.name(f"{name}_float")
    edit.compute_weight(
        name, [_cast(stored, floats, onnx.TensorProto.FLOAT), _node("Mul", [floats, factor], name)]
    )


def store_int4(edit: GraphEdit, name: str) -> None:
    """Store the weight `name` in int4, two values to a byte, a scale for every `BLOCK` values of its last axis."""
    weight = edit.weight(name)
    assert weight is not None
    packed, scale, width = _int4_of(weight)
    nodes, blocks = _unpacked(edit, edit.add_weight(f"{name}_int4", packed), name)
    scaled = edit.name(f"{name}_scaled")
    nodes.append(_node("Mul", [blocks, edit.add_weight(f"{name}_scale", scale)], scaled))
    shape = edit.add_weight(f"{name}_shape", np.array([*weight.shape[:-1], width], np.int64))
    if width == weight.shape[-1]:
        nodes.append(_node("Reshape", [scaled, shape], name))
    else:
        whole = edit.name(f"{name}_padded")
        limits = [
            edit.add_weight(f"{name}_{part}", np.array([value], np.int64))
            for part, value in (("start", 0), ("end", weight.shape[-1]), ("axis", weight.ndim - 1))
        ]
        nodes += [_node("Reshape", [scaled, shape], whole), _node("Slice", [whole, *limits], name)]
    edit.compute_weight(name, nodes)


def store_table(edit: GraphEdit, node: onnx.NodeProto, bits: int) -> list[onnx.NodeProto] | None:
    """A Gather from a table of weights (an embedding) as one from a table in int8 or int4, a scale for each row.

    None where the node is something else, or too small to gain by it.
    """
    if node.op_type != "Gather" or any(entry.name == "axis" and entry.i != 0 for entry in node.attribute):
        return None
    table = edit.weight(node.input[0])
    if table is None or table.ndim != 2 or table.size < _TABLE_FROM or (bits == 4 and table.shape[1] % 2):
        return None
    name, indices, output = node.input[0], node.input[1], node.output[0]
    rows, scales = edit.name(f"{output}_rows"), edit.name(f"{output}_scales")
    if bits == 8:
        values, scale = int8_of(table, 1)
        stored = edit.add_weight(f"{name}_int8", values)
        floats = edit.name(f"{output}_float")
        nodes = [_node("Gather", [stored, indices], rows), _cast(rows, floats, onnx.TensorProto.FLOAT)]
    else:
        scale = _int4_scale(np.abs(table).max(axis=1, keepdims=True))
        nodes = [_node("Gather", [edit.add_weight(f"{name}_int4", _pack(table / scale)), indices], rows)]
        unpacked, floats = _unpacked(edit, rows, output)
        nodes += unpacked
    factors = edit.add_weight(f"{name}_scale", scale)
    return [*nodes, _node("Gather", [factors, indices], scales), _node("Mul", [floats, scales], output)]


def has_tables(model: onnx.ModelProto) -> bool:
    """Whether rows of a large table of weights are looked up in the graph; the weights need not be loaded."""
    large = {
        tensor.name
        for tensor in model.graph.initializer
        if tensor.data_type == onnx.TensorProto.FLOAT
        and len(tensor.dims) == 2
        and tensor.dims[0] * tensor.dims[1] >= _TABLE_FROM
    }
    return any(node.op_type == "Gather" and node.input[0] in large for node in model.graph.node)


def tables_int8(model: onnx.ModelProto) -> onnx.ModelProto:
    """`model` with all its tables as `store_table` stores them."""
    edit = GraphEdit(model)
    edit.rewrite(lambda node: store_table(edit, node, 8))
    return edit.finish()


def require_quantized(model: onnx.ModelProto, precision: str) -> None:
    """Raise `ExportError` for a graph in which every weight stayed fp32: it is not int8, whatever the tool says."""
    integers = (onnx.TensorProto.INT8, onnx.TensorProto.UINT8)
    if not any(tensor.data_type in integers and len(tensor.dims) > 1 for tensor in model.graph.initializer):
        raise ExportError(
            f"{precision} left every weight in fp32 (no operator it knows): leave {precision} out"
        )


def _int4_of(weight: NDArray[np.float32]) -> tuple[NDArray[np.uint8], NDArray[np.float32], int]:
    """Packed values [..., blocks, BLOCK / 2], scales [..., blocks, 1], and the padded size of the last axis."""
    last = weight.shape[-1]
    block = min(BLOCK, last + last % 2)
    width = -(-last // block) * block
    padded = np.zeros((*weight.shape[:-1], width), np.float32)
    padded[..., :last] = weight
    blocks = padded.reshape(*weight.shape[:-1], width // block, block)
    scale = _int4_scale(np.abs(blocks).max(axis=-1, keepdims=True))
    return _pack(blocks / scale), scale, width


def _int4_scale(largest: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.where(largest > 0.0, largest / 7.0, 1.0).astype(np.float32)


def _pack(values: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    """Values of -7 to 7 as 1 to 15, the first half of the last axis in the low bits, the second in the high ones."""
    whole = (np.clip(np.rint(values), -7, 7) + 8).astype(np.uint8)
    low, high = np.split(whole, 2, axis=-1)
    packed: NDArray[np.uint8] = np.bitwise_or(low, np.left_shift(high, 4), dtype=np.uint8)
    return packed


def _unpacked(edit: GraphEdit, packed: str, hint: str) -> tuple[list[onnx.NodeProto], str]:
    """The nodes that undo `_pack`, and the name of what they give, in float32."""
    number, low, high, both, floats, values = (
        edit.name(f"{hint}_{part}") for part in ("number", "low", "high", "both", "floats", "values")
    )
    sixteen = edit.add_weight(f"{hint}_sixteen", np.array(16, np.int32))
    eight = edit.add_weight(f"{hint}_eight", np.array(8.0, np.float32))
    nodes = [
        _cast(packed, number, onnx.TensorProto.INT32),
        _node("Mod", [number, sixteen], low),
        _node("Div", [number, sixteen], high),
        helper.make_node("Concat", [low, high], [both], name=f"{both}/Concat", axis=-1),
        _cast(both, floats, onnx.TensorProto.FLOAT),
        _node("Sub", [floats, eight], values),
    ]
    return nodes, values


def _node(kind: str, inputs: list[str], output: str) -> onnx.NodeProto:
    return helper.make_node(kind, inputs, [output], name=f"{output}/{kind}")


def _cast(source: str, output: str, kind: int) -> onnx.NodeProto:
    return helper.make_node("Cast", [source], [output], name=f"{output}/Cast", to=kind)
