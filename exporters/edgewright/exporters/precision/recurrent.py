"""What int8, int4 and the others mean for a graph with recurrent operators in it.

ONNX Runtime's own tools leave GRU and RNN in fp32 without a word, and know no static int8 for any of the three. Here
every recurrent weight is converted, or the precision is refused: a variant is called by what is in it.

Which form an int8 GRU or RNN takes was measured, by `python -m benchmarks.integer_cells` (onnxruntime 1.31, one thread
of an AMD EPYC with AVX-512 VNNI, 64 inputs, batch 1; microseconds of the fp32 operator / of the integer cell):

    units               64          128         256          384          512
    GRU, one step       6.0 / 9.7   8.3 / 12    19 / 16      34 / 22      53 / 31
    RNN, one step       4.1 / 5.2   5.1 / 5.7   8.1 / 7.1    14 / 9.1     23 / 11
    GRU, 100 steps      113 / 771   299 / 908   1000 / 1254  2526 / 1828  4593 / 2657
    RNN, 100 steps      78 / 239    175 / 291   442 / 408    962 / 548    1842 / 768

So from `INTEGER_FROM` units on it is the integer cell, and below it the weights alone are int8 (stored so, computed in
fp32: a quarter of the size at the speed of fp32). An LSTM is always ONNX Runtime's DynamicQuantizeLSTM: with 512 units
3.4 times as fast as fp32 over 100 steps and 2.2 times for one, with 64 as fast, a quarter of the size in all of them.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

import onnx

from edgewright.exporters.graph.edit import GraphEdit
from edgewright.exporters.precision.exact_sums import Quantiser, exact_int8, require_exact
from edgewright.exporters.precision.integer_cells import (
    attributes,
    integer_cell,
    integer_lstm,
    integer_product,
)
from edgewright.exporters.precision.weight_only import store_int4, store_int8, store_table
from edgewright.runtime.errors import ExportError

INTEGER_FROM: Mapping[tuple[str, bool], int] = {
    ("GRU", False): 384,
    ("GRU", True): 256,
    ("RNN", False): 256,
    ("RNN", True): 256,
}
"""Units from which a layer is computed in integers, by its operator and whether it is in a step graph."""

_KINDS = ("LSTM", "GRU", "RNN")
_PRODUCT_FROM = 1 << 16  # weights; a smaller layer costs less than the quantising of what goes into it


def has_recurrent(model: onnx.ModelProto) -> bool:
    """Whether there is an LSTM, GRU or RNN among the graph's nodes."""
    return any(node.op_type in _KINDS for node in model.graph.node)


def recurrent_int8(
    model: onnx.ModelProto,
    per_channel: bool,
    step: bool,
    integer_from: int | None = None,
    quantise: Quantiser = exact_int8,
) -> tuple[onnx.ModelProto, str]:
    """Every recurrent operator, embedding table and large product of `model` in int8; a note says in which form.

    `step`: the graph takes one step at a time. `integer_from` stands in for `INTEGER_FROM`. `quantise` makes the
    weights of integer products. Raises `ExportError` when a recurrent weight cannot be converted, or sums of products
    that should be exact are not.
    """
    edit = GraphEdit(model)
    forms: list[str] = []

    def change(node: onnx.NodeProto) -> list[onnx.NodeProto] | None:
        if node.op_type not in _KINDS:
            made = store_table(edit, node, 8)
            if made is not None:
                forms.append("embedding table int8")
                return made
            if _is_large(edit, node):
                return integer_product(edit, node, per_channel, quantise)
            return None
        _require_constant(edit, node, "int8-dynamic")
        if node.op_type == "LSTM":
            forms.append("DynamicQuantizeLSTM")
            return integer_lstm(edit, node, per_channel, quantise)
        least = integer_from or INTEGER_FROM[node.op_type, step]
        if _units(node) >= least and _is_plain(node):
            forms.append(f"{node.op_type} as a cell of integer products")
            return integer_cell(edit, node, per_channel, step, quantise)
        why = "in integers it is slower at this size" if _is_plain(node) else "its cell is not the usual one"
        forms.append(f"{node.op_type} with int8 weights computed in fp32 ({why})")
        for name in node.input[1:3]:
            if edit.weight(name) is not None:
                store_int8(edit, name, per_channel)
        return None

    edit.rewrite(change)
    kind = "per channel" if per_channel else "per tensor"
    made = edit.finish()
    if quantise is exact_int8:
        require_exact(made, "int8-dynamic")
    return made, f"{', '.join(dict.fromkeys(forms))}; {kind}"


def recurrent_int4(model: onnx.ModelProto) -> tuple[onnx.ModelProto, str]:
    """Every recurrent weight, embedding table and large product of `model` stored in int4 and computed in fp32.

    Raises `ExportError` when a recurrent weight cannot be converted.
    """
    edit = GraphEdit(model)

    def change(node: onnx.NodeProto) -> list[onnx.NodeProto] | None:
        names: Iterable[str] = ()
        if node.op_type in _KINDS:
            _require_constant(edit, node, "int4")
            names = node.input[1:3]
        elif _is_large(edit, node):
            names = node.input[1:2]
        for name in names:
            if edit.weight(name) is not None:
                store_int4(edit, name)
        return store_table(edit, node, 4)

    edit.rewrite(change)
    return edit.finish(), "weights only, blocks of 32, computed in fp32"


def refuse_static(source: Path) -> None:
    """Raise `ExportError` where the graph at `source` is recurrent: no static int8 form of it exists."""
    if has_recurrent(onnx.load(source, load_external_data=False)):
        raise ExportError(
            "onnxruntime has no int8-static form of LSTM, GRU and RNN (their activations change with every step): "
            "leave int8-static out, int8-dynamic is the int8 of recurrent models"
        )


def _units(node: onnx.NodeProto) -> int:
    return int(attributes(node)["hidden_size"])


def _is_large(edit: GraphEdit, node: onnx.NodeProto) -> bool:
    if node.op_type not in ("MatMul", "Gemm"):
        return False
    matrix = edit.weight(node.input[1])
    return matrix is not None and matrix.ndim == 2 and matrix.size >= _PRODUCT_FROM


def _is_plain(node: onnx.NodeProto) -> bool:
    """Whether the cell computes what integer_cells spells out."""
    found = attributes(node)
    if (
        found.get("clip")
        or found.get("layout")
        or found.get("activation_alpha")
        or found.get("activation_beta")
    ):
        return False
    directions = 2 if found.get("direction") == "bidirectional" else 1
    if node.op_type == "GRU":
        usual = ["Sigmoid", "Tanh"] * directions
        return bool(found.get("linear_before_reset")) and found.get("activations", usual) == usual
    names = found.get("activations", ["Tanh"] * directions)
    return len(names) == directions and all(name in ("Tanh", "Relu") for name in names)


def _require_constant(edit: GraphEdit, node: onnx.NodeProto, precision: str) -> None:
    if not all(edit.is_constant(name) for name in node.input[1:3]):
        raise ExportError(
            f"the weights of {node.name or node.op_type} are no constants of the graph, they would stay fp32: "
            f"leave {precision} out"
        )
