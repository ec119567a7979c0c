"""What a bundle is judged with: real samples, and the torch model as it was trained."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edgewright.exporters.part import TorchGraphs
from edgewright.runtime.errors import DataError
from edgewright.runtime.tasks.base import Task


@dataclass(frozen=True)
class Turn:
    """What a running stream is pushed next, after which the answer to sample number `row` is due: to its last `steps`
    steps.
    """

    piece: Any
    row: int
    steps: int


@dataclass(frozen=True)
class Samples:
    """Raw inputs with their ids and what is true of each, one of each per sample, in one order.

    What a truth is, an index, an array, some texts, is between the task and its metric. `streams` are the recordings
    that samples were cut from, each as the turns of one stream; none where nothing streams.
    """

    ids: tuple[str, ...]
    raws: Sequence[Any]
    truths: Sequence[Any]
    streams: Sequence[Sequence[Turn]] = ()

    def __post_init__(self) -> None:
        if not len(self.ids) == len(self.raws) == len(self.truths):
            raise DataError(
                f"{len(self.ids)} ids, {len(self.raws)} raw inputs and {len(self.truths)} truths: "
                "give one of each per sample"
            )
        if not self.ids:
            raise DataError("there is no sample to judge with: give the evaluation split at least one")
        if len(set(self.ids)) != len(self.ids):
            raise DataError("two samples have the same id: give each its own")

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: Sequence[int]) -> "Samples":
        """The samples at `rows`, in that order."""
        return Samples(
            tuple(self.ids[row] for row in rows),
            [self.raws[row] for row in rows],
            [self.truths[row] for row in rows],
        )

    def raw(self, sample_id: str) -> Any:
        """The raw input called `sample_id`. Raises `DataError` when there is none."""
        try:
            return self.raws[self.ids.index(sample_id)]
        except ValueError:
            raise DataError(f"sample {sample_id} is no longer in the data: judge again") from None


@dataclass(frozen=True, kw_only=True)
class Figure:
    """Something told of many answers, made in two steps.

    Attributes:
        name: What it is called.
        evidence: An answer and the truth to all that is kept of this sample: a number, some numbers, an array.
        reads: What evidence is of: the "answer", or the "outputs" that it is made of. Those of a variant are then of a
            loop that is led along torch's choices, so that the two can be compared.
        figure: What was kept of any samples, as `packed` gives it, to the figure in plain JSON values.
        optional: Not told where it is None.
    """

    name: str
    evidence: Callable[[Any, Any], Any]
    figure: Callable[[NDArray[Any]], Any]
    optional: bool = False
    reads: Literal["answer", "outputs"] = "answer"


@dataclass(frozen=True, kw_only=True)
class Metric(Figure):
    """The figure by which a model is judged: one number, that of any selection of the samples too.

    Attributes:
        outcomes: Where it is a mean of hits and misses: the evidence of samples to True or False for each, [N]. The
            interval of a difference is exact then instead of resampled.
        greater: Whether more is better.
    """

    outcomes: Callable[[NDArray[Any]], NDArray[np.bool_]] | None = None
    greater: bool = True

    def of(self, evidence: NDArray[Any]) -> float:
        """The figure of some samples, from their evidence."""
        return float(self.figure(evidence))

    def merit(self, value: float) -> float:
        """A value of the metric as one that is greater when better."""
        return value if self.greater else -value


def packed(evidence: Sequence[Any]) -> NDArray[Any]:
    """The evidence of many samples as one array [N, ...], from which samples are chosen as from any other.

    float64 where all are numbers or arrays of numbers of one shape, else one object for each sample.
    """
    shapes = {np.shape(one) for one in evidence}
    if len(shapes) == 1:
        return np.array(evidence, np.float64)
    array = np.empty(len(evidence), object)
    for place, one in enumerate(evidence):
        array[place] = one
    return array


def hits(evidence: NDArray[Any]) -> NDArray[np.bool_]:
    """The outcomes of a metric whose evidence is 1 for a hit and 0 for a miss."""
    return evidence > 0.5


@dataclass(frozen=True)
class Reference:
    """The torch original that every variant is measured against: its `graphs`, and the task that reads them.

    `task` is the training side's own: the ladder compares it with what stands in the bundle.
    """

    graphs: TorchGraphs
    task: Task[Any]
    metric: Metric
