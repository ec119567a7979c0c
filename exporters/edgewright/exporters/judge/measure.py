"""Runs torch and every variant over the same encoded samples, once, and reads their outputs as they come.

Of a model there stay what it decided, what its metric needs, and the outputs of a few samples.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgewright.exporters.distance import Distances, TensorDistance, stack
from edgewright.exporters.judge.agreement import Decided, Decisions
from edgewright.exporters.reference import Reference, Samples, packed
from edgewright.runtime.contracts import Tensors
from edgewright.runtime.errors import EdgewrightError
from edgewright.runtime.graphs.checks import all_finite
from edgewright.runtime.graphs.session import Session
from edgewright.runtime.running.windows import encode_all, most_tokens, run_fixed, run_samples
from edgewright.runtime.tasks.series import LENGTHS

Opener = Callable[..., Session]
"""Called as `edgewright.runtime.graphs.session.open_session` is."""

_BATCH = 32


@dataclass(frozen=True)
class Side:
    """What is kept of one model over all samples, in their order.

    `evidence` is that of the metric, as `packed` gives it; empty, as `decided`, where an output is not finite. `few`
    are the outputs of the samples that the ladder climbs with.
    """

    evidence: NDArray[Any]
    decided: Decided
    few: Tensors


@dataclass
class Measured:
    """Torch and its variants on all samples. A variant that did not run is in `errors` instead of `variants`.

    `apart` says how far each variant lies from torch; `rows` are the samples whose outputs are kept, `lengths` those of
    all samples where they have any, int64 [samples].
    """

    torch: Side
    rows: Sequence[int]
    lengths: NDArray[np.int64] | None = None
    variants: dict[str, Side] = field(default_factory=dict)
    apart: dict[str, TensorDistance] = field(default_factory=dict)
    providers: dict[str, str] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)


class _Reading:
    """One model's outputs as they come, batch by batch."""

    def __init__(self, reference: Reference, original: bool = False) -> None:
        """`original` is torch's own side: it has to be finite, and how clearly it decides is read too."""
        self._reference, self._original = reference, original
        self._evidence: list[Any] = []
        self._decisions = Decisions(reference.task, original)
        self._few: list[Tensors] = []
        self._finite = True

    def add(
        self, outputs: Tensors, feeds: Sequence[Tensors], truths: Sequence[Any], kept: Sequence[int]
    ) -> None:
        """Read a batch; `kept` are the places in it whose outputs stay."""
        if kept:
            self._few.append({name: value[list(kept)] for name, value in outputs.items()})
        self._finite = self._original or (self._finite and all(map(all_finite, outputs.values())))
        if not self._finite:  # there is no answer in them
            return
        answers = self._reference.task.decode(outputs, feeds)
        self._evidence += map(self._reference.metric.evidence, answers, truths)
        self._decisions.add(outputs, feeds)

    def side(self) -> Side:
        """What is kept of it."""
        if not self._finite:
            return Side(np.empty(0), Decisions(self._reference.task).all(), stack(self._few))
        return Side(packed(self._evidence), self._decisions.all(), stack(self._few))


def ladder_rows(count: int, limit: int = 64) -> list[int]:
    """At most `limit` of `count` samples, evenly spaced."""
    places = np.linspace(0, count - 1, min(limit, count)).round().astype(int)
    return sorted(set(places.tolist()))


def measure(
    reference: Reference,
    samples: Samples,
    graphs: Mapping[str, Path],
    provider: str,
    threads: int | None,
    opener: Opener,
    progress: Callable[[int, int], None] | None = None,
    rows: Sequence[int] | None = None,
) -> tuple[Measured, dict[str, Session]]:
    """Run all samples; returns what was measured, and the open sessions by variant. The outputs of `rows` are kept,
    those of `ladder_rows` without it.
    """
    rows = ladder_rows(len(samples)) if rows is None else rows
    sessions: dict[str, Session] = {}
    providers: dict[str, str] = {}
    errors: dict[str, str] = {}
    for name, path in graphs.items():
        try:
            sessions[name] = opener(path, provider=provider, threads=threads, cache=False)
            providers[name] = sessions[name].provider
        except EdgewrightError as error:
            errors[name] = str(error)
    fixed = run_fixed(reference.task, reference.run)
    torch, found = _Reading(reference, original=True), {name: _Reading(reference) for name in sessions}
    apart = {name: Distances() for name in sessions}
    lengths: list[int] = []
    for start in range(0, len(samples), _BATCH):
        feeds = encode_all(reference.task, samples.raws[start : start + _BATCH])
        lengths += [int(sample[LENGTHS]) for sample in feeds if LENGTHS in sample]
        batch = (
            feeds,
            samples.truths[start : start + _BATCH],
            [row - start for row in rows if start <= row < start + _BATCH],
        )
        wanted = run_samples(reference.task, feeds, reference.run, fixed=fixed)
        torch.add(wanted, *batch)
        for name in [name for name in sessions if name not in errors]:
            try:
                outputs = run_each(reference, sessions[name], feeds)
            except EdgewrightError as error:
                errors[name] = str(error)
                continue
            found[name].add(outputs, *batch)
            apart[name].add(wanted, outputs)
        if progress is not None:
            progress(min(start + _BATCH, len(samples)), len(samples))
    ran = [name for name in sessions if name not in errors]
    measured = Measured(
        torch.side(),
        rows,
        np.array(lengths, np.int64) if lengths else None,
        {name: found[name].side() for name in ran},
        {name: apart[name].result() for name in ran},
        providers,
        errors,
    )
    return measured, {name: sessions[name] for name in ran}


def run_each(reference: Reference, session: Session, feeds: Sequence[Tensors]) -> Tensors:
    """One sample at a time, as a device meets them: int8-dynamic takes its scales from the whole batch. The rows of one
    sample, such as the windows of a long text, share batches as they do in the engine.
    """
    limit = most_tokens(session.provider)
    fixed = run_fixed(reference.task, session.run, limit=limit)
    return stack(
        [run_samples(reference.task, [sample], session.run, fixed=fixed, limit=limit) for sample in feeds]
    )


def run_again(
    reference: Reference,
    samples: Samples,
    graphs: Mapping[str, Path],
    provider: str,
    threads: int | None,
    opener: Opener,
    rows: Sequence[int],
) -> tuple[Tensors, dict[str, Tensors]]:
    """The outputs of torch and of each graph for a few samples, as `measure` runs them."""
    feeds = encode_all(reference.task, [samples.raws[row] for row in rows])
    found = {}
    for name, path in graphs.items():
        session = opener(path, provider=provider, threads=threads, cache=False)
        found[name] = run_each(reference, session, feeds)
    return run_samples(reference.task, feeds, reference.run), found
