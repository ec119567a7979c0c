"""Where the loop's inputs come from: samples encoded by the device's own code, or rows of cached features."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from edgewright.pipeline.training.answers import Answers

Inputs = tuple[torch.Tensor, ...]
"""A batch as the module takes it: one tensor for each of its inputs, in their order."""


class Source(Protocol):
    """The rows of a split, by index."""

    @property
    def answers(self) -> Answers | None:
        """What figures are made of; None of a source that is only learnt from."""

    @property
    def targets(self) -> NDArray[Any]:
        """What is to be learnt of each row, as `Objective.stack` gives it: the first axis is N."""

    @property
    def lengths(self) -> NDArray[np.int64] | None:
        """How many steps each row has, [N]; None where all are alike by nature."""

    @property
    def timed(self) -> bool:
        """Whether the outputs of a row have an entry for each of its steps."""

    def batches(self, plan: Sequence[NDArray[np.int64]], epoch: int | None) -> Iterator[Inputs]:
        """For each batch of indices its inputs, padded to the longest of the batch.

        `epoch` decides the random changes to the samples; with None they stay as they are.
        """


class ArraySource:
    """Inputs that lie ready in arrays: cached features [N, F], and what a head takes beside them."""

    lengths = None
    timed = False

    def __init__(
        self,
        rows: NDArray[np.float32],
        targets: NDArray[Any],
        *beside: NDArray[np.float32],
        answers: Answers | None = None,
    ) -> None:
        self._arrays = (rows, *beside)
        self.targets = targets
        self.answers = answers

    def batches(self, plan: Sequence[NDArray[np.int64]], epoch: int | None) -> Iterator[Inputs]:
        for indices in plan:
            yield tuple(torch.from_numpy(np.asarray(array[indices])) for array in self._arrays)


class StepSource:
    """Cached features of every step, [sum of lengths, F]: the steps of a sample lie one after another."""

    timed = True

    def __init__(
        self,
        rows: NDArray[np.float32],
        lengths: NDArray[np.int64],
        targets: NDArray[Any],
        answers: Answers | None = None,
    ) -> None:
        self._rows = rows
        self.answers = answers
        self._starts = np.concatenate([[0], np.cumsum(lengths)])
        self.lengths = lengths
        self.targets = targets

    def batches(self, plan: Sequence[NDArray[np.int64]], epoch: int | None) -> Iterator[Inputs]:
        for indices in plan:
            longest = int(self.lengths[indices].max()) if len(indices) else 0
            padded = np.zeros((len(indices), longest, self._rows.shape[1]), np.float32)
            for row, index in zip(padded, indices, strict=True):
                row[: self.lengths[index]] = self._rows[self._starts[index] : self._starts[index + 1]]
            yield (torch.from_numpy(padded),)
