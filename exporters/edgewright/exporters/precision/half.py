"""fp32 to fp16, by ONNX Runtime's own converter and past its faults."""

import importlib
from collections.abc import Sequence
from pathlib import Path

import onnx

from edgewright.exporters.graph.prepare import is_large, load_with_shapes
from edgewright.runtime.errors import ExportError

_STOPS = frozenset({"Conv", "Gemm", "MatMul", "Shape", "Size"})
"""Before a weight is multiplied or a shape is read, nothing decides a whole number by a hair."""


def to_fp16(source: Path) -> onnx.ModelProto:
    """The graph at `source` with its weights and its arithmetic in fp16; inputs and outputs stay fp32.

    Raises `ExportError` when there is no weight to convert.
    """
    # onnxruntime's own converter: the one of onnxconverter-common writes graphs that do not load.
    float16 = importlib.import_module("onnxruntime.transformers.float16")
    large = is_large(source)
    model = load_with_shapes(source) if large else onnx.load(source)
    kept = _before_whole_numbers(model)
    model = float16.convert_float_to_float16(
        model,
        keep_io_types=True,
        node_block_list=[*_transposes_before_products(model), *kept],
        disable_shape_infer=large,  # it would put all weights into one message, which ends at 2 GiB
    )
    _without_detours(model.graph, kept)
    _sort_nodes(model.graph)
    if not any(tensor.data_type == onnx.TensorProto.FLOAT16 for tensor in model.graph.initializer):
        raise ExportError("no weight could be turned into fp16: leave fp16 out")
    return model


def _transposes_before_products(model: onnx.ModelProto) -> list[str]:
    """Transposes that stay fp32 because a MatMul reads them.

    onnxruntime 1.24 to 1.31 on x86 crashes on Transpose (fp16) -> Cast -> MatMul (microsoft/onnxruntime issue
    28392).
    """
    factors = {name for node in model.graph.node if node.op_type == "MatMul" for name in node.input}
    return [
        node.name
        for node in model.graph.node
        if node.op_type == "Transpose" and not factors.isdisjoint(node.output)
    ]


def _before_whole_numbers(model: onnx.ModelProto) -> list[str]:
    """Nodes that stay fp32 because what they compute becomes a whole number.

    Which bucket a distance between tokens falls into is the logarithm of it, rounded down (mpnet): in fp16 it is
    another bucket wherever the logarithm is near a whole number, and another row of a table.
    """
    made_by = {output: node for node in model.graph.node for output in node.output}
    pending = [node for node in model.graph.node if _becomes_whole(node)]
    kept: dict[str, None] = {}
    while pending:
        for name in pending.pop().input:
            node = made_by.get(name)
            if node is not None and node.name not in kept and node.op_type not in _STOPS:
                kept[node.name] = None
                pending.append(node)
    return list(kept)


def _without_detours(graph: onnx.GraphProto, kept: Sequence[str]) -> None:
    """Let `kept` nodes, and those that make whole numbers of them, read each other in fp32.

    The converter has put a cast to fp16 behind each kept node and one back before the next.
    """
    made_by = {output: node for node in graph.node for output in node.output}
    names = set(kept)
    for node in graph.node:
        if node.name not in names and not _becomes_whole(node):
            continue
        for place, name in enumerate(node.input):
            back = made_by.get(name)
            if back is not None and _casts(back, onnx.TensorProto.FLOAT):
                name, back = back.input[0], made_by.get(back.input[0])
            if back is not None and _casts(back, onnx.TensorProto.FLOAT16):
                origin = made_by.get(back.input[0])
                if origin is not None and origin.name in names:
                    node.input[place] = back.input[0]
    while True:
        read = {name for node in graph.node for name in _reads(node)} | {value.name for value in graph.output}
        unread = [node for node in graph.node if node.op_type == "Cast" and read.isdisjoint(node.output)]
        if not unread:
            return
        for node in unread:
            graph.node.remove(node)


def _casts(node: onnx.NodeProto, kind: int) -> bool:
    return node.op_type == "Cast" and any(entry.name == "to" and entry.i == kind for entry in node.attribute)


def _becomes_whole(node: onnx.NodeProto) -> bool:
    return any(_casts(node, kind) for kind in (onnx.TensorProto.INT32, onnx.TensorProto.INT64))


def _sort_nodes(graph: onnx.GraphProto) -> None:
    """Put every node behind those it reads from, else in the order it had.

    The fp16 converter places casts behind their readers (vit, swin); onnxruntime dies of a segmentation fault
    on that.
    """
    produced = {output for node in graph.node for output in node.output if output}
    pending = [(node, _reads(node) & produced) for node in graph.node]
    ready: set[str] = set()
    ordered: list[onnx.NodeProto] = []
    while pending:
        waiting = []
        for node, needs in pending:
            if needs <= ready:
                ready.update(node.output)
                ordered.append(node)
            else:
                waiting.append((node, needs))
        if len(waiting) == len(pending):
            raise ExportError(f"node {waiting[0][0].name} reads from itself: leave this precision out")
        pending = waiting
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in ordered]
    del graph.node[:]
    graph.node.extend(copies)


def _reads(node: onnx.NodeProto) -> set[str]:
    names = {name for name in node.input if name}
    for attribute in node.attribute:
        for inner in (attribute.g, *attribute.graphs):
            for child in inner.node:
                names |= _reads(child)
    return names
