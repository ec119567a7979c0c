"""int8 that is right on every CPU: weights of which no two products exceed 16 bits, and the bound that shows it."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from edgewright.exporters.distance import distance
from edgewright.exporters.graph.export import export_graph
from edgewright.exporters.precision.exact_sums import (
    LARGEST_PAIR,
    Quantiser,
    all_int8,
    exact_int8,
    saturating,
)
from edgewright.exporters.precision.recurrent import recurrent_int8
from edgewright.exporters.precision.registry import make_variant
from edgewright.runtime.errors import ExportError
from edgewright.runtime.graphs.session_options import cpu_session
from tests.exporters.trained import Trained
from tests.messages import refused


def vpmaddubsw(values: NDArray[np.uint8], weights: NDArray[np.int8]) -> NDArray[np.int64]:
    """`values` [rows, inputs] times `weights` [inputs, outputs] as x86 without VNNI multiplies them."""
    products = values.astype(np.int64)[:, :, None] * weights.astype(np.int64)
    pairs = np.clip(products[:, 0::2] + products[:, 1::2], -(2**15), 2**15 - 1)
    total: NDArray[np.int64] = pairs.sum(axis=1)
    return total


def heavy(seed: int, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Weights of which a few are much larger than all others, as trained ones are."""
    return np.random.default_rng(seed).standard_t(3, shape).astype(np.float32)


@pytest.mark.parametrize(
    "weight",
    [
        heavy(0, (64, 40)),
        np.ones((64, 40), np.float32),
        -np.ones((64, 40), np.float32) * np.float32(1e-20),
        np.linspace(-1, 1, 2560, dtype=np.float32).reshape(64, 40),
        np.random.default_rng(2).choice(np.array([64.5, 63.5, -64.5, 0.1], np.float32), (64, 40)),
        np.zeros((64, 40), np.float32),
    ],
)
def test_no_input_saturates_a_sum(weight: NDArray[np.float32]) -> None:
    values, scale = exact_int8(weight, 0, 0)
    assert values.dtype == np.int8 and scale.dtype == np.float32 and scale.shape == (1, 40)
    assert np.abs(values * scale - weight).max(initial=0.0) <= 0.501 * scale.max()
    # The worst inputs there are: the largest value where a weight pulls one way, nothing where it pulls the other.
    for sign in (1, -1):
        for column in range(40):
            worst = np.where(sign * values[:, column] > 0, 255, 0).astype(np.uint8)[None]
            np.testing.assert_array_equal(
                vpmaddubsw(worst, values), worst.astype(np.int64) @ values.astype(np.int64)
            )


def test_all_eight_bits_do_saturate() -> None:
    values, _ = all_int8(np.ones((64, 40), np.float32), 0, 0)
    worst = np.full((1, 64), 255, np.uint8)
    assert (vpmaddubsw(worst, values) < worst.astype(np.int64) @ values.astype(np.int64)).all()


def test_a_large_weight_among_small_ones_keeps_eight_bits() -> None:
    weight = np.full((10, 2), 0.001, np.float32)
    weight[4] = 1.0
    alone, _ = exact_int8(weight, 0, 0)
    assert set(alone[4]) == {127}
    weight[5] = 1.0
    beside, _ = exact_int8(weight, 0, 0)
    assert set(beside[4]) == set(beside[5]) == {64}
    weight[5] = -1.0  # of the other sign: the two cannot add up
    apart, _ = exact_int8(weight, 0, 0)
    assert set(apart[4]) == {127} and set(apart[5]) == {-127}


def test_it_is_nearer_than_seven_bits() -> None:
    weight = heavy(1, (384, 64))
    errors = {}
    for name, (values, scale) in {
        "exact": exact_int8(weight, 0, 0),
        "all": all_int8(weight, 0, 0),
        "seven": (np.rint(weight / (np.abs(weight).max(0) / 64)), np.abs(weight).max(0) / 64),
    }.items():
        errors[name] = float(np.square(values * scale - weight).sum())
    assert errors["all"] < errors["exact"] < 0.6 * errors["seven"]


def test_one_scale_for_all_looks_along_the_sum_alone() -> None:
    weight = np.zeros((4, 2, 3), np.float32)
    weight[0, 0] = 1.0  # neighbours in the file, but of three different sums
    values, scale = exact_int8(weight, (1, 2), 1)
    assert values[0, 0].tolist() == [127, 127, 127] and scale.shape == (4, 1, 1)


WINDOW = (1, 2, 3)


