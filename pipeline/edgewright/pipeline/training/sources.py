"""Where the loop's inputs come from: samples encoded by the device's own code, or rows of cached features."""

import collections
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from edgewright.pipeline.data.samples import Sample
from edgewright.pipeline.tasks.base import TrainingTask
from edgewright.pipeline.training.randomness import generator
from edgewright.runtime.tasks.base import DeviceTask

__all__ = ["ArraySource", "SampleSource", "Source"]

_KEPT_BYTES = 512 << 20
_LOOKAHEAD = 2


class Source(Protocol):
    """Inputs of a split, by index."""

    @property
    def targets(self) -> NDArray[np.int64]:
        """What each sample should be answered with, int64 [N]."""

    def batches(self, plan: Sequence[NDArray[np.int64]], epoch: int | None) -> Iterator[torch.Tensor]:
        """For each batch of indices its inputs, float32 [batch, ...].

        `epoch` decides the random changes to the samples; with None they stay as they are.
        """


class ArraySource:
    """Inputs that lie ready in an array, such as cached features [N, F]."""

    def __init__(self, rows: NDArray[np.float32], targets: NDArray[np.int64]) -> None:
        self._rows = rows
        self.targets = targets

    def batches(self, plan: Sequence[NDArray[np.int64]], epoch: int | None) -> Iterator[torch.Tensor]:
        for indices in plan:
            yield torch.from_numpy(np.asarray(self._rows[indices]))


class SampleSource:
    """Samples, encoded when they are wanted by the device half of the task; augmented before that where
    wanted.

    `workers` threads encode ahead of the model (decoding and resizing run outside Python's lock); with 0 the
    loop encodes for itself. With `keep`, what is not augmented stays in memory while it is small.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        task: TrainingTask,
        device: DeviceTask,
        seed: int = 0,
        workers: int = 0,
        keep: bool = True,
    ) -> None:
        self.targets = np.array([sample.target for sample in samples], dtype=np.int64)
        self._samples = samples
        self._task = task
        self._device: Any = device  # an augmenting task's device half can also load and encode in two steps
        self._seed = seed
        self._workers = workers
        self._kept: dict[int, NDArray[Any]] | None = {} if keep else None

    def encode(self, index: int, epoch: int | None = None) -> NDArray[Any]:
        """The input of one sample, without a batch axis. Raises `InputError` naming the file."""
        raw = self._samples[index].raw
        if epoch is not None and self._task.augments:
            draws = generator(self._seed, "augment", epoch, index)
            return _only(self._device.encode_loaded(self._task.augment(self._device.load(raw), draws)))
        kept = self._kept  # another thread may find the split too large and let go of it
        if kept is not None and index in kept:
            return kept[index]
        encoded = _only(self._device.encode(raw))
        if kept is not None:
            if encoded.nbytes * len(self._samples) > _KEPT_BYTES:
                self._kept = None
            else:
                kept[index] = encoded
        return encoded

    def batches(self, plan: Sequence[NDArray[np.int64]], epoch: int | None) -> Iterator[torch.Tensor]:
        if self._workers == 0:
            for indices in plan:
                yield _stack([self.encode(int(index), epoch) for index in indices])
            return
        waiting: collections.deque[list[Future[NDArray[Any]]]] = collections.deque()
        with ThreadPoolExecutor(self._workers, thread_name_prefix="encode") as pool:
            try:
                for indices in plan:
                    waiting.append([pool.submit(self.encode, int(index), epoch) for index in indices])
                    if len(waiting) > _LOOKAHEAD:
                        yield _stack([future.result() for future in waiting.popleft()])
                while waiting:
                    yield _stack([future.result() for future in waiting.popleft()])
            finally:
                pool.shutdown(wait=True, cancel_futures=True)


def _only(feeds: dict[str, NDArray[Any]]) -> NDArray[Any]:
    (value,) = feeds.values()
    return value


def _stack(rows: list[NDArray[Any]]) -> torch.Tensor:
    return torch.from_numpy(np.stack(rows)) if rows else torch.empty(0)
