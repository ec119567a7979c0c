"""Recurrent graphs in int8, int4 and fp16: what is in them is what they are called, and they answer as fp32 does."""

import platform
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from edgewright.exporters.graph.export import Graph, save_model
from edgewright.exporters.precision.recurrent import INTEGER_FROM
from edgewright.exporters.precision.registry import make_variant
from edgewright.runtime.errors import ExportError
from edgewright.runtime.graphs import session_options
from edgewright.runtime.graphs.session_options import cpu_session
from tests.exporters.recurrent_graphs import FEATURES, floats, step_graph, text_graph, whole_graph
from tests.messages import refused

KINDS = ("LSTM", "GRU", "RNN")
SMALL, LARGE = 16, max(INTEGER_FROM.values())
APART = {"int8-dynamic": 0.05, "int4": 0.25, "fp16": 0.005}


def run(graph: Graph, feeds: dict[str, NDArray[Any]], optimise: bool = True) -> dict[str, NDArray[Any]]:
    session = cpu_session(graph.path, threads=1, optimise=optimise)
    names = [value.name for value in session.get_outputs()]
    return dict(zip(names, session.run(names, feeds), strict=True))


def batch(time: int, *lengths: int, seed: int = 3) -> dict[str, NDArray[Any]]:
    """The same values whichever tests ran before."""
    values = (
        np.random.default_rng([seed, time, *lengths])
        .standard_normal((time, len(lengths), FEATURES))
        .astype(np.float32)
    )
    return {"values": values, "lengths": np.array(lengths, np.int32)}


def float_weights(graph: Graph) -> list[str]:
    """Matrices that are still in fp32; biases and scales are none."""
    return [
        tensor.name
        for tensor in onnx.load(graph.path).graph.initializer
        if tensor.data_type == onnx.TensorProto.FLOAT
        and tensor.name != "B"
        and "_scale" not in tensor.name
        and sum(size > 1 for size in tensor.dims) > 1
    ]


def operators(graph: Graph) -> set[str]:
    return {node.op_type for node in onnx.load(graph.path).graph.node}


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("hidden", [SMALL, LARGE])
@pytest.mark.parametrize("kind", KINDS)
def test_padded_batches_of_any_length_as_fp32(kind: str, hidden: int, direction: str, tmp_path: Path) -> None:
    graph = whole_graph(tmp_path / "model.onnx", kind, hidden, direction)
    made = make_variant(graph, "int8-dynamic", [], tmp_path / "int8.onnx")
    assert made.inputs == graph.inputs and made.outputs == graph.outputs
    assert made.size < (0.3 if hidden == LARGE else 0.99) * graph.size and float_weights(made) == []
    for feeds in (batch(1, 1), batch(9, 9, 4, 1), batch(2, 1, 2)):
        wanted, found = run(graph, feeds), run(made, feeds)
        for name, value in wanted.items():
            assert np.abs(found[name] - value).max() < APART["int8-dynamic"], name
            assert found[name].shape == value.shape
        beyond = np.arange(len(feeds["values"]))[:, None] >= feeds["lengths"]
        assert not found["steps"].transpose(0, 2, 1, 3)[beyond].any()


@pytest.mark.parametrize("hidden", [SMALL, LARGE])
@pytest.mark.parametrize("kind", KINDS)
def test_what_stands_beyond_a_length_changes_nothing(kind: str, hidden: int, tmp_path: Path) -> None:
    graph = whole_graph(tmp_path / "model.onnx", kind, hidden, "bidirectional")
    made = make_variant(graph, "int8-dynamic", [], tmp_path / "int8.onnx")
    feeds = batch(4, 4)
    longer = {"values": np.zeros((9, 1, FEATURES), np.float32), "lengths": feeds["lengths"]}
    longer["values"][:4] = feeds["values"]
    alone, padded = run(made, feeds), run(made, longer)
    assert np.abs(padded["last"] - alone["last"]).max() < 1e-6
    assert np.abs(padded["steps"][:4] - alone["steps"]).max() < 1e-6


@pytest.mark.parametrize("precision", ["fp16", "int8-dynamic", "int4"])
@pytest.mark.parametrize("hidden", [SMALL, LARGE])
@pytest.mark.parametrize("kind", KINDS)
def test_a_step_graph_keeps_its_shape_and_answers_as_fp32(
    kind: str, hidden: int, precision: str, tmp_path: Path
) -> None:
    graph = step_graph(tmp_path / "step.onnx", kind, hidden)
    made = make_variant(graph, precision, [], tmp_path / "variant.onnx", stateful=True)
    assert made.inputs == graph.inputs and made.outputs == graph.outputs
    assert "Scan" not in operators(made)
    values = np.random.default_rng(3).standard_normal((20, 1, 3, FEATURES)).astype(np.float32)
    answers = []
    for one in (graph, made):
        states = {spec.name: np.zeros((1, 3, hidden), np.float32) for spec in graph.inputs[1:]}
        steps = []
        for value in values:
            found = run(one, {"values": value, **states})
            states = {name: found[f"next_{name}"] for name in states}
            steps.append(found["prediction"])
        answers.append(np.stack(steps))
    assert np.abs(answers[1] - answers[0]).max() < APART[precision]
    assert np.abs(answers[0]).max() > 0.1


@pytest.mark.parametrize("kind", ["GRU", "RNN"])
def test_whole_and_step_by_step_are_the_same_integers(kind: str, tmp_path: Path) -> None:
    """Only the scale of the input differs: the whole graph takes one for all steps."""
    whole = whole_graph(tmp_path / "model.onnx", kind, LARGE)
    step = step_graph(tmp_path / "step.onnx", kind, LARGE)
    made = make_variant(whole, "int8-dynamic", [], tmp_path / "model_int8.onnx")
    made_step = make_variant(step, "int8-dynamic", [], tmp_path / "step_int8.onnx", stateful=True)
    feeds = batch(12, 12)
    steps = run(made, feeds)["steps"]
    state = np.zeros((1, 1, LARGE), np.float32)
    for number, value in enumerate(feeds["values"]):
        state = run(made_step, {"values": value[None], "state_0": state})["next_state_0"]
        assert np.abs(state - steps[number]).max() < 0.02


@pytest.mark.parametrize(
    ("kind", "hidden", "inside", "words"),
    [
        ("LSTM", SMALL, "DynamicQuantizeLSTM", "DynamicQuantizeLSTM; per channel"),
        ("GRU", SMALL, "GRU", "GRU with int8 weights computed in fp32"),
        ("GRU", LARGE, "Scan", "GRU as a cell of integer products"),
        ("RNN", SMALL, "RNN", "RNN with int8 weights computed in fp32"),
        ("RNN", LARGE, "Scan", "RNN as a cell of integer products"),
    ],
)
def test_the_note_says_what_is_in_the_graph(
    kind: str, hidden: int, inside: str, words: str, tmp_path: Path
) -> None:
    graph = whole_graph(tmp_path / "model.onnx", kind, hidden)
    made = make_variant(graph, "int8-dynamic", [], tmp_path / "int8.onnx")
    assert inside in operators(made) and words in made.note


@pytest.mark.parametrize("hidden", [SMALL, LARGE])
@pytest.mark.parametrize("kind", KINDS)
def test_per_tensor_has_one_scale(kind: str, hidden: int, tmp_path: Path) -> None:
    graph = whole_graph(tmp_path / "model.onnx", kind, hidden, "bidirectional")
    fine = make_variant(graph, "int8-dynamic", [], tmp_path / "fine.onnx")
    coarse = make_variant(graph, "int8-dynamic", [], tmp_path / "coarse.onnx", per_channel=False)
    scales = {
        name: max(
            int(np.prod(tensor.dims))
            for tensor in onnx.load(one.path).graph.initializer
            if "_scale" in tensor.name
        )
        for name, one in (("fine", fine), ("coarse", coarse))
    }
    assert scales["fine"] >= hidden and scales["coarse"] <= 2
    assert coarse.note.endswith("per tensor")
    feeds = batch(5, 5, 3)
    assert np.abs(run(coarse, feeds)["steps"] - run(graph, feeds)["steps"]).max() < 0.1


def test_relu_cells_and_unusual_cells(tmp_path: Path) -> None:
    relu = whole_graph(tmp_path / "relu.onnx", "RNN", LARGE, activations=["Relu"])
    made = make_variant(relu, "int8-dynamic", [], tmp_path / "relu8.onnx")
    feeds = batch(7, 7, 2)
    wanted = run(relu, feeds)["steps"]
    assert (
        "integer products" in made.note
        and np.abs(run(made, feeds)["steps"] - wanted).max() < 0.02 * wanted.max()
    )
    unusual: list[tuple[str, dict[str, Any]]] = [
        ("GRU", {"linear_before_reset": 0}),
        ("RNN", {"activations": ["Sigmoid"]}),
        ("RNN", {"clip": 0.5}),
    ]
    for number, (kind, more) in enumerate(unusual):
        odd = whole_graph(tmp_path / f"{number}.onnx", kind, LARGE, **more)
        made = make_variant(odd, "int8-dynamic", [], tmp_path / f"{number}8.onnx")
        assert kind in operators(made) and "its cell is not the usual one" in made.note
        assert np.abs(run(made, feeds)["steps"] - run(odd, feeds)["steps"]).max() < 0.05


