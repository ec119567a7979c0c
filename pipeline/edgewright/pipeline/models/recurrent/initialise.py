"""How the weights of recurrent layers begin, by name."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

_FORGET = 1.0
"""Bias of an LSTM's forget gate: it begins by remembering, so that gradients reach back from the first step on."""


def initialise(cell: nn.RNNBase, name: str) -> None:
    """Fill the weights of a one-layer `cell` from the process's random state.

    "default" is torch's own; "xavier" and "he" draw the weights of each gate for its own width (he for relu);
    "orthogonal" makes each gate's recurrent weights a rotation, which neither shrinks nor grows what it carries, and
    draws the others as xavier. All but "default" begin with biases of zero. The forget gate of an LSTM begins with a
    bias of 1 in all of them: torch adds two biases, so one is 1 and the other 0.
    """
    gates = {nn.LSTM: 4, nn.GRU: 3}.get(type(cell), 1)
    with torch.no_grad():
        if name != "default":
            for weight in cell.get_parameter("weight_ih_l0").chunk(gates):
                _he(weight) if name == "he" else nn.init.xavier_uniform_(weight)
            for weight in cell.get_parameter("weight_hh_l0").chunk(gates):
                _RECURRENT[name](weight)
            nn.init.zeros_(cell.get_parameter("bias_ih_l0"))
            nn.init.zeros_(cell.get_parameter("bias_hh_l0"))
        if isinstance(cell, nn.LSTM):
            forget = slice(cell.hidden_size, 2 * cell.hidden_size)
            cell.get_parameter("bias_ih_l0")[forget] = _FORGET
            cell.get_parameter("bias_hh_l0")[forget] = 0.0


def _he(weight: Tensor) -> Tensor:
    return nn.init.kaiming_normal_(weight, nonlinearity="relu")


_RECURRENT: dict[str, Callable[[Tensor], Tensor]] = {
    "xavier": nn.init.xavier_uniform_,
    "he": _he,
    "orthogonal": nn.init.orthogonal_,
}
