"""One recurrent layer, exact on batches of sequences of different lengths, and as an operator when exported."""

import functools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from edgewright.exporters.graph.recurrent import onnx_layer
from edgewright.pipeline.models.recurrent.initialise import initialise
from edgewright.pipeline.models.recurrent.network import Network

_CELLS: dict[str, Callable[..., nn.RNNBase]] = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}


class RecurrentLayer(nn.Module):
    """One layer, time first: a cell for each direction, then normalisation and what is added to it.

    A padded step changes no other step: forward cells have not seen it when a real step is answered, and backward cells
    read each sequence turned around within its own length. So no packing is needed, which trains several times slower.
    """

    def __init__(self, network: Network, features: int, first: bool = True) -> None:
        super().__init__()
        # a layer's own, so that in a frozen layer it does nothing; the input of the first is data
        self.dropout = nn.Dropout(0.0 if first else network.dropout)
        make = functools.partial(_CELLS[network.cell], features, network.hidden)
        if network.cell == "rnn":
            make = functools.partial(make, nonlinearity=network.activation)
        cells = [make() for _ in range(network.directions)]
        for cell in cells:
            initialise(cell, network.init)
        self.cells = nn.ModuleList(cells)
        self.norm = nn.LayerNorm(network.width) if network.layer_norm else None
        self.residual = network.residual
        projects = network.residual and features != network.width
        self.project = nn.Linear(features, network.width, bias=False) if projects else None

    def forward(self, steps: Tensor, lengths: Tensor) -> Tensor:
        """Steps, float32 [time, batch, features], to as many, float32 [time, batch, width].

        What stands beyond a sequence's length, integers [batch], is undefined.
        """
        steps = self.dropout(steps)
        if torch.onnx.is_in_onnx_export():
            outputs, _ = onnx_layer(self.cells, steps, lengths)
        else:
            outputs = self.cells[0](steps)[0]
            if len(self.cells) == 2:
                turned = reversed_index(steps.shape[0], lengths)
                backward = take_steps(self.cells[1](take_steps(steps, turned))[0], turned)
                outputs = torch.cat([outputs, backward], dim=2)
        return self.finish(steps, outputs)

    def step(self, steps: Tensor, states: Sequence[Tensor]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """One step, float32 [1, batch, features], of a layer of one direction.

        `states` are the hidden and, of an LSTM, the cell state, float32 [1, batch, hidden]. Returns the layer's answer,
        float32 [1, batch, width], and the states after it.
        """
        if torch.onnx.is_in_onnx_export():
            _, after = onnx_layer(self.cells, steps, None, states)
        else:
            cell = self.cells[0]
            kept = cell(steps, tuple(states) if isinstance(cell, nn.LSTM) else states[0])[1]
            after = tuple(kept) if isinstance(cell, nn.LSTM) else (kept,)
        return self.finish(steps, after[0]), after

    def finish(self, steps: Tensor, outputs: Tensor) -> Tensor:
        """What the layer makes of its cells' outputs, whose input was `steps`."""
        if self.norm is not None:
            outputs = self.norm(outputs)
        if self.residual:
            outputs = outputs + (steps if self.project is None else self.project(steps))
        return outputs


def reversed_index(time: int, lengths: Tensor) -> Tensor:
    """Which step stands at each place of a sequence turned around within its length, int64 [time, batch, 1].

    Padded steps stay where they are; taken twice, everything is where it was.
    """
    place = torch.arange(time, device=lengths.device).unsqueeze(1)
    last = lengths.long().unsqueeze(0) - 1
    return torch.where(place <= last, last - place, place).unsqueeze(2)


def step_mask(time: int, lengths: Tensor) -> Tensor:
    """True where a step is within its sequence's length, bool [time, batch, 1]."""
    place = torch.arange(time, device=lengths.device, dtype=lengths.dtype).unsqueeze(1)
    return (place < lengths.unsqueeze(0)).unsqueeze(2)


def take_steps(steps: Tensor, index: Tensor) -> Tensor:
    """Steps, [time, batch, width], in the order of `index`, int64 [time, batch, 1]."""
    return steps.gather(0, index.expand(-1, -1, steps.shape[2]))
