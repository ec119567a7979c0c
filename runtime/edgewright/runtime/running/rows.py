"""Samples through the graph "model": the rows of many samples share batches, and each sample gets its outputs back."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from numpy.typing import NDArray

from edgewright.runtime.contracts import MODEL, Tensors
from edgewright.runtime.graphs.graphs import BatchLimits, Graphs


class Rows(Protocol):
    """What of a task says how its samples become rows of the graph, see `tasks.base.Task`."""

    ragged: bool
    counts_tokens: bool

    @property
    def input_names(self) -> Sequence[str]: ...

    @property
    def timed_outputs(self) -> frozenset[str]: ...

    def windows(self, sample: Tensors) -> Sequence[Tensors]: ...

    def length(self, row: Tensors) -> int: ...

    def collate(self, samples: Sequence[Tensors]) -> Tensors: ...

    def merge(self, rows: Sequence[Tensors], sample: Tensors, graphs: Graphs) -> Tensors: ...


def run_samples(task: Rows, samples: Sequence[Tensors], graphs: Graphs) -> Iterator[Tensors]:
    """The outputs of each sample, in order: the rows of all samples in batches, then those of each put together."""
    if len(samples) == 1:
        windows = task.windows(samples[0])
        if len(windows) == 1:
            outputs = graphs.run(MODEL, task.collate(windows))
            yield task.merge([{name: value[0] for name, value in outputs.items()}], samples[0], graphs)
            return
    rows = [task.windows(sample) for sample in samples]
    found = iter(run_rows(task, [row for own in rows for row in own], graphs))
    for sample, own in zip(samples, rows, strict=True):
        yield task.merge([next(found) for _ in own], sample, graphs)


def run_rows(task: Rows, rows: Sequence[Tensors], graphs: Graphs) -> list[Tensors]:
    """The outputs of each row, without what belongs to padding."""
    found: list[Tensors] = [{}] * len(rows)
    timed = task.timed_outputs
    for chosen in batches(task, rows, graphs.limits):
        outputs = graphs.run(MODEL, task.collate([rows[index] for index in chosen]))
        for place, index in enumerate(chosen):
            length = task.length(rows[index])
            found[index] = {
                name: _unpadded(value[place], length) if name in timed else value[place]
                for name, value in outputs.items()
            }
    return found


def _unpadded(value: NDArray[Any], length: int) -> NDArray[Any]:
    # A short row must not keep a batch in memory that is as long as the longest of its neighbours.
    return value[:length] if 2 * length > len(value) else value[:length].copy()


def batches(task: Rows, rows: Sequence[Tensors], limits: BatchLimits) -> Iterator[list[int]]:
    """Places in `rows`, in batches that can be collated.

    Rows of another shape have batches of their own. Of rows that may differ in length those of nearly one length share
    a batch, the shortest first; one of more tokens than `limits` allows has its own. As they come where all fit into
    one batch.
    """
    if not task.ragged:
        alike: dict[Any, list[int]] = {}
        for index, row in enumerate(rows):
            alike.setdefault(tuple(row[name].shape for name in task.input_names), []).append(index)
        for places in alike.values():
            yield from (places[start : start + limits.rows] for start in range(0, len(places), limits.rows))
        return
    lengths = [task.length(row) for row in rows]
    tokens = limits.tokens if task.counts_tokens else None
    if len(rows) <= limits.rows and (tokens is None or len(rows) * max(lengths, default=0) <= tokens):
        if rows:
            yield list(range(len(rows)))
        return
    chosen: list[int] = []
    for index in sorted(range(len(rows)), key=lengths.__getitem__):
        full = len(chosen) == limits.rows or (
            tokens is not None and (len(chosen) + 1) * lengths[index] > tokens
        )
        if chosen and full:
            yield chosen
            chosen = []
        chosen.append(index)
    if chosen:
        yield chosen
