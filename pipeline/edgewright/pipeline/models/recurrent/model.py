"""The recurrent model: tokens or values of steps, through a stack of layers, to the answer of a task."""

import torch
from torch import Tensor, nn

from edgewright.pipeline.models.recurrent.layers import RecurrentLayer, step_mask
from edgewright.pipeline.models.recurrent.network import Dimensions, Network
from edgewright.pipeline.models.recurrent.readout import read_out


class RecurrentBackbone(nn.Module):
    """Everything of a recurrent model but its head."""

    def __init__(
        self, network: Network, dimensions: Dimensions, embedding: nn.Embedding | None, layers: nn.ModuleList
    ) -> None:
        super().__init__()
        self.network, self.dimensions = network, dimensions
        self.embedding, self.layers = embedding, layers

    def forward(self, values: Tensor, lengths: Tensor, *_extra: Tensor) -> Tensor:
        """What the head reads.

        Args:
            values: float32 [batch, time, features], or int64 [batch, time] where steps are tokens; what stands beyond a
                sequence's length changes nothing.
            lengths: integers [batch], each from 1 to time.
            _extra: what only the head of a forecast needs.

        Returns:
            float32 [batch, width]; where every step has an answer [batch, time, width], 0 beyond the length.
        """
        steps = self.steps(values, lengths)
        if self.dimensions.per_step:
            mask = step_mask(steps.shape[0], lengths)
            return torch.where(mask, steps, 0.0).transpose(0, 1)
        return read_out(self.network, steps, lengths)

    def steps(self, values: Tensor, lengths: Tensor) -> Tensor:
        """The last layer's answer to every step, float32 [time, batch, width], undefined beyond the length."""
        steps = values.transpose(0, 1)
        if self.embedding is not None:
            steps = self.embedding(steps)
        for layer in self.layers:
            steps = layer(steps, lengths)
        return steps


class RecurrentHead(nn.Module):
    """The head of a recurrent model behind what `RecurrentBackbone` gives."""

    def __init__(self, dimensions: Dimensions, dropout: float, head: nn.Linear) -> None:
        super().__init__()
        self.dimensions = dimensions
        self.dropout = nn.Dropout(dropout)
        self.head = head

    def forward(self, features: Tensor, *extra: Tensor) -> Tensor:
        """Features, float32 [batch, width] or [batch, time, width], to logits or predictions.

        `extra` of a forecast: `anchor`, float32 [batch, horizon, outputs], to which the head adds, and, where there
        are known columns, `known`, float32 [batch, horizon, columns].
        """
        return answer(self.dimensions, self.head, self.dropout(features), extra)


def answer(dimensions: Dimensions, head: nn.Linear, features: Tensor, extra: tuple[Tensor, ...]) -> Tensor:
    """What a head makes of features; the arguments are those of `RecurrentHead`."""
    if not dimensions.horizon:
        logits: Tensor = head(features)
        return logits
    anchor = extra[0]
    if dimensions.known:
        features = torch.cat([features, extra[1].flatten(1)], dim=1)
    forecast: Tensor = head(features).unflatten(1, (dimensions.horizon, dimensions.outputs))
    return anchor + forecast


class RecurrentModel(RecurrentBackbone):
    """A stack of recurrent layers and a linear head, with random weights.

    In eval mode a batch of padded sequences is answered as each of them alone.
    """

    def __init__(self, network: Network, dimensions: Dimensions) -> None:
        embedding = nn.Embedding(dimensions.features, network.embedding) if dimensions.tokens else None
        width = network.embedding if dimensions.tokens else dimensions.features
        layers = nn.ModuleList(
            RecurrentLayer(network, network.width if number else width, first=number == 0)
            for number in range(network.layers)
        )
        super().__init__(network, dimensions, embedding, layers)
        self.dropout = nn.Dropout(network.dropout)
        horizon = dimensions.horizon
        self.head = nn.Linear(
            network.width + horizon * dimensions.known, max(horizon, 1) * dimensions.outputs
        )

    def forward(self, values: Tensor, lengths: Tensor, *extra: Tensor) -> Tensor:
        """Logits, float32 [batch, classes]; a prediction for every step, [batch, time, outputs], 0 beyond the
        length; or a forecast, [batch, horizon, outputs]. The arguments are those of `RecurrentBackbone` and, of
        a forecast, of `RecurrentHead`.
        """
        steps = self.steps(values, lengths)
        if self.dimensions.per_step:
            result = answer(self.dimensions, self.head, self.dropout(steps), extra)
            return torch.where(step_mask(steps.shape[0], lengths), result, 0.0).transpose(0, 1)
        features = read_out(self.network, steps, lengths)
        return answer(self.dimensions, self.head, self.dropout(features), extra)

    def backbone(self) -> RecurrentBackbone:
        """Everything but the head, with the same layers under the same names."""
        return RecurrentBackbone(self.network, self.dimensions, self.embedding, self.layers)

    def answering(self) -> RecurrentHead:
        """The head as a module of its own, in the same mode, with the same weights."""
        head = RecurrentHead(self.dimensions, self.network.dropout, self.head)
        return head.train(self.training)
