"""Samples as the loop's inputs: encoded by the device's own code, window by window."""

import collections
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from edgewright.pipeline.data.samples import Sample
from edgewright.pipeline.tasks.base import Objective
from edgewright.pipeline.training.answers import Answers
from edgewright.pipeline.training.history import History
from edgewright.pipeline.training.randomness import generator
from edgewright.pipeline.training.sources import Inputs
from edgewright.runtime.contracts import Tensors
from edgewright.runtime.errors import InputError
from edgewright.runtime.tasks.base import Task

_KEPT_BYTES = 512 << 20
_LOOKAHEAD = 2
_SURVEYED = 32
_TOGETHER = 512
"""Texts that are encoded at once."""


class SampleSource:
    """Samples, encoded by the device half of the task; augmented before that where wanted.

    Pictures are encoded when they are wanted. Samples that differ in length are all encoded once at the start, to learn
    the lengths of their windows and check their targets; of texts, which are small, all windows are kept and stand in
    the order of their length. What is not augmented stays in memory while it is small, with `keep`.

    Args:
        names: The module's inputs in their order; None for the device's own.
        workers: How many threads encode ahead of the model (decoding and resizing run outside Python's lock); with 0
            the loop encodes for itself.
        judged: Whether figures of the samples are wanted.
        progress: Hears how many samples are encoded.
        history: Puts steps before what is learnt from.

    Raises:
        InputError: A sample cannot be encoded; the message names it.
        DataError: A sample and its target do not fit.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        task: Objective,
        device: Task[Any],
        seed: int = 0,
        workers: int = 0,
        keep: bool = True,
        names: tuple[str, ...] | None = None,
        judged: bool = True,
        progress: Callable[[int, int], None] | None = None,
        history: History | None = None,
    ) -> None:
        self._history = history
        self._samples, self._task, self._seed, self._workers = samples, task, seed, workers
        self._device: Any = device  # an augmenting task's device half can also load and encode in two steps
        self._names = names or device.input_names
        self._of_rows = task.reads_rows and not device.loops
        self._dtypes = {spec.name: spec.dtype for spec in device.rows.inputs}
        self.timed = bool(device.timed_outputs)
        self._kept: dict[int, Sequence[Tensors]] | None = {} if keep or device.counts_tokens else None
        self._kept_bytes = 0
        self.lengths: NDArray[np.int64] | None = None
        self.answers: Answers | None = None
        self._origins = [(index, 0) for index in range(len(samples))]
        """The sample of each row, and which of its windows it is."""
        if device.ragged:
            self._survey(judged, progress or (lambda done, total: None))
            return
        self.targets: NDArray[Any] = task.stack([task.target(sample, {}) for sample in samples])
        if judged:
            places = [[index] for index in range(len(samples))]
            truths = task.truths(samples, device)
            self.answers = Answers(device, self._whole(), places, truths, self._of_rows)

    def _whole(self) -> Sequence[Tensors]:
        """What reading the answers needs of samples that are not encoded yet."""
        alone = self._of_rows and not (self._samples and _beside(self._encoded(0), self._names))
        return [{}] * len(self._samples) if alone else _Encoded(self._encoded, len(self._samples))

    def _encoded(self, index: int) -> Tensors:
        """A sample with all that its answer needs. Raises `InputError` naming it."""
        (whole,) = self._encode_all(self._samples[index : index + 1])
        return whole

    def _survey(self, judged: bool, progress: Callable[[int, int], None]) -> None:
        """Encode all samples, for the targets and lengths of their windows, and for what reading answers needs."""
        device, task = self._device, self._task
        targets: list[Any] = []
        lengths: list[int] = []
        origins: list[tuple[int, int]] = []
        beside: list[Tensors] = []
        truths: list[Any] = []
        for index, whole in enumerate(self._walk(progress)):
            sample = self._samples[index]
            windows = device.windows(whole)
            targets += task.targets(sample, whole, device)
            lengths += map(device.length, windows)
            origins += [(index, window) for window in range(len(windows))]
            if judged:
                truths.append(task.truth(sample, whole))
                beside.append(_beside(whole, self._names) if self._of_rows else {})
        order = np.arange(len(lengths))
        if device.counts_tokens:
            order = np.argsort(lengths, kind="stable")
        self._origins = [origins[row] for row in order]
        self.lengths = np.array(lengths, np.int64)[order]
        self.targets = task.stack([targets[row] for row in order])
        if judged:
            placed: list[dict[int, int]] = [{} for _ in self._samples]
            for row, (index, window) in enumerate(self._origins):
                placed[index][window] = row
            places = [[own[window] for window in range(len(own))] for own in placed]
            encoded = beside if self._of_rows else _Encoded(self._encoded, len(self._samples))
            self.answers = Answers(device, encoded, places, truths, self._of_rows)

    def _walk(self, progress: Callable[[int, int], None]) -> Iterator[Tensors]:
        """Every sample, encoded, in order; its windows are kept."""
        done, count = 0, len(self._samples)
        if self._device.counts_tokens:  # together, on all cores
            for raws in self._device.parts([sample.raw for sample in self._samples], _TOGETHER):
                for whole in self._encode_all(self._samples[done : done + len(raws)]):
                    self._keep(done, self._device.windows(whole))
                    done += 1
                    yield whole
                progress(done, count)
            return
        for part in self._ahead(
            [range(start, min(start + _SURVEYED, count)) for start in range(0, count, _SURVEYED)]
        ):
            yield from part
            done += len(part)
            progress(done, count)

    def _encode_all(self, samples: Sequence[Sample]) -> list[Tensors]:
        """Samples, encoded together. Raises `InputError` for the first that cannot be, with its id."""
        try:
            encoded: list[Tensors] = self._device.encode_all([sample.raw for sample in samples])
        except InputError:
            for sample in samples:
                try:
                    self._device.encode(sample.raw)
                except InputError as error:
                    raise InputError(f"{sample.id}: {error}") from None
            raise
        return encoded

    def _ahead(self, plan: Sequence[Sequence[int]]) -> Iterator[list[Tensors]]:
        """The samples of each part, encoded, by threads ahead of the one who asks."""

        def encode(index: int) -> Tensors:
            whole: Tensors = self._device.encode(self._samples[index].raw)
            self._keep(index, self._device.windows(whole))
            return whole

        return self._in_threads(plan, encode)

    def _in_threads(
        self, plan: Sequence[Sequence[int]], make: Callable[[int], Tensors]
    ) -> Iterator[list[Tensors]]:
        if self._workers == 0:
            for part in plan:
                yield [make(index) for index in part]
            return
        waiting: collections.deque[list[Future[Tensors]]] = collections.deque()
        with ThreadPoolExecutor(self._workers, thread_name_prefix="encode") as pool:
            try:
                for part in plan:
                    waiting.append([pool.submit(make, index) for index in part])
                    if len(waiting) > _LOOKAHEAD:
                        yield [future.result() for future in waiting.popleft()]
                while waiting:
                    yield [future.result() for future in waiting.popleft()]
            finally:
                pool.shutdown(wait=True, cancel_futures=True)

    def _keep(self, index: int, windows: Sequence[Tensors]) -> None:
        """Keep the graph's inputs of a sample while all of them are small."""
        kept = self._kept  # another thread may find the split too large and let go of it
        if kept is None:
            return
        rows = [{name: _compact(row[name]) for name in self._names} for row in windows]
        size = sum(value.nbytes for row in rows for value in row.values())
        self._kept_bytes += size
        expected = self._kept_bytes if self._device.ragged else size * len(self._samples)
        if expected > _KEPT_BYTES and not self._device.counts_tokens:
            self._kept = None
        else:
            kept[index] = rows

    def encode(self, index: int, epoch: int | None = None) -> Tensors:
        """The inputs of one row, without a batch axis. Raises `InputError` naming the file."""
        if epoch is None or self._history is None:
            return self._row(index, epoch)
        return self._history.before(index, epoch, self._row(index, epoch), self._row)

    def _row(self, index: int, epoch: int | None = None) -> Tensors:
        sample, window = self._origins[index]
        raw = self._samples[sample].raw
        if epoch is not None and self._task.augments:
            draws = generator(self._seed, "augment", epoch, index)
            changed: Tensors = self._device.encode_loaded(self._task.augment(self._device.load(raw), draws))
            return changed
        kept = self._kept
        if kept is not None and sample in kept:
            row = kept[sample][window]
            return {name: np.asarray(value, self._dtypes[name]) for name, value in row.items()}
        windows: Sequence[Tensors] = self._device.windows(self._device.encode(raw))
        self._keep(sample, windows)
        return windows[window]

    def column(self, name: str) -> NDArray[np.float32]:
        """The input `name` of all rows, stacked: one that has the same shape for each."""
        return np.stack([self.encode(index)[name] for index in range(len(self._origins))])

    def batches(self, plan: Sequence[NDArray[np.int64]], epoch: int | None) -> Iterator[Inputs]:
        for rows in self._in_threads(
            [part.tolist() for part in plan], lambda index: self.encode(index, epoch)
        ):
            yield self._collate(rows)

    def _collate(self, rows: list[Tensors]) -> Inputs:
        if not rows:  # this process has no part of the batch
            return ()
        batch = self._device.collate(rows)
        # A single row may come back as a view of what is kept, which no module may write to.
        return tuple(
            torch.from_numpy(np.array(batch[name]) if len(rows) == 1 else batch[name]) for name in self._names
        )


class _Encoded(Sequence[Tensors]):
    """Samples that are encoded when they are looked at: all of them together may be too large to keep."""

    def __init__(self, encode: Callable[[int], Tensors], count: int) -> None:
        self._encode, self._count = encode, count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: Any) -> Any:
        chosen = range(self._count)[index]
        return [self._encode(one) for one in chosen] if isinstance(chosen, range) else self._encode(chosen)


def _beside(encoded: Tensors, inputs: Sequence[str]) -> Tensors:
    """What reading an answer needs of a sample: everything but what goes through the graph, and scalars."""
    return {name: value for name, value in encoded.items() if name not in inputs or not value.ndim}


def _compact(value: NDArray[Any]) -> NDArray[Any]:
    """Tokens and masks, int64 in a batch, in as few bytes as hold them: all texts stay in memory."""
    if value.dtype != np.int64 or not value.ndim:
        return value
    for kind in (np.int8, np.int32):
        if value.size and np.iinfo(kind).min <= value.min() and value.max() <= np.iinfo(kind).max:
            return value.astype(kind)
    return value
