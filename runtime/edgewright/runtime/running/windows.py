"""Samples that are several rows of a graph: the windows of a long text, a text with each of its labels."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from edgewright.runtime.contracts import Tensors
from edgewright.runtime.tasks.base import DeviceTask

_LARGEST = 16 << 20
"""Characters or bytes of raw input that are encoded at once: their tokens take some ten times as much."""


_CPU_TOKENS = 512
"""Tokens of a batch, with padding, beyond which a processor's caches no longer hold what it computes: 256 texts through
MiniLM took 1.4 (fp32) to 1.7 times (int8) as long in batches of 32 texts as in batches of 512 tokens.
"""


class RowsTask(DeviceTask, Protocol):
    """A task of which one sample may be several rows of the graph."""

    @property
    def fixed(self) -> Sequence[Tensors]:
        """Rows that belong to every sample; whoever runs many samples runs these once."""

    @property
    def rows_each(self) -> int:
        """How many rows even the shortest sample is."""

    def encode_all(self, raws: Sequence[Any]) -> list[Tensors]:
        """What `encode` makes of each, on all cores."""

    def rows(self, sample: Tensors) -> list[Tensors]:
        """The rows of a sample, each with the graph's inputs [time]."""

    def alone(self, sample: Tensors) -> bool:
        """Whether the sample is a single row and has its outputs: then `collate_rows` takes the sample itself."""

    def collate_rows(self, rows: Sequence[Tensors]) -> Tensors:
        """Rows to one batch, padded to the longest of them."""

    def merge(self, rows: Sequence[Tensors], sample: Tensors, fixed: Sequence[Tensors]) -> Tensors:
        """The outputs of a sample's rows, and of the fixed ones, as the outputs of the sample: no batch axis here.

        An output with an entry for every token has been cut to the row's own length.
        """

    def trim(self, name: str, value: NDArray[Any], length: int) -> NDArray[Any]:
        """One row of the output `name` without what belongs to the padding beyond `length`."""


Run = Callable[[Tensors], Tensors]
"""Runs one batch: a session's `run`, or torch."""


def as_rows_task(task: DeviceTask) -> RowsTask | None:
    """The task, if its samples may be several rows."""
    return cast(RowsTask, task) if hasattr(task, "collate_rows") else None


def encode_all(task: DeviceTask, raws: Sequence[Any]) -> list[Tensors]:
    """Encode many raw inputs, on all cores where the task can. Raises `InputError` for the first that is bad."""
    rows_task = as_rows_task(task)
    if rows_task is None:
        return [task.encode(raw) for raw in raws]
    return rows_task.encode_all(raws)


