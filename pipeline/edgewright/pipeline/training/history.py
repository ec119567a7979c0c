"""What comes before a sample in a stream that carries its state on: training reads it, then learns from the sample.

Without it a net meets only states that are as old as a sample is long, and a stream is soon far beyond these.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from edgewright.pipeline.data.samples import Sample
from edgewright.pipeline.recipe.recipe import Recipe
from edgewright.pipeline.training.randomness import generator
from edgewright.runtime.contracts import Tensors
from edgewright.runtime.series.settings import Series
from edgewright.runtime.tasks.base import Task
from edgewright.runtime.tasks.series import LENGTHS

_SAMPLES = 4
"""Up to so many times the steps of a sample are read before it: by then what a net keeps, it keeps."""

_ALONE = 0.5
"""Share of the sounds that nothing comes before, as in a file."""


class History:
    """Puts steps before a sample: earlier ones of its recording, as many as chance wants, or those of another sound."""

    def __init__(self, samples: Sequence[Sample], device: Task[Any], seed: int) -> None:
        self._samples, self._device, self._seed = samples, device, seed

    def before(self, index: int, epoch: int, row: Tensors, other: Callable[[int], Tensors]) -> Tensors:
        """The encoded sample `index` with steps before it, others in each epoch; `other` encodes a sample."""
        source = self._device.input_names[0]
        draws, place = generator(self._seed, "history", epoch, index), self._samples[index].place
        if place is None:
            if draws.random() < _ALONE:
                return row
            steps = other(int(draws.integers(len(self._samples))))[source]
        else:
            length = place.stop - place.start
            count = int(draws.integers(min(place.start, _SAMPLES * length) + 1))
            if not count:
                return row
            whole: Series = place.recording
            cut = slice(place.start - count, place.start)
            times = None if whole.times is None else whole.times[cut]
            steps = self._device.steps(Series(whole.values[cut], whole.columns, times, whole.name))
        values = np.concatenate((steps, row[source]))
        return {**row, source: values, LENGTHS: np.array(len(values), np.int32)}


def history_of(recipe: Recipe, samples: Sequence[Sample], device: Task[Any]) -> History | None:
    """What training puts before its samples; None where streams do not carry their state beyond one. Where every step
    has an answer, the steps of a sample are of every age already.
    """
    carried = recipe.stream_memory == "carried" and recipe.cuts_samples and not recipe.spec.every_step
    return History(samples, device, recipe.training.seed) if carried and device.ragged else None