@pytest.mark.parametrize(
    ("channels", "second", "added"),
    [
        (4, (0, 1, 0, 0), True),
        (4, (0, 2, 0, 0), False),
        (4, (0, 0, 0, 1), False),  # neighbours in the file, four places apart where it runs
        (3, (0, 1, 0, 0), True),
        (3, (0, 1, 2, 2), False),
        (1, (0, 0, 0, 1), True),  # a channel by itself: along its window
    ],
)
def test_what_a_convolution_adds_first(channels: int, second: tuple[int, ...], added: bool) -> None:
    weight = np.full((1, channels, 3, 3), 0.001, np.float32)
    weight[0, 0, 0, 0] = weight[second] = 1.0
    values, _ = exact_int8(weight, WINDOW, WINDOW)
    assert int(values.max()) == (64 if added else 127)


def product(kind: str, weights: NDArray[np.int8] | NDArray[np.uint8], **more: int) -> onnx.ModelProto:
    """A graph of one integer product, as far as the bound looks at it."""
    inputs = {
        "MatMulInteger": ["values", "weights"],
        "ConvInteger": ["values", "weights"],
        "DynamicQuantizeMatMul": ["values", "weights", "scale"],
        "DynamicQuantizeLSTM": ["values", "weights", "small"],
        "QLinearConv": ["values", "scale", "zero", "weights"],
        "QLinearMatMul": ["values", "scale", "zero", "weights"],
        "QGemm": ["values", "scale", "zero", "weights"],
    }[kind]
    small = np.zeros((1, 4, 4), np.int8)
    kept = [numpy_helper.from_array(weights, "weights"), numpy_helper.from_array(small, "small")]
    node = helper.make_node(kind, inputs, ["found"], name="product", **more)
    return helper.make_model(helper.make_graph([node], "graph", [], [], kept))


@pytest.mark.parametrize(
    ("kind", "shape", "pair"),
    [
        ("MatMulInteger", (6, 3), ((2, 1), (3, 1))),
        ("DynamicQuantizeMatMul", (6, 3), ((0, 2), (1, 2))),
        ("DynamicQuantizeLSTM", (1, 6, 8), ((0, 4, 7), (0, 5, 7))),
        ("QLinearMatMul", (7, 3), ((4, 0), (5, 0))),
        ("QGemm", (6, 3), ((2, 1), (3, 1))),
        ("ConvInteger", (2, 4, 3), ((1, 2, 1), (1, 3, 1))),
        ("QLinearConv", (2, 3, 3, 3), ((0, 2, 0, 0), (0, 0, 0, 1))),
    ],
)
def test_every_integer_product_is_looked_at(
    kind: str, shape: tuple[int, ...], pair: tuple[tuple[int, ...], ...]
) -> None:
    weights = np.zeros(shape, np.int8)
    weights[pair[0]], weights[pair[1]] = 100, 28
    assert saturating(product(kind, weights)) == ()
    weights[pair[1]] = 29
    (found,) = saturating(product(kind, weights))
    assert (found.node, found.pair) == ("product", 129)
    weights[pair[0]], weights[pair[1]] = -100, 29  # they pull against each other
    assert saturating(product(kind, weights)) == ()
    weights[pair[0]], weights[pair[1]] = -128, -1
    assert [one.pair for one in saturating(product(kind, weights))] == [129]
    assert saturating(product(kind, np.full(shape, 255, np.uint8))) == ()


def dequantised(
    kind: str, between: list[onnx.NodeProto], weights: NDArray[np.int8], **more: int
) -> onnx.ModelProto:
    """values -> a float operator with weights that are int8, and nodes between these and it."""
    kept = [
        numpy_helper.from_array(value, name)
        for name, value in (
            ("weights", weights),
            ("scale", np.float32(0.1)),
            ("zero", np.int8(0)),
            ("shape", np.array([0, -1], np.int64)),
        )
    ]
    nodes = [helper.make_node("DequantizeLinear", ["weights", "scale", "zero"], ["floats"]), *between]
    last = nodes[-1].output[0]
    nodes.append(helper.make_node(kind, ["values", last], ["found"], name="product", **more))
    return helper.make_model(helper.make_graph(nodes, "graph", [], [], kept))


def test_what_dequantises_and_moves_weights_is_looked_through() -> None:
    weights = np.zeros((2, 6), np.int8)
    weights[0, 2] = weights[0, 3] = 100
    turn = helper.make_node("Transpose", ["floats"], ["turned"], perm=[1, 0])
    same = helper.make_node("Reshape", ["floats", "shape"], ["same"])
    assert saturating(dequantised("MatMul", [], weights)) == ()  # neighbours, of two different sums
    assert saturating(dequantised("Gemm", [], weights)) == ()
    for model in (
        dequantised("MatMul", [turn], weights),
        dequantised("MatMul", [same, helper.make_node("Transpose", ["same"], ["turned"])], weights),
        dequantised("Gemm", [same], weights, transB=1),
        dequantised("Conv", [], weights.reshape(2, 6, 1)),
    ):
        assert [one.pair for one in saturating(model)] == [200]


