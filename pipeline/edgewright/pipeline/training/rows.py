"""Samples that are several rows of the graph, as the loop's inputs: it learns from rows, figures are of samples."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from edgewright.pipeline.data.samples import Sample
from edgewright.pipeline.models.model import training_outputs
from edgewright.pipeline.tasks.base import RowsTraining
from edgewright.pipeline.training.sources import Inputs
from edgewright.runtime.contracts import Tensors
from edgewright.runtime.errors import InputError
from edgewright.runtime.running.windows import RowsTask, chunks, merge_rows, run_fixed

_TOGETHER = 512
_READ = 256
"""Samples whose answers are read at once: merged, their outputs may be many times as large as the rows."""

_STORED = {"input_ids": np.int32, "attention_mask": np.int8, "token_type_ids": np.int8}
"""What the inputs, int64 in a batch, are kept as: all texts stay in memory, at six bytes for each token."""


class RowAnswers:
    """The answers to the samples behind the rows of a source."""

    def __init__(
        self,
        task: RowsTraining,
        device: RowsTask,
        names: Sequence[str],
        encoded: Sequence[Tensors],
        places: Sequence[NDArray[np.int64]],
        truths: Sequence[Any],
    ) -> None:
        """`places` says for each sample where its rows stand in the source; `names` are the module's inputs."""
        self._task, self._device, self._names = task, device, tuple(names)
        self._encoded, self._places, self._truths = encoded, places, truths

    @property
    def counts(self) -> Mapping[str, int]:
        return {"samples": len(self._encoded), "rows": sum(map(len, self._places))}

    def read(
        self, module: nn.Module, outputs: NDArray[np.float32], lengths: NDArray[np.int64] | None
    ) -> Iterator[tuple[Any, Any]]:
        """The answer to each sample and its truth, from the outputs of rows as `predict` gives them.

        `module` runs the rows that belong to every sample, where the task has such.
        """
        named, device = self._task.named(outputs), self._device
        fixed = run_fixed(device, lambda feeds: self._run(module, feeds))
        for start in range(0, len(self._encoded), _READ):
            part = slice(start, start + _READ)
            rows = [
                [
                    {
                        name: value[row]
                        if lengths is None
                        else device.trim(name, value[row], int(lengths[row]))
                        for name, value in named.items()
                    }
                    for row in own
                ]
                for own in self._places[part]
            ]
            merged = merge_rows(device, self._encoded[part], rows, fixed)
            answers = device.decode(merged, self._encoded[part])
            yield from zip(answers, self._truths[part], strict=True)

    def _run(self, module: nn.Module, feeds: Tensors) -> Tensors:
        device = next((parameter.device for parameter in module.parameters()), torch.device("cpu"))
        with torch.inference_mode():
            inputs = [torch.from_numpy(feeds[name]).to(device) for name in self._names]
            outputs, _ = training_outputs(module.eval(), *inputs)
        return self._task.named(outputs.float().cpu().numpy())


class RowSource:
    """Texts, encoded once by the device half of the task to all their rows; the rows stand in order of their length.

    `names` are the module's inputs in their order. With `judged` the samples are kept too, for figures of them.
    `progress` hears how many samples are encoded. Raises `InputError` and `DataError`, naming the sample.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        task: RowsTraining,
        device: RowsTask,
        names: Sequence[str],
        judged: bool = True,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        self._device, self._names = device, tuple(names)
        found: list[Tensors] = []
        encoded: list[Tensors] = []
        row_targets: list[Any] = []
        truths: list[Any] = []
        counts: list[int] = []
        done = 0
        for part in chunks(device, [sample.raw for sample in samples], _TOGETHER):
            members = samples[done : done + len(part)]
            for sample, feeds in zip(members, _encoded(device, members), strict=True):
                rows = device.rows(feeds)
                found += [{name: row[name].astype(_STORED[name]) for name in self._names} for row in rows]
                row_targets += task.row_targets(sample, feeds, device)
                counts.append(len(rows))
                if judged:  # answers are read with everything but the tokens, which stand in the rows
                    kept = {name: value for name, value in feeds.items() if name not in self._names}
                    truths.append(task.truth(sample, kept))
                    encoded.append(kept)
            done += len(part)
            if progress is not None:
                progress(done, len(samples))
        lengths = np.array([len(row[self._names[0]]) for row in found], np.int64)
        order = np.argsort(lengths, kind="stable")
        self.lengths: NDArray[np.int64] = lengths[order]
        self.targets: NDArray[Any] = task.stack([row_targets[row] for row in order])
        self._starts = np.concatenate(([0], np.cumsum(self.lengths)))
        self._values = {
            name: np.concatenate([found[row][name] for row in order]) if found else np.empty(0, _STORED[name])
            for name in self._names
        }
        self.answers: RowAnswers | None = None
        if judged:
            place = np.empty(len(order), np.int64)
            place[order] = np.arange(len(order))
            places = np.split(place, np.cumsum(counts)[:-1]) if counts else []
            self.answers = RowAnswers(task, device, self._names, encoded, places, truths)

    def batches(self, plan: Sequence[NDArray[np.int64]], epoch: int | None) -> Iterator[Inputs]:
        """The inputs of each batch, int64 [batch, time] each, padded to its longest row; nothing changes at random."""
        for indices in plan:
            if not len(indices):  # this process has no part of the batch
                yield ()
                continue
            batch = self._device.collate_rows([self._row(int(index)) for index in indices])
            yield tuple(torch.from_numpy(np.ascontiguousarray(batch[name])) for name in self._names)

    def _row(self, index: int) -> Tensors:
        start, end = self._starts[index], self._starts[index + 1]
        return {name: values[start:end].astype(np.int64) for name, values in self._values.items()}


def _encoded(device: RowsTask, samples: Sequence[Sample]) -> list[Tensors]:
    """All samples, encoded together. Raises `InputError` for the first that cannot be, with its id."""
    try:
        return device.encode_all([sample.raw for sample in samples])
    except InputError:
        for sample in samples:
            try:
                device.encode(sample.raw)
            except InputError as error:
                raise InputError(f"{sample.id}: {error}") from None
        raise
