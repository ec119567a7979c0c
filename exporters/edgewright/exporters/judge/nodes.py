"""Names the first node at which two models part: an ONNX graph from torch, or one graph from another."""

import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from edgewright.exporters.distance import distance
from edgewright.exporters.graph.export import name_scopes
from edgewright.exporters.graph.prepare import save_scratch
from edgewright.exporters.part import Part, torch_outputs
from edgewright.runtime.contracts import Tensors
from edgewright.runtime.graphs.session_options import cpu_session, products_saturate

_ENOUGH_DB = 10.0  # noise below a tenth of the signal's power is what a precision is expected to add


def first_apart_from_torch(part: Part, graph: Path, feeds: Tensors, tolerance: float) -> str:
    """The first node of `graph` whose tensor is further than `tolerance` (relative) from the torch module of the `part`
    that it came from.

    Torch's side is the output of every module with no other inside it (a layer that became one operator, such as an
    LSTM, counts as one); the graph's is the last node that the exporter marked as part of it (of a convolution with its
    BatchNorm folded in, that is the BatchNorm). Empty where no marked node differs.
    """
    model = onnx.load(graph)
    marked: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        scopes = name_scopes(node)
        if scopes:
            marked.setdefault(scopes[-1], []).append(node)
    innermost = {name for name in marked if not any(other.startswith(f"{name}.") for other in marked)}
    captured = _outputs_of(part, innermost, feeds)
    by_module = {name: marked[name] for name in captured}
    pairs: dict[str, tuple[str, NDArray[Any]]] = {}
    for module, nodes in by_module.items():
        calls = captured[module]
        if len(nodes) % len(calls) == 0:
            step = len(nodes) // len(calls)
            for call, value in enumerate(calls):
                pairs[nodes[(call + 1) * step - 1].output[0]] = (module, value)
    found = _tensors(model, list(pairs), feeds)
    for node in model.graph.node:  # in the order of the graph, which is the order of execution
        name = node.output[0]
        if name not in pairs:
            continue
        module, wanted = pairs[name]
        if found[name].shape == wanted.shape and not _relative(wanted, found[name]) <= tolerance:
            return f"{_describe(node)} of {module}"
    return ""


def first_apart_from_graph(good: Path, bad: Path, feeds: Tensors) -> str:
    """The first node of `bad` whose tensor is noisy (SQNR below 10 dB) against the tensor of the same name in
    `good`.

    Where none is, the node with the least SQNR. Empty where the two graphs share no tensor, or all shared
    ones are equal.
    """
    good_model, bad_model = onnx.load(good), onnx.load(bad)
    known = {output for node in good_model.graph.node for output in node.output if output}
    makers = {output: node for node in bad_model.graph.node for output in node.output if output in known}
    if not makers:
        return ""
    wanted = _tensors(good_model, list(makers), feeds)
    # As it is written an int8 graph would saturate on such a CPU; its tensors are kept when it is optimised, too.
    found = _tensors(bad_model, list(makers), feeds, optimise=products_saturate())
    worst, least = "", float("inf")
    for name, node in makers.items():
        ours, theirs = wanted[name], found[name]
        if ours.dtype.kind != "f" or theirs.dtype.kind != "f" or ours.shape != theirs.shape or not ours.any():
            continue
        if not np.isfinite(theirs).all():
            return _describe(node)
        decibels = distance([{name: ours}], [{name: theirs}]).sqnr_db
        if decibels is None:
            continue
        if decibels < _ENOUGH_DB:
            return _describe(node)
        if decibels < least:
            worst, least = _describe(node), decibels
    return worst


def _describe(node: onnx.NodeProto) -> str:
    return f"{node.name or node.output[0]} ({node.op_type})"


def _relative(wanted: NDArray[Any], found: NDArray[Any]) -> float:
    scale = float(np.abs(wanted).max(initial=0.0)) or 1.0
    return float(np.abs(found.astype(np.float64) - wanted).max(initial=0.0)) / scale


def _outputs_of(part: Part, names: Collection[str], feeds: Tensors) -> dict[str, list[NDArray[Any]]]:
    """What the torch modules called `names` give, call by call; those that give no plain tensor are left out."""
    captured: dict[str, list[NDArray[Any]]] = {}
    handles = []
    for name, module in part.module.named_modules():
        if name in names:

            def keep(module: torch.nn.Module, inputs: Any, output: Any, name: str = name) -> None:
                if isinstance(output, torch.Tensor):
                    # A copy: the next module may work in place (ReLU).
                    captured.setdefault(name, []).append(output.detach().cpu().numpy().copy())

            handles.append(module.register_forward_hook(keep))
    try:
        torch_outputs(part.module, feeds, part.input_names, part.output_names)
    finally:
        for handle in handles:
            handle.remove()
    return captured


def _tensors(model: onnx.ModelProto, names: Sequence[str], feeds: Tensors, optimise: bool = False) -> Tensors:
    """Run `model` and return the tensors `names` from inside it; as it is written, unless `optimise`."""
    if not names:  # a session takes an empty list for all of its outputs
        return {}
    outputs = {value.name for value in model.graph.output}
    for name in names:
        if name not in outputs:
            model.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
    with tempfile.TemporaryDirectory(prefix="edgewright-") as folder:
        path = Path(folder) / "model.onnx"
        save_scratch(model, path)
        session = cpu_session(path, optimise=optimise)
        return dict(zip(names, session.run(list(names), feeds), strict=True))