def test_weights_that_are_computed_have_no_bound() -> None:
    kept = [numpy_helper.from_array(np.int8(0), "zero"), numpy_helper.from_array(np.float32(1), "scale")]
    nodes = [
        helper.make_node("QuantizeLinear", ["floats", "scale", "zero"], ["whole"]),
        helper.make_node("MatMulInteger", ["values", "whole"], ["found"], name="product"),
    ]
    (found,) = saturating(helper.make_model(helper.make_graph(nodes, "graph", [], [], kept)))
    assert found.pair == 256
    nodes[0] = helper.make_node("DynamicQuantizeLinear", ["floats"], ["whole", "scale_now", "zero_now"])
    assert saturating(helper.make_model(helper.make_graph(nodes, "graph", [], [], kept))) == ()


def layer(kind: str, per_channel: bool, step: bool, quantise: Quantiser) -> onnx.ModelProto:
    """A recurrent layer with a large product behind it, in int8."""
    gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[kind]
    shapes = {"W": (1, gates * 256, 32), "R": (1, gates * 256, 256), "matrix": (256, 256)}
    random = np.random.default_rng(7)
    kept = [
        numpy_helper.from_array(random.uniform(0, 1, shape).astype(np.float32), name)
        for name, shape in shapes.items()
    ]
    states = (["hidden", "cell"] if kind == "LSTM" else ["hidden"]) if step else []
    nodes = [
        helper.make_node(
            kind, ["values", "W", "R", "", "", *states], ["", "last"], name="layer", hidden_size=256,
            **({"linear_before_reset": 1} if kind == "GRU" else {}),
        ),
        helper.make_node("Squeeze", ["last", "axis"], ["row"]),
        helper.make_node("MatMul", ["row", "matrix"], ["found"]),
    ]  # fmt: skip
    kept.append(numpy_helper.from_array(np.array([0], np.int64), "axis"))
    inputs = [helper.make_tensor_value_info("values", TensorProto.FLOAT, ["time", "batch", 32])]
    inputs += [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, "batch", 256]) for name in states]
    output = helper.make_tensor_value_info("found", TensorProto.FLOAT, ["batch", 256])
    model = helper.make_model(
        helper.make_graph(nodes, "layer", inputs, [output], kept), opset_imports=[helper.make_opsetid("", 17)]
    )
    return recurrent_int8(model, per_channel, step, 1, quantise)[0]


@pytest.mark.parametrize("step", [False, True], ids=["whole", "step"])
@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_recurrent_layers_are_exact(kind: str, step: bool) -> None:
    for per_channel in (True, False):
        assert saturating(layer(kind, per_channel, step, exact_int8)) == ()
        found = [one.pair for one in saturating(layer(kind, per_channel, step, all_int8))]
        assert len(found) == 3 and min(found) > LARGEST_PAIR


def test_every_int8_graph_of_the_trained_net_is_exact(trained: Trained) -> None:
    checked = 0
    for name, graph in trained.variants.items():
        if name.startswith("int8-"):
            assert saturating(onnx.load(graph.path)) == ()
            checked += 1
    assert checked == 2


@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("name", ["int8-static", "int8-dynamic"])
def test_eight_bits_have_a_name_of_their_own(name: str, per_channel: bool, tmp_path: Path) -> None:
    torch.manual_seed(0)
    first, last = nn.Linear(64, 96), nn.Linear(96, 32)
    for part in (first, last):
        part.weight.data.abs_()
    net = nn.Sequential(first, nn.ReLU(), last)
    values = torch.rand(8, 64)
    graph = export_graph(net, (values,), tmp_path / "model.onnx", ("values",), ("found",))
    feeds = [{"values": values.numpy()}]
    made = {
        kind: make_variant(graph, kind, feeds, tmp_path / f"{kind}.onnx", "minmax", per_channel)
        for kind in (name, f"{name}-vnni")
    }
    assert saturating(onnx.load(made[name].path)) == ()
    assert saturating(onnx.load(made[f"{name}-vnni"].path))
    wanted = cpu_session(graph.path).run(None, feeds[0])
    noise = {}
    for kind, variant in made.items():
        found = cpu_session(variant.path).run(None, feeds[0])
        noise[kind] = distance([{"found": wanted[0]}], [{"found": found[0]}]).sqnr_db or 0.0
    assert 25 < noise[name] < noise[f"{name}-vnni"]


def test_dynamic_convolutions_have_eight_bits_already(trained: Trained, tmp_path: Path) -> None:
    with refused(ExportError):
        make_variant(trained.graph, "int8-dynamic-vnni", trained.calibration, tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []
