"""Export: parity of every kind of network, at lengths and batches the exporter never saw, whole and step by step."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from edgewright.exporters.graph.export import export_graph
from edgewright.pipeline.models.recurrent.network import CELLS, READOUTS, Network
from tests.pipeline.models.recurrent.sequences import (
    TASKS,
    Session,
    batch,
    build,
    export,
    export_step,
    initial_states,
    one,
)

LENGTHS = (1, 2, 5, 13, 64)
"""None of them is 7 or 4, the lengths of the example that is exported."""

STEPS = 1000


def relative(found: Any, wanted: Any) -> float:
    """Largest difference by the largest wanted value."""
    found, wanted = np.asarray(found), np.asarray(wanted)
    assert found.shape == wanted.shape and found.dtype == wanted.dtype
    return float(np.abs(found - wanted).max() / np.abs(wanted).max())


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("cell", CELLS)
def test_the_graph_answers_as_torch(cell: str, layers: int, bidirectional: bool, tmp_path: Path) -> None:
    """Batches of 1, 3 and 16, sequences of other lengths than exported, padded and alone."""
    built = build("sequence-regression", Network(cell, layers, 16, bidirectional))
    graph = export(built, tmp_path / "model.onnx")
    assert graph.route == "torch.export" and graph.note == ""
    assert [spec.shape for spec in graph.inputs] == [("batch", "time", 3), ("batch",)]
    assert [spec.dtype for spec in graph.inputs] == ["float32", "int32"]
    assert [(spec.name, spec.shape) for spec in graph.outputs] == [("prediction", ("batch", "time", 2))]
    nodes = [node for node in onnx.load(graph.path).graph.node if node.op_type == cell.upper()]
    assert len(nodes) == layers and all(node.input[4] == "lengths" for node in nodes)
    session = Session(graph.path)
    with torch.no_grad():
        for count in (1, 3, 16):
            for longest in LENGTHS:
                lengths = [1 + (longest - 1) * (row % 3 + 1) // 3 for row in range(count - 1)] + [longest]
                inputs = batch(built, lengths, longest + count % 2, seed=count)
                (found,) = session(*inputs)
                assert relative(found, built.module(*inputs)) < 1e-5
                for row in {0, count - 1}:
                    (alone,) = session(*one(inputs, row))
                    assert relative(found[row : row + 1, : lengths[row]], alone) < 1e-5
                    assert not found[row, lengths[row] :].any()


@pytest.mark.parametrize(("task", "cell"), [*zip(TASKS, ("gru", "rnn", "lstm", "gru", "rnn"), strict=True)])
def test_every_task_with_everything_a_network_can_have(task: str, cell: str, tmp_path: Path) -> None:
    readout = READOUTS[TASKS.index(task) % 3]
    activation = "relu" if cell == "rnn" else "tanh"
    network = Network(cell, 2, 8, True, 0.2, True, True, "orthogonal", activation, readout, embedding=6)
    built = build(task, network)
    graph = export(built, tmp_path / "model.onnx")
    assert [spec.name for spec in graph.inputs] == list(built.input_names)
    assert graph.route == "torch.export"
    session = Session(graph.path)
    with torch.no_grad():
        for lengths in ([1], [9, 30, 2], [70, 5]):
            inputs = batch(built, lengths, time=max(lengths) + 3)
            assert relative(session(*inputs)[0], built.module(*inputs)) < 1e-5
    model = onnx.load(graph.path)
    assert not {tensor.name for tensor in model.graph.initializer if "weight_ih" in tensor.name}


@pytest.mark.parametrize(
    ("task", "cell", "options"),
    [
        ("sequence-regression", "rnn", {"layers": 2}),
        ("sequence-regression", "lstm", {}),
        ("sequence-classification", "gru", {"layers": 2, "residual": True, "layer_norm": True}),
        ("sequence-classification", "lstm", {"readout": "mean"}),
        ("audio-classification", "gru", {"readout": "max"}),
        ("forecasting", "lstm", {"layers": 2, "readout": "mean"}),
    ],
)
def test_streaming_over_a_thousand_steps_is_the_whole(
    task: str, cell: str, options: dict[str, Any], tmp_path: Path
) -> None:
    """Every so often the streamed answer is held against the whole model's on the steps so far."""
    built = build(task, Network(cell, hidden=16, **options))
    form = built.part("step")
    assert form.spec is not None
    graph = export_step(form, tmp_path / "step.onnx")
    assert graph.route == "torch.export"
    assert [(spec.name, spec.shape) for spec in graph.inputs] == [
        *((spec.name, spec.shape) for spec in form.spec.inputs),
        *((state.input, state.shape) for state in form.spec.states),
    ]
    assert [spec.name for spec in graph.outputs] == list(form.output_names)
    assert form.output_names[0] == built.output_names[0]
    assert graph.outputs[0].shape == form.spec.outputs[0].shape
    session = Session(graph.path)
    inputs = batch(built, [STEPS] * 3)
    values, extra = inputs[0], inputs[2:]
    states = initial_states(form, 3)
    with torch.no_grad():
        whole = built.module(*inputs) if task == "sequence-regression" else None
        for step in range(STEPS):
            found, *states = session(values[:, step].unsqueeze(0), *extra, *states)
            if whole is not None:
                assert relative(found, whole[:, step]) < 1e-4
            elif step in (0, 1, 9, 99, STEPS - 1):
                so_far = torch.full((3,), step + 1, dtype=torch.int32)
                wanted = built.module(values[:, : step + 1], so_far, *extra)
                assert relative(found, wanted) < 1e-4


@pytest.mark.parametrize("cell", CELLS)
def test_the_streaming_form_in_torch_is_the_graph(cell: str, tmp_path: Path) -> None:
    built = build("sequence-regression", Network(cell, hidden=8))
    form = built.part("step")
    assert form.spec is not None
    session = Session(export_step(form, tmp_path / "step.onnx").path)
    step, states = torch.randn(1, 5, 3), [torch.randn(1, 5, 8) for _ in form.spec.states]
    with torch.no_grad():
        for found, wanted in zip(session(step, *states), form.module(step, *states), strict=True):
            assert relative(found, wanted) < 1e-5


@pytest.mark.parametrize("lengths", [[1], [1, 1], [70_000]])
def test_the_example_may_have_any_size(lengths: list[int], tmp_path: Path) -> None:
    built = build("sequence-classification", Network("rnn", hidden=4))
    example = batch(built, lengths)
    graph = export_graph(
        built.module, example, tmp_path / "m.onnx", built.input_names, built.output_names, built.dynamic_axes
    )
    assert graph.route == "torch.export"
    inputs = batch(built, [9, 4, 1])
    with torch.no_grad():
        assert relative(Session(graph.path)(*inputs)[0], built.module(*inputs)) < 1e-5


def test_nothing_is_left_in_the_model_and_twice_is_the_same_file(tmp_path: Path) -> None:
    built = build("sequence-classification", Network("gru", hidden=8, bidirectional=True))
    before = {name: tensor.clone() for name, tensor in built.module.named_buffers()}
    first = export(built, tmp_path / "first.onnx").path.read_bytes()
    assert dict(built.module.named_buffers()).keys() == before.keys() == set()
    assert "onnx_w" not in "".join(built.module.state_dict())
    assert export(built, tmp_path / "second.onnx").path.read_bytes() == first


def test_a_model_of_both_directions_and_one_of_text_do_not_stream() -> None:
    assert build("sequence-regression", Network("lstm", bidirectional=True)).others == {}
    assert build("text-classification", Network("lstm")).others == {}
    assert build("audio-classification", Network("lstm")).others.keys() == {"step"}
