"""Which operators a graph asks a device for, and nothing beside: neither functions of its own nor idle imports."""

from collections.abc import Iterator

import onnx
from onnx import inliner


def only_what_is_used(model: onnx.ModelProto) -> onnx.ModelProto:
    """`model` with its functions written out where they are called, without imports of operators that it does not use.

    ONNX Runtime's quantiser imports eight domains into every graph. The standard one stays in any case.
    """
    if model.functions:
        model = inliner.inline_local_functions(model)
    used = {_standard(node.domain) for node in all_nodes(model.graph)}
    imports = [entry for entry in model.opset_import if _standard(entry.domain) in {"", *used}]
    kept = [(entry.domain, entry.version) for entry in imports]
    del model.opset_import[:]
    model.opset_import.extend(onnx.helper.make_opsetid(domain, version) for domain, version in kept)
    return model


def all_nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """The nodes of a graph, and of the graphs inside them."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from all_nodes(inner)


def _standard(domain: str) -> str:
    return "" if domain == "ai.onnx" else domain
