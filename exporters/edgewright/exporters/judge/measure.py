"""Runs torch and every variant over the same encoded samples, once, and keeps only the outputs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgewright.exporters.distance import stack
from edgewright.exporters.reference import Reference, Samples
from edgewright.runtime.contracts import Feeds
from edgewright.runtime.errors import EdgewrightError
from edgewright.runtime.graphs.session import Session
from edgewright.runtime.running.windows import as_rows_task, encode_all, most_tokens, run_fixed, run_samples
from edgewright.runtime.tasks.series import LENGTHS

Opener = Callable[..., Session]
"""Called as `edgewright.runtime.graphs.session.open_session` is."""

_BATCH = 32


@dataclass
class Measured:
    """Outputs on all samples, in their order. A variant that did not run is in `errors` instead of
    `variants`. `lengths` are those of the samples where they have any, int64 [samples]; `samples` what they were
    encoded to, of tasks whose samples may be several rows of the graph: these need it to read the outputs.
    """

    torch: Feeds
    lengths: NDArray[np.int64] | None = None
    samples: list[Feeds] | None = None
    variants: dict[str, Feeds] = field(default_factory=dict)
    providers: dict[str, str] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)


def measure(
    reference: Reference,
    samples: Samples,
    graphs: Mapping[str, Path],
    provider: str,
    threads: int | None,
    opener: Opener,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Measured, dict[str, Session]]:
    """Run all samples; returns the outputs, and the open sessions by variant."""
    measured = Measured({})
    sessions: dict[str, Session] = {}
    for name, path in graphs.items():
        try:
            sessions[name] = opener(path, provider=provider, threads=threads, cache=False)
            measured.providers[name] = sessions[name].provider
        except EdgewrightError as error:
            measured.errors[name] = str(error)
    if as_rows_task(reference.task) is not None:
        measured.samples = []
    fixed = run_fixed(reference.task, reference.run)
    torch_parts: list[Feeds] = []
    parts: dict[str, list[Feeds]] = {name: [] for name in sessions}
    lengths: list[int] = []
    for start in range(0, len(samples), _BATCH):
        feeds = encode_all(reference.task, samples.raws[start : start + _BATCH])
        lengths += [int(sample[LENGTHS]) for sample in feeds if LENGTHS in sample]
        if measured.samples is not None:
            measured.samples += feeds
        torch_parts.append(run_samples(reference.task, feeds, reference.run, fixed=fixed))
        for name in [name for name in sessions if name not in measured.errors]:
            try:
                parts[name].append(run_each(reference, sessions[name], feeds))
            except EdgewrightError as error:
                measured.errors[name] = str(error)
        if progress is not None:
            progress(min(start + _BATCH, len(samples)), len(samples))
    measured.torch = stack(torch_parts)
    measured.lengths = np.array(lengths, np.int64) if lengths else None
    measured.variants = {name: stack(found) for name, found in parts.items() if name not in measured.errors}
    return measured, {name: session for name, session in sessions.items() if name not in measured.errors}


def run_each(reference: Reference, session: Session, feeds: list[Feeds]) -> Feeds:
    """One sample at a time, as a device meets them: int8-dynamic takes its scales from the whole batch. The rows of one
    sample, such as the windows of a long text, share batches as they do in the engine.
    """
    limit = most_tokens(session.provider)
    fixed = run_fixed(reference.task, session.run, limit=limit)
    return stack(
        [run_samples(reference.task, [sample], session.run, fixed=fixed, limit=limit) for sample in feeds]
    )
