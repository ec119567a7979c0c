"""The answers to the samples behind the rows of a source: what figures are made of."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgewright.runtime.contracts import Tensors
from edgewright.runtime.graphs.graphs import Graphs
from edgewright.runtime.tasks.base import Task

_RUN = 64
"""Samples that are run at once."""


class Answers:
    """The answers to samples.

    Args:
        device: The device half of the task.
        encoded: What reading an answer needs of each sample; all of it where answers are not of rows.
        places: Where the rows of each sample stand in the source.
        truths: What each answer is held against.
        of_rows: Whether answers are read from the outputs of rows; else the device half runs the samples itself.
    """

    def __init__(
        self,
        device: Task[Any],
        encoded: Sequence[Tensors],
        places: Sequence[Sequence[int]],
        truths: Sequence[Any],
        of_rows: bool = True,
    ) -> None:
        self._device, self._encoded, self._places, self._truths = device, encoded, places, truths
        self.of_rows = of_rows
        self._names = [spec.name for spec in device.rows.outputs]

    @property
    def counts(self) -> Mapping[str, int]:
        """How many "samples" there are and, of texts, how many "rows"."""
        counts = {"samples": len(self._truths)}
        if self._device.counts_tokens:
            counts["rows"] = sum(map(len, self._places))
        return counts

    def read(
        self, outputs: Sequence[NDArray[np.float32]], graphs: Graphs
    ) -> Iterator[tuple[Any, Any, Tensors]]:
        """The answer to each sample, its truth and its outputs, from those of all rows as `predict` gives them.

        `graphs` run what belongs to every sample, where the task has such.
        """
        device = self._device
        for sample, own, truth in zip(self._encoded, self._places, self._truths, strict=True):
            merged = device.merge([self._named(outputs[row]) for row in own], sample, graphs)
            yield device.decode(merged, sample), truth, merged

    def run(
        self, graphs: Graphs, check: Callable[[Tensors], None] = lambda outputs: None
    ) -> Iterator[tuple[Any, Any, Tensors]]:
        """The answer to each sample, its truth and its outputs, from the samples themselves; `check` sees the outputs
        before they are read.
        """
        for start in range(0, len(self._truths), _RUN):
            samples = self._encoded[start : start + _RUN]
            truths = self._truths[start : start + _RUN]
            for sample, outputs, truth in zip(
                samples, self._device.run(samples, graphs), truths, strict=True
            ):
                check(outputs)
                yield self._device.decode(outputs, sample), truth, outputs

    def _named(self, row: NDArray[np.float32]) -> Tensors:
        if len(self._names) == 1:
            return {self._names[0]: row}
        return {name: row[..., place] for place, name in enumerate(self._names)}
