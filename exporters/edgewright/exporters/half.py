"""fp32 to fp16, by ONNX Runtime's own converter and past its faults."""

import importlib
from pathlib import Path

import onnx

from edgewright.exporters.preparing import is_large, load_with_shapes
from edgewright.runtime.errors import ExportError

__all__ = ["to_fp16"]


def to_fp16(source: Path) -> onnx.ModelProto:
    """The graph at `source` with its weights and its arithmetic in fp16; inputs and outputs stay fp32.

    Raises `ExportError` when there is no weight to convert.
    """
    # onnxruntime's own converter: the one of onnxconverter-common writes graphs that do not load.
    float16 = importlib.import_module("onnxruntime.transformers.float16")
    large = is_large(source)
    model = load_with_shapes(source) if large else onnx.load(source)
    model = float16.convert_float_to_float16(
        model,
        keep_io_types=True,
        node_block_list=_transposes_before_products(model),
        disable_shape_infer=large,  # it would put all weights into one message, which ends at 2 GiB
    )
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
