"""Weights of products are rounded by what samples say of their channels together, where that pays."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgewright.exporters.distance import distance
from edgewright.exporters.graph.export import Graph, load_graph
from edgewright.exporters.precision.exact_sums import Quantiser, all_int8, exact_int8, saturating
from edgewright.exporters.precision.registry import make_variant
from edgewright.exporters.precision.rounding import round_weights
from edgewright.runtime.contracts import Tensors
from edgewright.runtime.graphs.session_options import cpu_session

CHANNELS, OUTPUTS, COMMON = 96, 80, 6


def product(path: Path) -> Graph:
    """values [batch, channels] times a matrix of normal weights."""
    matrix = np.random.default_rng(0).standard_normal((CHANNELS, OUTPUTS)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["values", "matrix"], ["found"], name="product")],
        "product",
        [helper.make_tensor_value_info("values", TensorProto.FLOAT, ["batch", CHANNELS])],
        [helper.make_tensor_value_info("found", TensorProto.FLOAT, ["batch", OUTPUTS])],
        [numpy_helper.from_array(matrix, "matrix")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    return load_graph(path)


def batches(count: int, together: bool, seed: int = 1) -> list[Tensors]:
    """Inputs whose channels have a few causes in common, or none."""
    random = np.random.default_rng(seed)
    mixed = np.random.default_rng(7).standard_normal((COMMON, CHANNELS))
    made = []
    for _ in range(count):
        if together:
            values = random.standard_normal((32, COMMON)) @ mixed + 0.05 * random.standard_normal(
                (32, CHANNELS)
            )
        else:
            values = random.standard_normal((32, CHANNELS))
        made.append({"values": values.astype(np.float32)})
    return made


def noise(model: onnx.ModelProto, wanted: NDArray[np.float32], fresh: Tensors) -> float:
    found = cpu_session(model.SerializeToString()).run(None, fresh)[0]
    return float(np.square(found - wanted).sum())


@pytest.mark.parametrize("quantise", [exact_int8, all_int8])
def test_errors_make_up_for_each_other(tmp_path: Path, quantise: Quantiser) -> None:
    model = onnx.load(product(tmp_path / "model.onnx").path)
    matrix = numpy_helper.to_array(model.graph.initializer[0])
    (fresh,) = batches(1, together=True, seed=2)
    wanted = fresh["values"] @ matrix
    values, scale = quantise(matrix, 0, 0)
    nearest = float(np.square(fresh["values"] @ (values * scale) - wanted).sum())
    rounded, scales = round_weights(
        onnx.ModelProto.FromString(model.SerializeToString()), batches(12, True), quantise
    )
    assert list(scales) == ["matrix_rounded"] and np.array_equal(scales["matrix_rounded"], scale)
    assert noise(rounded, wanted, fresh) < 0.3 * nearest
    # They lie on the steps that they will have in int8.
    kept = numpy_helper.to_array(rounded.graph.initializer[0]) / scale
    assert np.abs(kept - np.rint(kept)).max() < 1e-4 and np.abs(kept).max() < 127.5


def test_where_it_does_not_pay_weights_stay(tmp_path: Path) -> None:
    model = onnx.load(product(tmp_path / "model.onnx").path)
    before = model.SerializeToString()
    two_rows = [{"values": np.ones((2, CHANNELS), np.float32)}]
    few, scales = round_weights(onnx.ModelProto.FromString(before), two_rows, exact_int8)
    assert scales == {} and [node.input[1] for node in few.graph.node] == ["matrix"]
    none, scales = round_weights(onnx.ModelProto.FromString(before), [], exact_int8)
    assert scales == {} and [tensor.name for tensor in none.graph.initializer] == ["matrix"]


@pytest.mark.parametrize("name", ["int8-dynamic", "int8-dynamic-vnni"])
def test_a_variant_has_them_as_they_were_rounded(tmp_path: Path, name: str) -> None:
    graph = product(tmp_path / "model.onnx")
    samples, (fresh,) = batches(12, True), batches(1, True, seed=3)
    made = make_variant(graph, name, samples, tmp_path / "int8.onnx")
    plain = make_variant(graph, name, [], tmp_path / "plain.onnx")
    again = make_variant(graph, name, samples, tmp_path / "again.onnx")
    assert "1 weights rounded" in made.note and made.path.read_bytes() == again.path.read_bytes()
    if name == "int8-dynamic":
        assert saturating(onnx.load(made.path)) == ()
    wanted = {"found": cpu_session(graph.path).run(None, fresh)[0]}
    decibels = [
        distance([wanted], [{"found": cpu_session(one.path).run(None, fresh)[0]}]).sqnr_db or 0.0
        for one in (made, plain)
    ]
    assert decibels[0] > decibels[1] + 1
