"""What the graphs of a model are given on real samples, role by role."""

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from edgewright.runtime.contracts import Tensors
from edgewright.runtime.graphs.graphs import BatchLimits, Graphs
from edgewright.runtime.tasks.base import Task

T = TypeVar("T")


class Recorder(Graphs):
    """Other graphs, whose inputs are kept. All rows of a sample share a batch; what is done once for all samples is not
    kept.
    """

    def __init__(self, graphs: Graphs) -> None:
        super().__init__(graphs.specs, BatchLimits(rows=1 << 30, tokens=None))
        self._graphs = graphs
        self.inputs: dict[str, list[Tensors]] = {}
        """What each role was given, batch by batch."""

    def run(self, role: str, inputs: Tensors) -> Tensors:
        """See `Graphs`."""
        self.inputs.setdefault(role, []).append(inputs)
        return self._graphs.run(role, inputs)

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """See `Graphs`."""
        kept, limits = self.inputs, self.limits
        self.inputs, self.limits = {}, self._graphs.limits  # all labels, say, are too many for one batch
        try:
            return self._graphs.once(key, make)
        finally:
            self.inputs, self.limits = kept, limits


def recorded(task: Task[Any], sample: Tensors, graphs: Graphs) -> dict[str, list[Tensors]]:
    """What each role is given for one encoded sample, in the order of the first batches."""
    recorder = Recorder(graphs)
    for _ in task.run((sample,), recorder):
        pass
    return recorder.inputs
