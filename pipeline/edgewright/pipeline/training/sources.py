"""Where the loop's inputs come from: samples encoded by the device's own code, or rows of cached features."""

import collections
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from edgewright.pipeline.data.samples import Sample
from edgewright.pipeline.tasks.base import TrainingTask
from edgewright.pipeline.training.batching import cut
from edgewright.pipeline.training.randomness import generator
from edgewright.runtime.contracts import Tensors
from edgewright.runtime.tasks.base import DeviceTask

Inputs = tuple[torch.Tensor, ...]
"""A batch as the module takes it: one tensor for each of its inputs, in their order."""

_KEPT_BYTES = 512 << 20
_LOOKAHEAD = 2
_SURVEYED = 32
_READ = 256
"""Samples whose answers are read at once."""


class Answers(Protocol):
    """The answers to the samples of a source: what figures are made of."""

    @property
    def counts(self) -> Mapping[str, int]:
        """How many "samples" there are and, where these may be several inputs, how many "rows"."""

    def read(
        self, module: nn.Module, outputs: NDArray[np.float32], lengths: NDArray[np.int64] | None
    ) -> Iterator[tuple[Any, Any]]:
        """The answer to each sample and its truth, from the outputs of all inputs and how many steps each has."""


class Source(Protocol):
    """Inputs of a split, by index."""

    @property
    def answers(self) -> Answers | None:
        """What figures are made of; None of a source that is only learnt from."""

    @property
    def targets(self) -> NDArray[Any]:
        """What each input should be answered with, as `TrainingTask.stack` gives it: the first axis is N."""

    @property
    def lengths(self) -> NDArray[np.int64] | None:
        """How many steps each sample has, [N]; None where all are alike by nature."""

    def batches(self, plan: Sequence[NDArray[np.int64]], epoch: int | None) -> Iterator[Inputs]:
        """For each batch of indices its inputs, padded to the longest of the batch.

        `epoch` decides the random changes to the samples; with None they stay as they are.
        """


class ArraySource:
    """Inputs that lie ready in arrays: cached features [N, F], and what a head takes beside them."""

    lengths = None

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


class SampleAnswers:
    """The answers to samples that are one input each.

    `beside` is what reading an answer needs of each sample; None where it needs nothing.
    """

    def __init__(
        self, task: TrainingTask, device: DeviceTask, truths: NDArray[Any], beside: Sequence[Tensors] | None
    ) -> None:
        self._task, self._device, self._truths, self._beside = task, device, truths, beside

    @property
    def counts(self) -> Mapping[str, int]:
        return {"samples": len(self._truths)}

    def read(
        self, module: nn.Module, outputs: NDArray[np.float32], lengths: NDArray[np.int64] | None
    ) -> Iterator[tuple[Any, Any]]:
        for start in range(0, len(outputs), _READ):
            part = slice(start, start + _READ)
            beside = None if self._beside is None else self._beside[part]
            answers = self._device.decode(self._task.named(outputs[part]), beside)
            yield from zip(answers, self._truths[part], strict=True)


class SampleSource:
    """Samples, encoded when they are wanted by the device half of the task; augmented before that where
    wanted.

    `names` are the module's inputs in their order; None for the device's own. `workers` threads encode ahead of
    the model (decoding and resizing run outside Python's lock); with 0 the loop encodes for itself. With `keep`,
    what is not augmented stays in memory while it is small. Sequences are all encoded once at the start, to
    learn their lengths and check their targets; `progress` hears how many are done. Raises `InputError`,
    `DataError`.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        task: TrainingTask,
        device: DeviceTask,
        seed: int = 0,
        workers: int = 0,
        keep: bool = True,
        names: tuple[str, ...] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        self._samples = samples
        self._task = task
        self._device: Any = device  # an augmenting task's device half can also load and encode in two steps
        self._seed = seed
        self._workers = workers
        self._names = names
        self._kept: dict[int, Tensors] | None = {} if keep else None
        self._kept_bytes = 0
        self.lengths: NDArray[np.int64] | None = None
        beside: list[Tensors] | None = None
        if task.sequences:
            self.targets, self.lengths, beside = self._survey(progress or (lambda done, total: None))
        else:
            self.targets = task.stack(task.truths(samples, device))
        self.answers = SampleAnswers(task, device, self.targets, beside)

    def _survey(
        self, progress: Callable[[int, int], None]
    ) -> tuple[NDArray[Any], NDArray[np.int64], list[Tensors]]:
        """Targets and lengths of all samples, and what reading the answers to them needs."""
        targets, lengths, count = [], [], len(self._samples)
        beside: list[Tensors] = []
        plan = cut(np.arange(count, dtype=np.int64), _SURVEYED)
        for indices, rows in zip(plan, self._encoded(plan, None), strict=True):
            for index, feeds in zip(indices, rows, strict=True):
                targets.append(self._task.target(self._samples[index], feeds))
                lengths.append(int(feeds["lengths"]))
                inputs = self._names or tuple(self._device.collate([feeds]))
                beside.append(
                    {name: value for name, value in feeds.items() if name not in inputs or not value.ndim}
                )
            progress(len(lengths), count)
        return self._task.stack(targets), np.array(lengths, np.int64), beside

    def encode(self, index: int, epoch: int | None = None) -> Tensors:
        """The tensors of one sample, without a batch axis. Raises `InputError` naming the file."""
        raw = self._samples[index].raw
        if epoch is not None and self._task.augments:
            draws = generator(self._seed, "augment", epoch, index)
            changed: Tensors = self._device.encode_loaded(self._task.augment(self._device.load(raw), draws))
            return changed
        kept = self._kept  # another thread may find the split too large and let go of it
        if kept is not None and index in kept:
            return kept[index]
        encoded: Tensors = self._device.encode(raw)
        if kept is not None:
            size = sum(value.nbytes for value in encoded.values())
            self._kept_bytes += size
            expected = self._kept_bytes if self._task.sequences else size * len(self._samples)
            if expected > _KEPT_BYTES:
                self._kept = None
            else:
                kept[index] = encoded
        return encoded

    def column(self, name: str) -> NDArray[np.float32]:
        """The input `name` of all samples, stacked: one that has the same shape for each."""
        return np.stack([self.encode(index)[name] for index in range(len(self._samples))])

    def batches(self, plan: Sequence[NDArray[np.int64]], epoch: int | None) -> Iterator[Inputs]:
        for rows in self._encoded(plan, epoch):
            yield self._collate(rows)

    def _encoded(self, plan: Sequence[NDArray[np.int64]], epoch: int | None) -> Iterator[list[Tensors]]:
        """The tensors of the samples of each batch."""
        if self._workers == 0:
            for indices in plan:
                yield [self.encode(int(index), epoch) for index in indices]
            return
        waiting: collections.deque[list[Future[Tensors]]] = collections.deque()
        with ThreadPoolExecutor(self._workers, thread_name_prefix="encode") as pool:
            try:
                for indices in plan:
                    waiting.append([pool.submit(self.encode, int(index), epoch) for index in indices])
                    if len(waiting) > _LOOKAHEAD:
                        yield [future.result() for future in waiting.popleft()]
                while waiting:
                    yield [future.result() for future in waiting.popleft()]
            finally:
                pool.shutdown(wait=True, cancel_futures=True)

    def _collate(self, rows: list[Tensors]) -> Inputs:
        if not rows:  # this process has no part of the batch
            return ()
        batch = self._device.collate(rows)
        # A single sample may come back as a view of what is kept, which no module may write to.
        return tuple(
            torch.from_numpy(np.array(batch[name]) if len(rows) == 1 else batch[name])
            for name in self._names or batch
        )
