"""Runs torch and every variant over the same encoded samples, once, and reads their outputs as they come.

Of a model there stay what it decided, what its metric needs, and the outputs of a few samples.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgewright.exporters.distance import Distances, TensorDistance
from edgewright.exporters.judge.agreement import Decided, Decisions
from edgewright.exporters.reference import Reference, Samples, packed
from edgewright.runtime.contracts import STEP, GraphSpec, Tensors
from edgewright.runtime.errors import EdgewrightError
from edgewright.runtime.graphs.checks import all_finite
from edgewright.runtime.graphs.graphs import Graphs
from edgewright.runtime.graphs.session import Session, SessionGraphs, open_graphs, open_session
from edgewright.runtime.tasks.base import Task
from edgewright.runtime.tasks.series import LENGTHS

Opener = Callable[..., Session]
"""Called as `edgewright.runtime.graphs.session.open_session` is."""

Files = Mapping[str, Path]
"""The graphs of one variant by role."""

LIST = 32
"""Samples that are run as one list: what the engine takes together where nothing else was asked for."""


@dataclass(frozen=True)
class Setting:
    """What is judged, and where: the reference, the samples, what the graphs take and give, provider and threads."""

    reference: Reference
    samples: Samples
    specs: Mapping[str, GraphSpec]
    provider: str = "auto"
    threads: int | None = None
    opener: Opener = open_session

    @property
    def task(self) -> Task[Any]:
        """The reference's."""
        return self.reference.task

    def open(self, files: Files, **changes: Any) -> SessionGraphs:
        """The graphs of a variant that answer whole samples. `changes` are settings of `open_session`."""
        whole = {role: path for role, path in files.items() if role != STEP}
        settings = {"provider": self.provider, "threads": self.threads, "cache": False, **changes}
        return open_graphs(whole, self.specs, opener=self.opener, **settings)

    def again(self, variants: Mapping[str, Files], rows: Sequence[int]) -> dict[str, list[Tensors]]:
        """The outputs of a few samples, run as `measure` runs them: of torch, called "torch", and of each variant."""
        encoded = self.task.encode_all([self.samples.raws[row] for row in rows])
        wanted = list(self.task.run(encoded, self.reference.graphs))
        return {"torch": wanted} | {
            name: run_along(self.task, self.open(files), encoded, wanted) for name, files in variants.items()
        }


@dataclass(frozen=True)
class Side:
    """What is kept of one model over all samples, in their order.

    `evidence` is that of the metric, as `packed` gives it; empty, as `decided`, where an output is not `finite`. `few`
    are the outputs of the samples that the ladder climbs with.
    """

    evidence: NDArray[Any]
    decided: Decided
    few: list[Tensors]
    finite: bool = True


@dataclass
class Measured:
    """Torch and its variants on all samples. A variant that did not run is in `errors` instead of `variants`.

    `apart` says how far each variant lies from torch; `rows` are the samples whose outputs are kept, `lengths` those of
    all samples where they have any, int64 [samples]; `graphs` are those that ran, still open. `variants` answered each
    sample alone, `lists` the same samples `LIST` at a time.
    """

    torch: Side
    rows: Sequence[int]
    lengths: NDArray[np.int64] | None = None
    variants: dict[str, Side] = field(default_factory=dict)
    lists: dict[str, Side] = field(default_factory=dict)
    apart: dict[str, TensorDistance] = field(default_factory=dict)
    graphs: dict[str, SessionGraphs] = field(default_factory=dict)
    providers: dict[str, str] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)


class _Reading:
    """One model's outputs as they come."""

    def __init__(self, reference: Reference, original: bool = False) -> None:
        """`original` is torch's own side: it has to be finite, and how clearly it decides is read too."""
        self._reference, self._original = reference, original
        self._evidence: list[Any] = []
        self._decisions = Decisions(reference.task, original)
        self._few: list[Tensors] = []
        self._finite = True

    def add(
        self,
        outputs: Sequence[Tensors],
        along: Sequence[Tensors],
        encoded: Sequence[Tensors],
        truths: Sequence[Any],
        kept: Sequence[int],
    ) -> None:
        """Read the outputs of some samples, and those along torch's; `kept` are the places of those that stay."""
        self._few += [along[place] for place in kept]
        finite = (all_finite(value) for one in outputs for value in one.values())
        self._finite = self._original or (self._finite and all(finite))
        if not self._finite:  # there is no answer in them
            return
        answers = list(map(self._reference.task.decode, outputs, encoded))
        metric = self._reference.metric
        self._evidence += map(metric.evidence, answers if metric.reads == "answer" else along, truths)
        self._decisions.add(outputs, encoded, answers)

    def side(self) -> Side:
        """What is kept of it."""
        if not self._finite:
            return Side(np.empty(0), Decisions(self._reference.task).all(), self._few, finite=False)
        return Side(packed(self._evidence), self._decisions.all(), self._few)


