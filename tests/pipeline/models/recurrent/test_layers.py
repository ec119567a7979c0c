"""One layer: as torch's own, exact on padded batches, initialised by name."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from edgewright.pipeline.models.recurrent.layers import RecurrentLayer, reversed_index, step_mask, take_steps
from edgewright.pipeline.models.recurrent.network import CELLS, INITIALISATIONS, Network


def layer_of(cell: str, features: int = 5, **options: Any) -> RecurrentLayer:
    torch.manual_seed(1)
    return RecurrentLayer(Network(cell, hidden=8, **options), features).eval()


def weight(layer: RecurrentLayer, name: str) -> Tensor:
    """A parameter of the layer's first cell."""
    return layer.cells[0].get_parameter(name).detach()


def packed(layer: RecurrentLayer, steps: Tensor, lengths: Tensor) -> Tensor:
    """What torch's own bidirectional layer with these weights makes of the packed batch; zero beyond the lengths."""
    cells = layer.cells
    kind = type(cells[0])
    options = {"nonlinearity": cells[0].nonlinearity} if kind is nn.RNN else {}
    whole = kind(steps.shape[2], 8, bidirectional=len(cells) == 2, **options)
    state: dict[str, Tensor] = {}
    for suffix, cell in zip(("", "_reverse"), cells, strict=False):
        state |= {f"{name}{suffix}": tensor for name, tensor in cell.state_dict().items()}
    whole.load_state_dict(state)
    outputs = whole(nn.utils.rnn.pack_padded_sequence(steps, lengths, enforce_sorted=False))[0]
    padded, _ = nn.utils.rnn.pad_packed_sequence(outputs, total_length=steps.shape[0])
    return padded


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize(
    ("cell", "activation"), [("rnn", "tanh"), ("rnn", "relu"), ("lstm", "tanh"), ("gru", "tanh")]
)
def test_a_padded_batch_is_answered_as_packed_by_torch(
    cell: str, bidirectional: bool, activation: str
) -> None:
    layer = layer_of(cell, bidirectional=bidirectional, activation=activation)
    lengths = torch.tensor([9, 1, 5, 12])
    steps = torch.randn(12, 4, 5)
    mask = step_mask(12, lengths)
    found = layer(steps, lengths)
    assert found.shape == (12, 4, 16 if bidirectional else 8)
    assert torch.allclose(torch.where(mask, found, 0.0), packed(layer, steps, lengths), atol=1e-6)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_what_stands_in_the_padding_changes_nothing(bidirectional: bool) -> None:
    layer = layer_of("gru", bidirectional=bidirectional, residual=True, layer_norm=True)
    lengths = torch.tensor([3, 6])
    steps = torch.randn(6, 2, 5, requires_grad=True)
    mask = step_mask(6, lengths)
    found = torch.where(mask, layer(steps, lengths), 0.0)
    other = torch.where(mask, steps, 1e6).detach()
    assert torch.equal(found, torch.where(mask, layer(other, lengths), 0.0))
    (gradient,) = torch.autograd.grad(found.sum(), steps)
    assert not gradient[~mask.expand_as(steps)].any() and gradient[mask.expand_as(steps)].all()


def test_turned_around_twice_is_as_before() -> None:
    steps = torch.arange(10.0).view(5, 2, 1)
    index = reversed_index(5, torch.tensor([5, 3], dtype=torch.int32))
    turned = take_steps(steps, index)
    assert turned[:, 0, 0].tolist() == [8, 6, 4, 2, 0]
    assert turned[:, 1, 0].tolist() == [5, 3, 1, 7, 9]
    assert torch.equal(take_steps(turned, index), steps)


@pytest.mark.parametrize("cell", CELLS)
def test_steps_one_by_one_are_the_sequence(cell: str) -> None:
    layer = layer_of(cell, residual=True, layer_norm=True)
    steps = torch.randn(20, 3, 5)
    whole = layer(steps, torch.full((3,), 20))
    states = (torch.zeros(1, 3, 8),) * (2 if cell == "lstm" else 1)
    for number, step in enumerate(torch.split(steps, 1)):
        found, states = layer.step(step, states)
        assert torch.allclose(found[0], whole[number], atol=1e-5)


def test_a_residual_is_projected_only_where_the_widths_differ() -> None:
    assert layer_of("lstm", features=8, residual=True).project is None
    layer = layer_of("lstm", features=5, residual=True)
    assert layer.project is not None and layer.project.weight.shape == (8, 5)
    steps, lengths = torch.randn(4, 2, 5), torch.tensor([4, 4])
    plain = layer.cells[0](steps)[0]
    assert torch.allclose(layer(steps, lengths), plain + layer.project(steps))
    assert layer_of("lstm").project is None


@pytest.mark.parametrize("init", INITIALISATIONS)
def test_the_forget_gate_of_an_lstm_begins_open(init: str) -> None:
    total = weight(layer_of("lstm", init=init), "bias_ih_l0") + weight(
        layer_of("lstm", init=init), "bias_hh_l0"
    )
    assert torch.equal(total[8:16], torch.ones(8))
    if init != "default":
        assert not total[:8].any() and not total[16:].any()


@pytest.mark.parametrize("cell", CELLS)
def test_orthogonal_keeps_the_length_of_what_each_gate_carries(cell: str) -> None:
    for gate in torch.split(weight(layer_of(cell, init="orthogonal"), "weight_hh_l0"), 8):
        assert torch.allclose(gate @ gate.T, torch.eye(8), atol=1e-5)
    drawn = weight(layer_of(cell, init="xavier"), "weight_hh_l0")[:8]
    assert not torch.allclose(drawn @ drawn.T, torch.eye(8), atol=1e-2)


def test_xavier_and_he_draw_each_gate_for_its_own_width() -> None:
    torch.manual_seed(0)
    xavier = RecurrentLayer(Network("lstm", hidden=200, init="xavier"), 100)
    limit = (6 / (100 + 200)) ** 0.5
    assert limit * 0.95 < float(weight(xavier, "weight_ih_l0").abs().max()) <= limit
    he = RecurrentLayer(Network("rnn", hidden=200, init="he", activation="relu"), 100)
    assert float(weight(he, "weight_ih_l0").std()) == pytest.approx((2 / 100) ** 0.5, rel=0.05)
    assert float(weight(he, "weight_hh_l0").std()) == pytest.approx((2 / 200) ** 0.5, rel=0.05)
