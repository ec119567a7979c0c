"""The streaming form of a recurrent model: one step and the states so far, to an answer and the states after it."""

import torch
from torch import Tensor, nn

from edgewright.exporters.part import Part, stateful_part
from edgewright.pipeline.models.recurrent.layers import RecurrentLayer
from edgewright.pipeline.models.recurrent.model import RecurrentModel, answer
from edgewright.pipeline.models.recurrent.readout import read_out_step, readout_states
from edgewright.runtime.contracts import GraphSpec, StateSpec, TensorSpec


class StepModule(nn.Module):
    """One step of a model whose layers all read forwards; it shares the model's weights.

    After t steps from the states' initial values it answers as the model does to a sequence of these t steps.
    """

    def __init__(self, model: RecurrentModel) -> None:
        super().__init__()
        self.network, self.dimensions = model.network, model.dimensions
        self.layers, self.head = model.layers, model.head
        self.extras = len(extra_specs(model))

    def forward(self, values: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        """Values, float32 [1, batch, features], what else the head of a forecast reads, and the states in the order
        of `step_part`, to the answer, float32 [batch, ...], and the states after this step.
        """
        extra, states = rest[: self.extras], rest[self.extras :]
        carried = 2 if self.network.cell == "lstm" else 1
        after: list[Tensor] = []
        steps = values
        for number, layer in enumerate(self.layers):
            before = states[number * carried : (number + 1) * carried]
            assert isinstance(layer, RecurrentLayer)
            steps, kept = layer.step(steps, before)
            after += kept
        step = steps.squeeze(0)
        if not self.dimensions.per_step:
            step, kept = read_out_step(self.network, step, states[len(after) :])
            after += kept
        return answer(self.dimensions, self.head, step, extra), *after


def extra_specs(model: RecurrentModel) -> tuple[TensorSpec, ...]:
    """What the head of a forecast reads beside the values: none for every other task."""
    dimensions = model.dimensions
    if not dimensions.horizon:
        return ()
    anchor = TensorSpec("anchor", "float32", ("batch", dimensions.horizon, dimensions.outputs))
    known = TensorSpec("known", "float32", ("batch", dimensions.horizon, dimensions.known))
    return (anchor, known) if dimensions.known else (anchor,)


def step_part(model: RecurrentModel, output: str, source: str = "values") -> Part:
    """The streaming form of `model`, which reads `source` and whose answer is called `output`. Its layers must read
    forwards only.
    """
    network, dimensions = model.network, model.dimensions
    names = ("hidden", "cell") if network.cell == "lstm" else ("hidden",)
    count = network.layers * len(names)
    states = [
        StateSpec(f"state_{number}", f"next_state_{number}", (1, "batch", network.hidden))
        for number in range(count)
    ]
    if not dimensions.per_step:
        states += readout_states(network, count)
    answered = (dimensions.horizon, dimensions.outputs) if dimensions.horizon else (dimensions.outputs,)
    spec = GraphSpec(
        inputs=(TensorSpec(source, "float32", (1, "batch", dimensions.features)), *extra_specs(model)),
        outputs=(TensorSpec(output, "float32", ("batch", *answered)),),
        states=tuple(states),
    )

    def example() -> tuple[Tensor, ...]:
        inputs = (_example(one.shape) for one in spec.inputs)
        return (*inputs, *(_example(state.shape, state.initial) for state in spec.states))

    return stateful_part(StepModule(model).eval(), spec, example)


def _example(shape: tuple[int | str, ...], value: float = 0.0) -> Tensor:
    return torch.full([2 if isinstance(side, str) else side for side in shape], value)