def ladder_rows(count: int, limit: int = 64) -> list[int]:
    """At most `limit` of `count` samples, evenly spaced."""
    places = np.linspace(0, count - 1, min(limit, count)).round().astype(int)
    return sorted(set(places.tolist()))


def measure(
    setting: Setting,
    variants: Mapping[str, Files],
    progress: Callable[[int, int], None] | None = None,
    rows: Sequence[int] | None = None,
) -> Measured:
    """Run all samples through torch and the variants. The outputs of `rows` are kept, those of `ladder_rows` without
    it.
    """
    reference, samples = setting.reference, setting.samples
    rows = ladder_rows(len(samples)) if rows is None else rows
    graphs: dict[str, SessionGraphs] = {}
    errors: dict[str, str] = {}
    for name, files in variants.items():
        try:
            graphs[name] = setting.open(files)
        except EdgewrightError as error:
            errors[name] = str(error)
    torch, found = _Reading(reference, original=True), {name: _Reading(reference) for name in graphs}
    listed = {name: _Reading(reference) for name in graphs}
    apart = {name: Distances() for name in graphs}
    lengths: list[int] = []
    for start in range(0, len(samples), LIST):
        encoded = setting.task.encode_all(samples.raws[start : start + LIST])
        lengths += [int(sample[LENGTHS]) for sample in encoded if LENGTHS in sample]
        batch = (
            encoded,
            samples.truths[start : start + LIST],
            [row - start for row in rows if start <= row < start + LIST],
        )
        wanted = list(setting.task.run(encoded, reference.graphs))
        torch.add(wanted, wanted, *batch)
        for name in [name for name in graphs if name not in errors]:
            try:
                outputs = along = run_each(setting.task, graphs[name], encoded)
                if setting.task.loops:
                    along = run_along(setting.task, graphs[name], encoded, wanted)
                together = list(setting.task.run(encoded, graphs[name]))
            except EdgewrightError as error:
                errors[name] = str(error)
                continue
            found[name].add(outputs, along, *batch)
            # A list cannot be led along torch's choices: what is read of a loop's outputs is as it is alone.
            listed[name].add(together, along if setting.task.loops else together, *batch[:2], ())
            for ours, theirs in zip(wanted, along, strict=True):
                apart[name].add(ours, theirs)
        if progress is not None:
            progress(min(start + LIST, len(samples)), len(samples))
    ran = [name for name in graphs if name not in errors]
    return Measured(
        torch.side(),
        rows,
        np.array(lengths, np.int64) if lengths else None,
        {name: found[name].side() for name in ran},
        {name: listed[name].side() for name in ran},
        {name: apart[name].result() for name in ran},
        {name: graphs[name] for name in ran},
        {name: opened.provider for name, opened in graphs.items()},
        errors,
    )


def run_each(task: Task[Any], graphs: Graphs, encoded: Sequence[Tensors]) -> list[Tensors]:
    """One sample at a time, as a device meets them: int8-dynamic takes its scales from the whole batch. The rows of one
    sample, such as the windows of a long text, share batches as they do in the engine.
    """
    return [outputs for sample in encoded for outputs in task.run((sample,), graphs)]


def run_along(
    task: Task[Any], graphs: Graphs, encoded: Sequence[Tensors], wanted: Sequence[Tensors]
) -> list[Tensors]:
    """As `run_each`, a loop led along the choices that gave `wanted`: what can be compared with it number by number."""
    if not task.loops:
        return run_each(task, graphs, encoded)
    return [task.replay(sample, one, graphs) for sample, one in zip(encoded, wanted, strict=True)]
