"""One layer of nn.RNN, nn.LSTM or nn.GRU as one ONNX operator of that name, with any number of steps.

torch's own conversion of these layers freezes the time axis of nn.RNN, knows no lengths, and takes several layers
apart differently from version to version. Here the operator is written down as it is: weights in ONNX's order of
gates, `sequence_lens` wired, both directions in one node.
"""

import contextlib
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

OPERATORS: dict[type[nn.Module], str] = {nn.RNN: "RNN", nn.LSTM: "LSTM", nn.GRU: "GRU"}
"""Class of a layer to its ONNX operator."""

_GATES = {"RNN": (0,), "LSTM": (0, 3, 1, 2), "GRU": (1, 0, 2)}
"""Position in torch's weights of each of ONNX's gates: i, f, g, o -> i, o, f, c and r, z, n -> z, r, h."""

_OPSET = 14
"""The version of the three operators that every graph of `export_graph` can hold."""

_NAMES = ("onnx_w", "onnx_r", "onnx_b")


@contextlib.contextmanager
def onnx_weights(module: nn.Module) -> Iterator[None]:
    """While open, the recurrent layers of `module` also hold their weights as their operators want them.

    They have to be tensors of the module, not computed in the graph: a quantiser looks for weights, not for the nodes
    that would reorder them. Two layers that stand in one nn.ModuleList of their own are the two directions of one
    operator; the first of them holds the weights of both.
    """
    pairs = [_directions(part) for part in module.modules()]
    pairs = [pair for pair in pairs if pair]
    try:
        with torch.no_grad():
            for pair in pairs:
                for name, tensor in zip(_NAMES, _weights(pair), strict=True):
                    pair[0].register_buffer(name, tensor, persistent=False)
        yield
    finally:
        for pair in pairs:
            for name in _NAMES:
                pair[0]._buffers.pop(name, None)
                pair[0]._non_persistent_buffers_set.discard(name)


def onnx_layer(
    cells: nn.ModuleList, steps: Tensor, lengths: Tensor | None, states: Sequence[Tensor] = ()
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """The operator of one layer in a graph that is being exported; call it within `onnx_weights`.

    Args:
        cells: one nn.RNN, nn.LSTM or nn.GRU of one layer and direction, time first, with biases; or two of them, the
            second of which reads every sequence from its end. Any other form is a `ValueError`.
        steps: float32 [time, batch, features].
        lengths: int32 [batch], or None where every sequence is as long as `steps`.
        states: the hidden and, of an LSTM, the cell state before the first step, float32 [directions, batch,
            hidden]; empty for zeros.

    Returns:
        What every step gives, float32 [time, batch, directions * hidden], zero beyond a sequence's length, and the
        states after each sequence's last step, as `states`.
    """
    cell = cells[0]
    if not _directions(cells) or not isinstance(cell, nn.RNNBase):
        raise ValueError("a layer is exported with one direction in each module, biases and no projection")
    operator = OPERATORS[type(cell)]
    directions, hidden = len(cells), cell.hidden_size
    time, batch = steps.shape[0], steps.shape[1]
    attributes: dict[str, int | str | list[str]] = {
        "hidden_size": hidden,
        "direction": "bidirectional" if directions == 2 else "forward",
    }
    if isinstance(cell, nn.GRU):
        attributes["linear_before_reset"] = 1
    if isinstance(cell, nn.RNN):
        attributes["activations"] = ["Relu" if cell.nonlinearity == "relu" else "Tanh"] * directions
    weights = [cell.get_buffer(name) for name in _NAMES]
    carried = 2 if operator == "LSTM" else 1
    given: list[Tensor | None] = [*states] if states else [None] * carried
    shapes = [[time, directions, batch, hidden]] + [[directions, batch, hidden]] * carried
    outputs, *after = torch.onnx.ops.symbolic_multi_out(
        operator,
        [steps, *weights, lengths, *given],
        attributes,  # type: ignore[arg-type]
        dtypes=[torch.float32] * len(shapes),
        shapes=shapes,
        version=_OPSET,
    )
    if directions == 1:
        joined = outputs.squeeze(1)
    else:
        joined = outputs.transpose(1, 2).reshape(time, batch, directions * hidden)
    return joined, tuple(after)


def _directions(part: nn.Module) -> list[nn.RNNBase]:
    """The layers that `part` holds as the directions of one operator; none for any other module."""
    if not isinstance(part, nn.ModuleList) or len(part) not in (1, 2):
        return []
    cells = [cell for cell in part if isinstance(cell, nn.RNNBase) and _is_plain(cell)]
    return cells if len(cells) == len(part) else []


def _is_plain(cell: nn.RNNBase) -> bool:
    single = cell.num_layers == 1 and not cell.bidirectional
    return type(cell) in OPERATORS and single and bool(cell.bias) and not cell.proj_size


def _weights(cells: Sequence[nn.RNNBase]) -> tuple[Tensor, Tensor, Tensor]:
    """W [directions, gates * hidden, features], R [directions, gates * hidden, hidden] and B [directions, 2 * gates *
    hidden], in B those of the input before those of the recurrence.
    """
    gates = _GATES[OPERATORS[type(cells[0])]]

    def ordered(tensor: Tensor) -> Tensor:
        parts = tensor.detach().chunk(len(gates))
        return torch.cat([parts[gate] for gate in gates])

    weights, recurrences, biases = [], [], []
    for cell in cells:
        weights.append(ordered(cell.get_parameter("weight_ih_l0")))
        recurrences.append(ordered(cell.get_parameter("weight_hh_l0")))
        biases.append(torch.cat([ordered(cell.get_parameter(f"bias_{kind}_l0")) for kind in ("ih", "hh")]))
    return torch.stack(weights), torch.stack(recurrences), torch.stack(biases)
