"""A look at the gradients that reach each time step, between two epochs, that leaves the training as it was."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from edgewright.pipeline.models.model import BuiltModel
from edgewright.pipeline.models.recurrent.model import RecurrentModel
from edgewright.pipeline.tasks.base import Objective
from edgewright.pipeline.training.randomness import generator
from edgewright.pipeline.training.sources import Source
from edgewright.runtime.bundle.structure import to_plain

Observe = Callable[[], dict[str, Any] | None]
"""What reaches each time step, as plain values; None where the model has no time."""

_SAMPLES = 8


def gradient_observer(
    built: BuiltModel, source: Source, task: Objective, seed: int, device: torch.device
) -> Observe | None:
    """A way to look at `built` as it is at that moment, always on the same few of the longest samples of `source`; None
    where there is no recurrent net.
    """
    lengths = source.lengths
    if lengths is None or not isinstance(built.module, RecurrentModel):
        return None
    mixed = generator(seed, "gradients").permutation(len(lengths))
    chosen = np.sort(mixed[np.argsort(-lengths[mixed], kind="stable")][:_SAMPLES])

    def observe() -> dict[str, Any] | None:
        from edgewright.pipeline.training.gradients import gradient_curves

        (inputs,) = source.batches([chosen], None)
        moved = tuple(tensor.to(device) for tensor in inputs)
        targets = torch.from_numpy(source.targets[chosen])
        plain: dict[str, Any] = to_plain(gradient_curves(built, moved, targets, task))
        return plain

    return observe
