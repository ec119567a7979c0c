"""One operator for a layer: gates in ONNX's order, lengths, both directions, states, nothing left behind."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from edgewright.exporters.graph.export import export_graph
from edgewright.exporters.graph.recurrent import OPERATORS, onnx_layer, onnx_weights

CELLS = {"RNN": nn.RNN, "LSTM": nn.LSTM, "GRU": nn.GRU}


class Layer(nn.Module):
    """One direction or two of one cell, time first, as an operator when exported; in torch it is nn's own."""

    def __init__(self, operator: str, directions: int = 1, states: bool = False) -> None:
        super().__init__()
        self.cells = nn.ModuleList(CELLS[operator](3, 4) for _ in range(directions))
        self.states = states

    def forward(self, steps: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        lengths, states = (None, rest) if self.states else (rest[0], ())
        if torch.onnx.is_in_onnx_export():
            outputs, after = onnx_layer(self.cells, steps, lengths, states)
            return (outputs, *after)
        cell = self.cells[0]
        state = states if len(states) == 2 else states[0] if states else None
        outputs, after = cell(steps, state)
        after = after if isinstance(after, tuple) else (after,)
        if len(self.cells) == 2:
            backward, last = self.cells[1](steps.flip(0))
            outputs = torch.cat([outputs, backward.flip(0)], dim=2)
            last = last if isinstance(last, tuple) else (last,)
            after = tuple(torch.cat(pair) for pair in zip(after, last, strict=True))
        return (outputs, *after)


def run(path: Path, *inputs: Tensor) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]
    found: list[np.ndarray] = session.run(None, {n: v.numpy() for n, v in zip(names, inputs, strict=True)})
    return found


@pytest.mark.parametrize("operator", CELLS)
def test_states_go_in_and_come_out(operator: str, tmp_path: Path) -> None:
    module = Layer(operator, states=True)
    count = 2 if operator == "LSTM" else 1
    states = [torch.randn(1, 2, 4) for _ in range(count)]
    names = ["steps", *(f"state_{number}" for number in range(count))]
    axes = {"steps": {0: "time", 1: "batch"}, **{name: {1: "batch"} for name in names[1:]}}
    after = [f"after_{number}" for number in range(count)]
    graph = export_graph(
        module, (torch.randn(5, 2, 3), *states), tmp_path / "model.onnx", names, ["outputs", *after], axes
    )
    inputs = torch.randn(9, 3, 3), *(torch.randn(1, 3, 4) for _ in range(count))
    with torch.no_grad():
        for found, wanted in zip(run(graph.path, *inputs), module(*inputs), strict=True):
            assert np.abs(found - wanted.numpy()).max() < 1e-6


@pytest.mark.parametrize("operator", CELLS)
def test_both_directions_are_one_node_with_the_weights_of_both(operator: str, tmp_path: Path) -> None:
    module = Layer(operator, 2)
    axes = {"steps": {0: "time", 1: "batch"}, "lengths": {0: "batch"}}
    example = torch.randn(5, 2, 3), torch.tensor([5, 5], dtype=torch.int32)
    names = ["outputs", "hidden", "cell"][: 3 if operator == "LSTM" else 2]
    path = export_graph(module, example, tmp_path / "model.onnx", ("steps", "lengths"), names, axes).path
    model = onnx.load(path)
    (node,) = (node for node in model.graph.node if node.op_type == operator)
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    gates = {"RNN": 1, "LSTM": 4, "GRU": 3}[operator]
    assert [weights[name].shape for name in node.input[1:4]] == [
        (2, 4 * gates, 3),
        (2, 4 * gates, 4),
        (2, 8 * gates),
    ]
    attributes = {entry.name: onnx.helper.get_attribute_value(entry) for entry in node.attribute}
    assert attributes["direction"] == b"bidirectional" and attributes["hidden_size"] == 4
    assert attributes.get("linear_before_reset", 0) == (operator == "GRU")
    steps = torch.randn(9, 3, 3)
    with torch.no_grad():
        wanted = module(steps, torch.full((3,), 9, dtype=torch.int32))
        for ours, theirs in zip(
            run(path, steps, torch.full((3,), 9, dtype=torch.int32)), wanted, strict=True
        ):
            assert np.abs(ours - theirs.numpy()).max() < 1e-6
        padded = run(path, steps, torch.tensor([9, 2, 5], dtype=torch.int32))
        for row, length in enumerate((9, 2, 5)):
            alone = module(steps[:length, row : row + 1], torch.tensor([length], dtype=torch.int32))
            assert np.abs(padded[0][:length, row] - alone[0][:, 0].numpy()).max() < 1e-6
            assert not padded[0][length:, row].any()
            for ours, theirs in zip(padded[1:], alone[1:], strict=True):
                assert np.abs(ours[:, row] - theirs[:, 0].numpy()).max() < 1e-6


def test_the_weights_are_there_only_while_they_are_needed() -> None:
    module = nn.ModuleDict({"one": Layer("LSTM", 2), "other": Layer("GRU")})
    before = set(dict(module.named_buffers()))
    with onnx_weights(module):
        held = dict(module.named_buffers())
        assert {name.rpartition(".")[2] for name in held} == {"onnx_w", "onnx_r", "onnx_b"}
        assert len(held) == 6
        assert not {name for name in module.state_dict() if "onnx" in name}
        # i, f, g, o of torch stand as i, o, f, c
        rows = torch.split(module.get_parameter("one.cells.0.weight_hh_l0"), 4)
        wanted = torch.cat([rows[0], rows[3], rows[1], rows[2]])
        assert torch.equal(held["one.cells.0.onnx_r"][0], wanted)
    assert set(dict(module.named_buffers())) == before
    with pytest.raises(RuntimeError, match="stop"), onnx_weights(module):
        raise RuntimeError("stop")
    assert set(dict(module.named_buffers())) == before


@pytest.mark.parametrize("options", [{"num_layers": 2}, {"bidirectional": True}, {"bias": False}])
def test_a_layer_of_another_form_is_refused(options: dict[str, int]) -> None:
    cells = nn.ModuleList([nn.LSTM(3, 4, **options)])
    with pytest.raises(ValueError, match="one direction in each module"):
        onnx_layer(cells, torch.randn(5, 2, 3), None)


def test_layers_of_another_form_are_left_alone() -> None:
    module = nn.ModuleList([nn.LSTM(3, 4, num_layers=2), nn.Linear(4, 2)])
    with onnx_weights(module):
        assert not dict(module.named_buffers())


def test_every_operator_has_its_class() -> None:
    assert {kind.__name__: name for kind, name in OPERATORS.items()} == {name: name for name in CELLS}
