"""Small recurrent graphs, written down with onnx.helper: quick to make, and of any shape a test wants."""

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from edgewright.exporters.graph.export import Graph, save_model

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
FEATURES = 6


def floats(name: str, *shape: int | str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)


def cell_weights(
    kind: str, hidden: int, directions: int = 1, features: int = FEATURES
) -> list[NDArray[np.float32]]:
    """W, R and B of an operator, drawn as torch draws them."""
    generator = np.random.default_rng(hidden + directions)
    rows, reach = GATES[kind] * hidden, hidden**-0.5
    shapes = ((directions, rows, features), (directions, rows, hidden), (directions, 2 * rows))
    return [generator.uniform(-reach, reach, shape).astype(np.float32) for shape in shapes]


def whole_graph(
    path: Path, kind: str, hidden: int, direction: str = "forward", **attributes: object
) -> Graph:
    """values [time, batch, features] and lengths to `steps` [time, directions, batch, hidden] and `last`."""
    directions = 2 if direction == "bidirectional" else 1
    if kind == "GRU":
        attributes = {"linear_before_reset": 1, **attributes}
    inputs = [
        floats("values", "time", "batch", FEATURES),
        helper.make_tensor_value_info("lengths", onnx.TensorProto.INT32, ["batch"]),
    ]
    outputs = [
        floats("steps", "time", directions, "batch", hidden),
        floats("last", directions, "batch", hidden),
    ]
    node = helper.make_node(
        kind,
        ["values", "W", "R", "B", "lengths"],
        ["steps", "last"],
        name="cell",
        hidden_size=hidden,
        direction=direction,
        **attributes,
    )
    return _saved(
        path, [node], inputs, outputs, dict(zip("WRB", cell_weights(kind, hidden, directions), strict=True))
    )


def step_graph(path: Path, kind: str, hidden: int, **attributes: object) -> Graph:
    """One step: values [1, batch, features] and the states to `prediction` [1, batch, hidden] and the next states."""
    if kind == "GRU":
        attributes = {"linear_before_reset": 1, **attributes}
    states = ("state_0", "state_1") if kind == "LSTM" else ("state_0",)
    after = [f"next_{name}" for name in states]
    inputs = [floats("values", 1, "batch", FEATURES), *(floats(name, 1, "batch", hidden) for name in states)]
    outputs = [
        floats("prediction", 1, "batch", hidden),
        *(floats(name, 1, "batch", hidden) for name in after),
    ]
    axis = numpy_helper.from_array(np.array([1], np.int64), "axis")
    nodes = [
        helper.make_node(
            kind,
            ["values", "W", "R", "B", "", *states],
            ["steps", *after],
            name="cell",
            hidden_size=hidden,
            **attributes,
        ),
        helper.make_node("Squeeze", ["steps", "axis"], ["prediction"], name="answer"),
    ]
    weights = dict(zip("WRB", cell_weights(kind, hidden), strict=True))
    return _saved(path, nodes, inputs, outputs, weights, [axis])


def text_graph(path: Path, words: int = 300, width: int = 32, hidden: int = 16, classes: int = 4) -> Graph:
    """input_ids [batch, time] and lengths through an embedding and an LSTM to logits."""
    generator = np.random.default_rng(0)
    inputs = [
        helper.make_tensor_value_info("input_ids", onnx.TensorProto.INT64, ["batch", "time"]),
        helper.make_tensor_value_info("lengths", onnx.TensorProto.INT32, ["batch"]),
    ]
    weights = dict(zip("WRB", cell_weights("LSTM", hidden, 1, width), strict=True))
    weights["table"] = generator.standard_normal((words, width)).astype(np.float32)
    weights["head"] = generator.standard_normal((hidden, classes)).astype(np.float32)
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["rows"], name="embedding"),
        helper.make_node("Transpose", ["rows"], ["values"], name="turn", perm=[1, 0, 2]),
        helper.make_node(
            "LSTM", ["values", "W", "R", "B", "lengths"], ["", "last"], name="cell", hidden_size=hidden
        ),
        helper.make_node("Squeeze", ["last", "axis"], ["features"], name="only"),
        helper.make_node("MatMul", ["features", "head"], ["logits"], name="answer"),
    ]
    axis = numpy_helper.from_array(np.array([0], np.int64), "axis")
    return _saved(path, nodes, inputs, [floats("logits", "batch", classes)], weights, [axis])


def _saved(
    path: Path,
    nodes: list[onnx.NodeProto],
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
    weights: dict[str, NDArray[np.float32]],
    more: list[onnx.TensorProto] | None = None,
) -> Graph:
    tensors = [numpy_helper.from_array(value, name) for name, value in weights.items()] + (more or [])
    model = helper.make_model(
        helper.make_graph(nodes, "graph", inputs, outputs, tensors),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=10,
    )
    return save_model(model, path, "torch.export")
