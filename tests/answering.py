"""Samples through any function that runs a batch, and answers from batches of outputs."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from edgewright.runtime.contracts import Tensors
from edgewright.runtime.graphs.graphs import BatchLimits, Graphs
from edgewright.runtime.tasks.base import Task


class FunctionGraphs(Graphs):
    """A function in place of the graph "model"."""

    def __init__(self, run: Callable[[Tensors], Tensors], rows: int = 32, tokens: int | None = 512) -> None:
        super().__init__({}, BatchLimits(rows, tokens))
        self._run = run

    def run(self, role: str, inputs: Tensors) -> Tensors:
        assert role == "model"
        return self._run(inputs)


def run_all(
    task: Task[Any],
    samples: Sequence[Tensors],
    run: Callable[[Tensors], Tensors],
    rows: int = 32,
    tokens: int | None = 512,
) -> list[Tensors]:
    """The outputs of each sample."""
    return list(task.run(samples, FunctionGraphs(run, rows, tokens)))


def rows_of(outputs: Tensors) -> list[Tensors]:
    """Outputs with a batch axis as those of each row."""
    count = len(next(iter(outputs.values())))
    return [{name: value[row] for name, value in outputs.items()} for row in range(count)]


def answers_of(task: Task[Any], outputs: Tensors, samples: Sequence[Tensors] | None = None) -> list[Any]:
    """The answer to each row of a batch; without `samples` of one that says nothing but that it was read whole."""
    rows = rows_of(outputs)
    known = [{"lost": np.array(0)}] * len(rows) if samples is None else samples
    return list(map(task.decode, rows, known))


def decisions_of(task: Task[Any], outputs: Tensors, samples: Sequence[Tensors] | None = None) -> list[Any]:
    """What is decided for each row of a batch."""
    return [task.decision(answer) for answer in answers_of(task, outputs, samples)]
