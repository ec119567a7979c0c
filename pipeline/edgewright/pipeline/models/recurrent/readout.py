"""What a sequence leaves for the head: its last step, the mean or the largest of all; also step by step."""

import torch
from torch import Tensor

from edgewright.pipeline.models.recurrent.layers import step_mask
from edgewright.pipeline.models.recurrent.network import Network
from edgewright.runtime.contracts import StateSpec

LOWEST = -3.4e38
"""Stands for "nothing yet" in a running maximum; float32 holds it, and an exported graph needs no infinity."""


def read_out(network: Network, steps: Tensor, lengths: Tensor) -> Tensor:
    """Steps, float32 [time, batch, width], to one row for each sequence, float32 [batch, width].

    "last" takes, of a layer in both directions, the end of each half: the last step of the first, the first step of
    the half that read backwards.
    """
    if network.readout == "last":
        index = (lengths.long() - 1).view(1, -1, 1).expand(1, -1, steps.shape[2])
        last = steps.gather(0, index).squeeze(0)
        if not network.bidirectional:
            return last
        return torch.cat([last[:, : network.hidden], steps[0, :, network.hidden :]], dim=1)
    mask = step_mask(steps.shape[0], lengths)
    if network.readout == "mean":
        count = lengths.to(steps.dtype).unsqueeze(1)
        return torch.where(mask, steps, 0.0).sum(dim=0) / count
    return torch.where(mask, steps, LOWEST).amax(dim=0)


def readout_states(network: Network, first: int) -> tuple[StateSpec, ...]:
    """What the readout carries from step to step; the first of it is state number `first`."""
    widths: tuple[int, ...]
    if network.readout == "mean":
        widths, initial = (network.width, 1), 0.0
    elif network.readout == "max":
        widths, initial = (network.width,), LOWEST
    else:
        return ()
    return tuple(
        StateSpec(f"state_{number}", f"next_state_{number}", ("batch", width), initial)
        for number, width in enumerate(widths, first)
    )


def read_out_step(
    network: Network, step: Tensor, states: tuple[Tensor, ...]
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """One more step, float32 [batch, width]: the readout of all steps so far, and the states after it.

    A mean of more than some millions of steps no longer moves in float32: such a stream is reset now and then.
    """
    if network.readout == "mean":
        total, count = states[0] + step, states[1] + 1.0
        return total / count, (total, count)
    if network.readout == "max":
        largest = torch.maximum(states[0], step)
        return largest, (largest,)
    return step, ()
