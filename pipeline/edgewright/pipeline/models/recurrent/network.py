"""What decides the layers of a recurrent model: the recipe's `network`, and the widths that data and task give."""

from dataclasses import dataclass

from edgewright.runtime.errors import RecipeError

CELLS = ("rnn", "lstm", "gru")
INITIALISATIONS = ("default", "xavier", "he", "orthogonal")
ACTIVATIONS = ("tanh", "relu")
READOUTS = ("last", "mean", "max")


@dataclass(frozen=True)
class Network:
    """The layers of a recurrent model.

    Attributes:
        cell: "rnn", "lstm" or "gru".
        hidden: width of one direction of a layer.
        dropout: share of the values that is set to zero, in training, behind every layer.
        residual: every layer's input is added to its output, through a linear map where the widths differ.
        layer_norm: every layer's output is normalised over its width.
        init: how the layers' weights begin: see `initialise`.
        activation: "tanh" or "relu"; of rnn alone.
        readout: what a whole sequence leaves for the head: its last step, the mean, or the largest of its steps.
        embedding: width of a token, of text.
    """

    cell: str
    layers: int = 1
    hidden: int = 128
    bidirectional: bool = False
    dropout: float = 0.0
    residual: bool = False
    layer_norm: bool = False
    init: str = "default"
    activation: str = "tanh"
    readout: str = "last"
    embedding: int = 128

    @property
    def directions(self) -> int:
        """1, or 2 where every layer also reads from the end."""
        return 2 if self.bidirectional else 1

    @property
    def width(self) -> int:
        """Values that a layer gives for each step."""
        return self.directions * self.hidden


@dataclass(frozen=True)
class Dimensions:
    """The widths of a recurrent model that follow from its data and task.

    Attributes:
        features: values of one step, or, where steps are tokens, how many tokens there are.
        outputs: classes, or values to predict for each step.
        per_step: whether every step has an answer of its own.
        horizon: steps to forecast; 0 where nothing is forecast.
        known: columns whose future is known, of a forecast.
    """

    features: int
    outputs: int
    tokens: bool = False
    per_step: bool = False
    horizon: int = 0
    known: int = 0


def check_network(network: Network) -> None:
    """Raise `RecipeError`, naming the way out, where such layers cannot be built."""
    for key, value, choice in (
        ("init", network.init, INITIALISATIONS),
        ("activation", network.activation, ACTIVATIONS),
        ("readout", network.readout, READOUTS),
    ):
        if value not in choice:
            raise RecipeError(f"network.{key}: there is no {value!r}: choose one of {', '.join(choice)}")
    for key, count in (
        ("layers", network.layers),
        ("hidden", network.hidden),
        ("embedding", network.embedding),
    ):
        if count < 1:
            raise RecipeError(f"network.{key}: {count} is too small: give 1 or more")
    if not 0 <= network.dropout < 1:
        raise RecipeError(f"network.dropout: {network.dropout:g} is no share: give 0 or more and less than 1")
    if network.activation != "tanh" and network.cell != "rnn":
        raise RecipeError(
            f"network.activation: {network.cell} has gates of its own: remove the key, or set model: rnn"
        )
