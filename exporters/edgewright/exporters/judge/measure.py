"""Runs torch and every variant over the same encoded samples, once: outputs, and the evidence of their answers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgewright.exporters.distance import stack
from edgewright.exporters.reference import Reference, Samples, packed
from edgewright.runtime.contracts import Tensors
from edgewright.runtime.errors import EdgewrightError
from edgewright.runtime.graphs.checks import all_finite
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

    `torch_evidence` is what the metric keeps of torch's answers, and `evidence` of the answers of each variant whose
    outputs are all finite, both as `packed` gives it.
    """

    torch: Tensors
    torch_evidence: NDArray[Any]
    lengths: NDArray[np.int64] | None = None
    samples: list[Tensors] | None = None
    variants: dict[str, Tensors] = field(default_factory=dict)
    evidence: dict[str, NDArray[Any]] = field(default_factory=dict)
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
    """Run all samples; returns what was measured, and the open sessions by variant."""
    measured = Measured({}, np.empty(0))
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
    torch_parts: list[Tensors] = []
    parts: dict[str, list[Tensors]] = {name: [] for name in sessions}
    evidence: dict[str, list[Any]] = {name: [] for name in sessions}
    torch_evidence: list[Any] = []
    lengths: list[int] = []
    for start in range(0, len(samples), _BATCH):
        feeds = encode_all(reference.task, samples.raws[start : start + _BATCH])
        lengths += [int(sample[LENGTHS]) for sample in feeds if LENGTHS in sample]
        if measured.samples is not None:
            measured.samples += feeds
        truths = samples.truths[start : start + _BATCH]
        torch_parts.append(run_samples(reference.task, feeds, reference.run, fixed=fixed))
        torch_evidence += read_evidence(reference, torch_parts[-1], feeds, truths)
        for name in [name for name in sessions if name not in measured.errors]:
            try:
                outputs = run_each(reference, sessions[name], feeds)
            except EdgewrightError as error:
                measured.errors[name] = str(error)
                continue
            parts[name].append(outputs)
            if name in evidence and all(map(all_finite, outputs.values())):
                evidence[name] += read_evidence(reference, outputs, feeds, truths)
            else:  # there is no answer in them
                evidence.pop(name, None)
        if progress is not None:
            progress(min(start + _BATCH, len(samples)), len(samples))
    measured.torch, measured.torch_evidence = stack(torch_parts), packed(torch_evidence)
    measured.lengths = np.array(lengths, np.int64) if lengths else None
    measured.variants = {name: stack(found) for name, found in parts.items() if name not in measured.errors}
    measured.evidence = {name: packed(found) for name, found in evidence.items() if name in measured.variants}
    return measured, {name: session for name, session in sessions.items() if name not in measured.errors}


def read_evidence(
    reference: Reference, outputs: Tensors, feeds: Sequence[Tensors], truths: Sequence[Any]
) -> list[Any]:
    """What the metric keeps of the answers in `outputs`, those of some samples."""
    answers = reference.task.decode(outputs, feeds)
    return [reference.metric.evidence(*pair) for pair in zip(answers, truths, strict=True)]


def run_each(reference: Reference, session: Session, feeds: list[Tensors]) -> Tensors:
    """One sample at a time, as a device meets them: int8-dynamic takes its scales from the whole batch. The rows of one
    sample, such as the windows of a long text, share batches as they do in the engine.
    """
    limit = most_tokens(session.provider)
    fixed = run_fixed(reference.task, session.run, limit=limit)
    return stack(
        [run_samples(reference.task, [sample], session.run, fixed=fixed, limit=limit) for sample in feeds]
    )
