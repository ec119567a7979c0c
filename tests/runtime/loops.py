"""Bundles whose graphs do not come to an end."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgewright.runtime.bundle.opening import open_bundle
from tests.runtime.small_bundle import write_manifest


def write_loop(path: Path, rounds: int | None, step: str = "Identity") -> None:
    """image [batch, 3, 16, 16] to logits [batch, 3]: `rounds` times (None: without end) "Identity" or "MatMul"."""
    inputs = ["carried"] if step == "Identity" else ["carried", "turn"]
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node(step, inputs, ["next"])],
        "body",
        [
            helper.make_tensor_value_info("round", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("carried", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", TensorProto.FLOAT, None),
        ],
    )
    graph = helper.make_graph(
        [
            helper.make_node(
                "Loop", ["rounds" if rounds is not None else "", "true", "pixel_values"], ["end"], body=body
            ),
            helper.make_node("ReduceMean", ["end", "axes"], ["logits"], keepdims=0),
        ],
        "loop",
        [helper.make_tensor_value_info("pixel_values", TensorProto.FLOAT, ["batch", 3, 16, 16])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 3])],
        [
            numpy_helper.from_array(np.array(rounds or 0, np.int64), "rounds"),
            numpy_helper.from_array(np.array(True), "true"),
            numpy_helper.from_array(np.array([2, 3], np.int64), "axes"),
            numpy_helper.from_array(np.eye(16, dtype=np.float32), "turn"),
        ],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)


def loop_bundle(bundle: Path, rounds: int | None, step: str = "Identity") -> Path:
    """Put such a graph in the place of the model of a small bundle."""
    manifest = open_bundle(bundle).manifest
    write_loop(bundle / "onnx" / "model.onnx", rounds, step)
    return write_manifest(bundle, manifest)