def chunks(task: DeviceTask, raws: Sequence[Any], count: int) -> Iterator[Sequence[Any]]:
    """Raw inputs in parts of at most `count` rows, and smaller ones where they are long: what is encoded at once has to
    fit into memory.
    """
    rows_task = as_rows_task(task)
    if rows_task is None:
        for start in range(0, len(raws), count):
            yield raws[start : start + count]
        return
    count = max(1, count // rows_task.rows_each)
    start = total = 0
    for place, raw in enumerate(raws):
        size = _size(raw) * rows_task.rows_each
        if place > start and (place - start >= count or total + size > _LARGEST):
            yield raws[start:place]
            start, total = place, 0
        total += size
    if start < len(raws):
        yield raws[start:]


def most_tokens(provider: str) -> int | None:
    """How many tokens of several rows a batch may have on a provider, with their padding; None for any number."""
    return _CPU_TOKENS if provider == "cpu" else None


def run_samples(
    task: DeviceTask,
    samples: Sequence[Tensors],
    run: Run,
    batch_size: int = 32,
    fixed: Sequence[Tensors] | None = None,
    limit: int | None = _CPU_TOKENS,
) -> Tensors:
    """Run encoded samples and return the outputs by name, one row for each sample, as `decode` takes them.

    Rows of nearly one length share a batch: at most `batch_size` of them, and of several at most `limit` tokens, see
    `most_tokens`. `fixed` is what `run_fixed` gave, for callers that run many samples in several calls. A task whose
    samples are one row each is run as it is, in one batch.
    """
    rows_task = as_rows_task(task)
    if rows_task is None:
        return run(task.collate(samples))
    if len(samples) == 1 and rows_task.alone(samples[0]):
        return run(rows_task.collate_rows(samples))
    if fixed is None:
        fixed = run_fixed(task, run, batch_size, limit)
    rows = _rows_of_each(rows_task, samples, run, batch_size, limit)
    return merge_rows(rows_task, samples, rows, fixed)


def run_parts(
    task: RowsTask,
    samples: Sequence[Tensors],
    run: Run,
    batch_size: int,
    fixed: Sequence[Tensors],
    limit: int | None = _CPU_TOKENS,
) -> Iterator[tuple[Sequence[Tensors], Tensors]]:
    """As `run_samples`, in parts of `batch_size` samples with their outputs: merged, those of one sample may be many
    times as large as its rows.
    """
    rows = _rows_of_each(task, samples, run, batch_size, limit)
    for start in range(0, len(samples), batch_size):
        some = samples[start : start + batch_size]
        yield some, merge_rows(task, some, rows[start : start + batch_size], fixed)


def _rows_of_each(
    task: RowsTask, samples: Sequence[Tensors], run: Run, batch_size: int, limit: int | None
) -> list[list[Tensors]]:
    rows = [task.rows(sample) for sample in samples]
    found = iter(_run_rows(task, [row for own in rows for row in own], run, batch_size, limit))
    return [[next(found) for _ in own] for own in rows]


def merge_rows(
    task: RowsTask, samples: Sequence[Tensors], rows: Sequence[Sequence[Tensors]], fixed: Sequence[Tensors]
) -> Tensors:
    """The outputs of each sample's rows, trimmed, as the outputs of the samples: one row of each for every sample.

    Outputs with an entry for every token are padded with zeros to the longest sample.
    """
    merged = [task.merge(own, sample, fixed) for own, sample in zip(rows, samples, strict=True)]
    return {name: _stack([one[name] for one in merged]) for name in merged[0]}


def run_fixed(
    task: DeviceTask, run: Run, batch_size: int = 32, limit: int | None = _CPU_TOKENS
) -> list[Tensors]:
    """The outputs of the rows that belong to every sample, none for most tasks."""
    rows_task = as_rows_task(task)
    return [] if rows_task is None else _run_rows(rows_task, rows_task.fixed, run, batch_size, limit)


def _run_rows(
    task: RowsTask, rows: Sequence[Tensors], run: Run, batch_size: int, limit: int | None
) -> list[Tensors]:
    lengths = [len(row["input_ids"]) for row in rows]
    found: list[Tensors] = [{}] * len(rows)
    for chosen in _batches(lengths, batch_size, limit):
        outputs = run(task.collate_rows([rows[index] for index in chosen]))
        for place, index in enumerate(chosen):
            found[index] = {
                name: task.trim(name, value[place], lengths[index]) for name, value in outputs.items()
            }
    return found


def _batches(lengths: Sequence[int], batch_size: int, limit: int | None) -> Iterator[list[int]]:
    """Places in `lengths`, the shortest first, in batches; a row of more than `limit` tokens has its own."""
    chosen: list[int] = []
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        full = len(chosen) == batch_size or (limit is not None and (len(chosen) + 1) * lengths[index] > limit)
        if chosen and full:
            yield chosen
            chosen = []
        chosen.append(index)
    if chosen:
        yield chosen


def _size(raw: Any) -> int:
    if isinstance(raw, Path):
        try:
            return raw.stat().st_size
        except (OSError, ValueError):  # answering it says what is wrong
            return 0
    if isinstance(raw, Mapping):
        return sum(len(value) for value in raw.values() if isinstance(value, (str, bytes)))
    if dataclasses.is_dataclass(raw) and not isinstance(raw, type):
        return sum(len(value) for value in vars(raw).values() if isinstance(value, (str, bytes)))
    return len(raw) if isinstance(raw, (str, bytes)) else 0


def _stack(rows: Sequence[NDArray[Any]]) -> NDArray[Any]:
    if len(rows) == 1:
        return rows[0][np.newaxis]
    longest = max(row.shape[0] for row in rows)
    stacked = np.zeros((len(rows), longest, *rows[0].shape[1:]), rows[0].dtype)
    for place, row in enumerate(rows):
        stacked[place, : len(row)] = row
    return stacked
