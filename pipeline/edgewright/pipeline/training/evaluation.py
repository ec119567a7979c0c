"""The figures of a split: outputs of all its rows, read as answers to its samples."""

from typing import Any

import numpy as np
from torch import nn

from edgewright.pipeline.tasks.base import TrainingTask
from edgewright.pipeline.training.distributed import World
from edgewright.pipeline.training.sources import Source
from edgewright.pipeline.training.stepping import predict
from edgewright.runtime.errors import TrainingError

__all__ = ["evaluate"]


def evaluate(
    module: nn.Module, source: Source, task: TrainingTask, batch_size: int, world: World, name: str
) -> dict[str, Any]:
    """Every figure of `task` on the split called `name`. Leaves the module in eval mode.

    Raises `TrainingError` when the answers are not finite.
    """
    outputs = predict(module, source, batch_size, world)
    if not np.isfinite(outputs).all():
        raise TrainingError(
            f"the model's answers to the {name} samples are no longer finite: lower training.lr, or set "
            "training.clip_norm"
        )
    figures = task.metrics(outputs, source.targets)
    if source.samples is None:
        return figures
    assert source.lengths is not None or not task.every_step
    lengths = np.zeros(len(outputs), np.int64) if source.lengths is None else source.lengths
    return {**figures, **source.samples.figures(module, outputs, lengths)}