def integer_weights(graph: onnx.GraphProto) -> dict[str, int]:
    """The weights of integer products, in loops too, and their types."""
    types = {tensor.name: tensor.data_type for tensor in graph.initializer}
    found: dict[str, int] = {}
    for node in graph.node:
        if node.op_type.startswith("DynamicQuantize"):
            found |= {name: types[name] for name in node.input[1:3] if "_int8" in name}
        for attribute in node.attribute:
            found |= integer_weights(attribute.g)
    return found


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="only x86 has sums that saturate")
@pytest.mark.parametrize("direction", ["forward", "bidirectional"])
@pytest.mark.parametrize("kind", KINDS)
def test_where_sums_saturate_every_weight_is_rewritten(
    kind: str, direction: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make_variant(
        whole_graph(tmp_path / "model.onnx", kind, LARGE, direction),
        "int8-dynamic",
        [],
        tmp_path / "int8.onnx",
    )
    before = integer_weights(onnx.load(made.path).graph)
    assert before and set(before.values()) == {onnx.TensorProto.INT8}
    monkeypatch.setattr(session_options, "products_saturate", lambda: True)
    options = session_options.session_options(threads=1)
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    onnxruntime.InferenceSession(made.path, options, providers=["CPUExecutionProvider"])
    after = integer_weights(onnx.load(tmp_path / "optimised.onnx").graph)
    assert len(after) == len(before) and set(after.values()) == {onnx.TensorProto.UINT8}


@pytest.mark.parametrize("kind", KINDS)
def test_int4_is_an_eighth_and_costs_nothing_once_loaded(kind: str, tmp_path: Path) -> None:
    graph = whole_graph(tmp_path / "model.onnx", kind, 96, "bidirectional")
    made = make_variant(graph, "int4", [], tmp_path / "int4.onnx")
    assert made.size < 0.25 * graph.size and float_weights(made) == []
    assert made.note == "weights only, blocks of 32, computed in fp32"
    feeds = batch(7, 7, 2)
    wanted = run(graph, feeds)["steps"]
    for optimise in (True, False):
        assert np.abs(run(made, feeds, optimise)["steps"] - wanted).max() < APART["int4"]
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    onnxruntime.InferenceSession(made.path, options, providers=["CPUExecutionProvider"])
    assert {node.op_type for node in onnx.load(tmp_path / "optimised.onnx").graph.node} == {kind}


@pytest.mark.parametrize(("precision", "size", "apart"), [("int8-dynamic", 0.34, 0.02), ("int4", 0.24, 0.2)])
def test_embedding_tables_shrink_too(precision: str, size: float, apart: float, tmp_path: Path) -> None:
    """Noise over many rows, for the worst value of a few is a matter of luck: 60 seeds gave 0.010 to 0.013 in int8 and
    0.117 to 0.149 in int4.
    """
    graph = text_graph(tmp_path / "model.onnx")
    made = make_variant(graph, precision, [], tmp_path / "variant.onnx")
    assert made.size < size * graph.size and "table" not in float_weights(made)
    random = np.random.default_rng(3)
    feeds: dict[str, NDArray[Any]] = {
        "input_ids": random.integers(0, 300, (200, 11)),
        "lengths": random.integers(1, 12, 200).astype(np.int32),
    }
    wanted, found = run(graph, feeds)["logits"], run(made, feeds)["logits"]
    assert np.sqrt(np.mean((found - wanted) ** 2) / np.mean(wanted**2)) < apart
    if precision == "int8-dynamic":
        assert "embedding table int8" in made.note


def test_large_products_behind_the_cell_shrink_small_ones_stay(tmp_path: Path) -> None:
    graph = whole_graph(tmp_path / "model.onnx", "LSTM", 64)
    model = onnx.load(graph.path)
    random = np.random.default_rng(3)
    for name, count in (("large", 1200), ("small", 8)):
        weight = random.standard_normal((count, 64)).astype(np.float32)
        model.graph.initializer.append(numpy_helper.from_array(weight, f"{name}_weight"))
        model.graph.initializer.append(numpy_helper.from_array(np.ones(count, np.float32), f"{name}_bias"))
        rows = helper.make_node("Squeeze", ["last", "axis"], [f"{name}_rows"], name=f"{name}_only")
        inputs = [f"{name}_rows", f"{name}_weight", f"{name}_bias"]
        model.graph.node.extend([rows, helper.make_node("Gemm", inputs, [name], name=name, transB=1)])
        model.graph.output.append(floats(name, "batch", count))
    model.graph.initializer.append(numpy_helper.from_array(np.array([0], np.int64), "axis"))
    graph = save_model(model, tmp_path / "headed.onnx", "torch.export")
    made = make_variant(graph, "int8-dynamic", [], tmp_path / "int8.onnx")
    assert float_weights(made) == ["small_weight"]
    feeds = batch(5, 5, 2)
    wanted, found = run(graph, feeds), run(made, feeds)
    assert np.abs(found["large"] - wanted["large"]).max() < 0.05 * np.abs(wanted["large"]).max()
    four = make_variant(graph, "int4", [], tmp_path / "int4.onnx")
    assert float_weights(four) == ["small_weight"]


def test_layers_that_share_their_weights(tmp_path: Path) -> None:
    model = onnx.load(whole_graph(tmp_path / "model.onnx", "GRU", SMALL).path)
    twin = onnx.NodeProto.FromString(model.graph.node[0].SerializeToString())
    twin.name, twin.output[0], twin.output[1] = "twin", "steps_too", "last_too"
    model.graph.node.append(twin)
    model.graph.output.append(floats("last_too", 1, "batch", SMALL))
    graph = save_model(model, tmp_path / "twice.onnx", "torch.export")
    for precision in ("int8-dynamic", "int4"):
        made = make_variant(graph, precision, [], tmp_path / "made.onnx")
        found = run(made, batch(3, 3))
        assert np.array_equal(found["last"], found["last_too"])


@pytest.mark.parametrize("precision", ["int8-dynamic", "int4"])
def test_weights_that_are_no_constants_are_not_called_converted(precision: str, tmp_path: Path) -> None:
    model = onnx.load(whole_graph(tmp_path / "model.onnx", "GRU", SMALL).path)
    model.graph.node[0].input[2] = "given"
    model.graph.input.append(floats("given", 1, 3 * SMALL, SMALL))
    graph = save_model(model, tmp_path / "given.onnx", "torch.export")
    with pytest.raises(ExportError, match=f"would stay fp32: leave {precision} out"):
        make_variant(graph, precision, [], tmp_path / "variant.onnx")
    assert not (tmp_path / "variant.onnx").exists()


@pytest.mark.parametrize("kind", KINDS)
def test_static_int8_is_refused_with_the_way_out(kind: str, tmp_path: Path) -> None:
    graph = whole_graph(tmp_path / "model.onnx", kind, SMALL)
    with refused(ExportError):
        make_variant(graph, "int8-static", [batch(3, 3)], tmp_path / "variant.onnx")
    step = step_graph(tmp_path / "step.onnx", kind, SMALL)
    with refused(ExportError):
        make_variant(step, "int8-static", [], tmp_path / "variant.onnx", stateful=True)
    assert not (tmp_path / "variant.onnx").exists()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("precision", ["int8-dynamic", "int4"])
def test_twice_is_the_same_file(precision: str, kind: str, tmp_path: Path) -> None:
    whole = whole_graph(tmp_path / "model.onnx", kind, LARGE, "bidirectional")
    step = step_graph(tmp_path / "step.onnx", kind, LARGE)
    one, two = (
        (
            make_variant(whole, precision, [], tmp_path / f"{name}.onnx"),
            make_variant(step, precision, [], tmp_path / f"{name}_step.onnx", stateful=True),
        )
        for name in ("one", "two")
    )
    assert [graph.path.read_bytes() for graph in one] == [graph.path.read_bytes() for graph in two]


def test_unknown_precision_of_a_step(tmp_path: Path) -> None:
    graph = step_graph(tmp_path / "step.onnx", "GRU", SMALL)
    with refused(ExportError):
        make_variant(graph, "int3", [], tmp_path / "variant.onnx", stateful=True)


@pytest.mark.parametrize("hidden", [8, LARGE])
@pytest.mark.parametrize("kind", ["GRU", "RNN"])
def test_a_loop_that_only_gives_steps_or_only_the_last(kind: str, hidden: int, tmp_path: Path) -> None:
    """What nobody reads is not computed, and what is read is right all the same."""
    for number, kept in enumerate((["steps"], ["last"])):
        for direction in ("forward", "reverse"):
            model = onnx.load(whole_graph(tmp_path / "whole.onnx", kind, hidden, direction).path)
            outputs = [value for value in model.graph.output if value.name in kept]
            del model.graph.output[:]
            model.graph.output.extend(outputs)
            graph = save_model(model, tmp_path / f"{number}.onnx", "torch.export")
            made = make_variant(graph, "int8-dynamic", [], tmp_path / f"{number}_int8.onnx")
            feeds = batch(6, 6, 2, 1)
            wanted, found = run(graph, feeds), run(made, feeds)
            assert list(found) == kept and np.abs(found[kept[0]] - wanted[kept[0]]).max() < 0.05
