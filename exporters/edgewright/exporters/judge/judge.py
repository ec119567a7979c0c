"""Judges every variant against torch on real samples, from raw input to answer, and says which one ships."""

import dataclasses
import operator
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch

from edgewright.exporters.bundle.write import Candidate, write_candidate
from edgewright.exporters.judge.agreement import decides
from edgewright.exporters.judge.golden import Again, choose_golden
from edgewright.exporters.judge.ladder import climb
from edgewright.exporters.judge.latency import row_speeds, stepped_latencies, typical_sample, whole_latencies
from edgewright.exporters.judge.lists import fault_in_lists, list_fields, note_on_lists
from edgewright.exporters.judge.measure import Measured, Opener, Setting, measure
from edgewright.exporters.judge.statistics import metric_difference
from edgewright.exporters.judge.timing import Latency
from edgewright.exporters.reference import Reference, Samples
from edgewright.exporters.verdict import (
    FAIL,
    FP16_RELATIVE,
    FP32_RELATIVE,
    NO_ANSWERS,
    PASS,
    REJECTED,
    ROUNDING,
    Budget,
    Ladder,
    VariantRow,
    Verdict,
)
from edgewright.runtime.errors import ExportError
from edgewright.runtime.graphs.providers import load_onnxruntime
from edgewright.runtime.graphs.session import open_session
from edgewright.runtime.graphs.session_options import cpu_class

SECONDS = 4.0
"""How long the latencies of whole graphs are measured, and for a quarter of it those of steps."""

_OWN_RUNGS = ("precision", "provider", "stream", "warm")
"""Rungs of the ladder that one variant can fail alone."""


def judge(
    reference: Reference,
    candidate: Candidate,
    samples: Samples,
    budget: Budget,
    provider: str = "auto",
    threads: int | None = None,
    seconds: float | None = None,
    progress: Callable[[int, int], None] | None = None,
    opener: Opener = open_session,
) -> Verdict:
    """Measure every graph of `candidate` on all samples, climb the ladder, and rank what passed.

    Args:
        samples: The evaluation split; neither training nor calibration may have seen it.
        threads: For torch and onnxruntime alike; None for as many as torch uses.
        seconds: How long latencies are measured; None for `SECONDS`.
        progress: Called with (samples done, samples in all).

    A variant fails whose metric drops more than the budget allows, whose outputs are not finite, or that does
    not run; it is rejected when it is neither smaller nor faster than fp32 by the budget's margin. Nothing
    ships when fp32 fails, or when a rung of the ladder that all variants stand on does.
    """
    if budget.require not in ("estimate", "interval"):
        raise ExportError(f"budget.require is {budget.require!r}: choose estimate or interval")
    count = threads or torch.get_num_threads()
    seconds = SECONDS if seconds is None else seconds
    setting = Setting(reference, samples, candidate.signatures, provider, count, opener)
    files = {
        name: {role: graph.path for role, graph in graphs.items()}
        for name, graphs in candidate.graphs.items()
    }
    measured = measure(setting, files, progress)
    typical = typical_sample(setting, measured)
    steps = stepped_latencies(setting, typical, files, measured, seconds / 4)
    running = {name: measured.graphs[name] for name in measured.variants}
    latencies = whole_latencies(setting, typical, running, seconds)
    rows = [
        _judge_variant(name, reference, candidate, samples, budget, measured, latencies, steps)
        for name in candidate.graphs
    ]
    rows += [VariantRow(name, FAIL, reason) for name, reason in candidate.failures.items()]
    del running
    measured.graphs.clear()  # the ladder opens its own

    def again(names: Sequence[str]) -> Again:
        return partial(setting.again, {name: files[name] for name in names})

    ladder = _climb(setting, candidate, budget, measured, again)
    stream_reason = _why_no_stream(candidate, ladder)
    rows = [_blamed(_with_stream(row, ladder), ladder, bool(stream_reason)) for row in rows]
    ranking, reason = _rank(rows, budget, ladder)
    golden = (
        choose_golden(setting.task, samples, measured, ranking, again(ranking), _stream_apart(ladder))
        if ranking
        else NO_ANSWERS
    )
    return Verdict(
        reference.metric.name,
        len(samples),
        budget,
        tuple(rows),
        ranking,
        reason,
        golden,
        ladder,
        threads=count,
        cpu=cpu_class(),
        onnxruntime=load_onnxruntime().__version__,
        stream_reason=stream_reason,
    )


def _why_no_stream(candidate: Candidate, ladder: Ladder | None) -> str:
    """Why nothing of what passes may stream; empty where it may. What fp32 loses by streaming is the model's own."""
    rungs = () if ladder is None else ladder.rungs
    failed = [rung for rung in rungs if (rung.name, rung.variant, rung.status) == ("warm", "fp32", "failed")]
    if not failed or candidate.stream is None:
        return ""
    other = "carried" if candidate.stream.memory == "context" else "context"
    return f"{failed[0].reason}: train with stream.memory: {other}, or answer whole samples"


def _with_stream(row: VariantRow, ladder: Ladder | None) -> VariantRow:
    rungs = () if ladder is None else ladder.rungs
    found = [rung.figure for rung in rungs if (rung.name, rung.variant) == ("warm", row.name)]
    return dataclasses.replace(row, stream_metric=found[0] if found else None)


def _stream_apart(ladder: Ladder | None) -> dict[str, float]:
    rungs = () if ladder is None else ladder.rungs
    return {rung.variant: rung.figure or 0.0 for rung in rungs if rung.name == "stream"}


def _judge_variant(
    name: str,
    reference: Reference,
    candidate: Candidate,
    samples: Samples,
    budget: Budget,
    measured: Measured,
    latencies: Mapping[str, Latency],
    steps: Mapping[str, Latency],
) -> VariantRow:
    size, metric, task = candidate.size(name), reference.metric, reference.task
    row = VariantRow(
        name,
        FAIL,
        measured.errors.get(name, ""),
        _notes(candidate, name),
        size=size,
        size_ratio=size / candidate.size("fp32"),
        provider=measured.providers.get(name, ""),
    )
    if name in measured.errors:
        return row
    torch, variant, apart = measured.torch, measured.variants[name], measured.apart[name]
    listed = measured.lists[name]
    row = dataclasses.replace(
        row, worst_sample=samples.ids[apart.worst], **row_speeds(name, latencies, steps)
    )
    if not (apart.finite and variant.finite and listed.finite):
        return dataclasses.replace(
            row, reason="its outputs are not finite (NaN or infinity): leave this precision out"
        )
    agreement = agreement_clear = None
    ours, theirs = torch.decided, variant.decided
    if decides(ours.each) or decides(theirs.each):
        agreed = task.agreement if ours.vectors is None else operator.eq
        same = np.array(list(map(agreed, ours.each, theirs.each)), np.float64)
        agreement = float(same.mean())
        clear = same[ours.clear] >= task.alike
        agreement_clear = float(clear.mean()) if len(clear) else 1.0
    near = ours.neighbours_kept(theirs)
    if near is not None:
        row = dataclasses.replace(
            row, notes=(*row.notes, f"{near:.1%} of the ten nearest samples are torch's")
        )
    difference = metric_difference(metric, torch.evidence, variant.evidence)
    known = np.isfinite([difference.low, difference.high]).all()
    row = dataclasses.replace(
        row,
        metric=metric.of(variant.evidence),
        metric_torch=metric.of(torch.evidence),
        drop=difference.drop,
        interval=(difference.low, difference.high) if known else None,
        interval_method=difference.method,
        agreement=agreement,
        agreement_clear=agreement_clear,
        max_abs=apart.max_abs,
        relative=apart.relative,
        passing_tolerance=apart.passing_tolerance,
        sqnr_db=apart.sqnr_db if apart.sqnr_db is not None and np.isfinite(apart.sqnr_db) else None,
        **list_fields(name, reference, measured),
    )
    row = _decide(row, metric.name, budget)
    if row.status == FAIL:
        return row
    fault = fault_in_lists(row, reference, measured, budget)
    if fault is not None:
        return dataclasses.replace(row, status=FAIL, reason=fault)
    return dataclasses.replace(row, notes=(*row.notes, *filter(None, [note_on_lists(row)])))


def _decide(row: VariantRow, metric: str, budget: Budget) -> VariantRow:
    """PASS, FAIL or REJECTED, and the reason."""
    assert row.drop is not None and row.relative is not None
    notes = list(row.notes)
    if row.name == "fp32":
        if row.relative > FP32_RELATIVE:
            reason = f"fp32 differs from torch by {row.relative:.2g} of the output scale, {FP32_RELATIVE:g} is allowed"
            return dataclasses.replace(row, status=FAIL, reason=reason)
        if row.agreement_clear is not None and row.agreement_clear < 1.0:
            reason = f"fp32 decides {1 - row.agreement_clear:.2%} of the clear samples otherwise than torch"
            return dataclasses.replace(row, status=FAIL, reason=reason)
    if row.name == "fp16" and row.relative > FP16_RELATIVE:
        # A CPU computes fp16 files in fp32, so an overflow does not show as infinity but as values cut off.
        reason = (
            f"fp16 cannot hold this model's numbers, outputs differ by {row.relative:.2g} of their scale: "
            "leave fp16 out"
        )
        return dataclasses.replace(row, status=FAIL, reason=reason)
    if row.drop > budget.max_drop + ROUNDING:
        reason = (
            f"{metric} falls by {row.drop:.4f} ({row.metric_torch:.4f} to {row.metric:.4f}), "
            f"{budget.max_drop:.4f} is allowed"
        )
        return dataclasses.replace(row, status=FAIL, reason=reason)
    # fp32 that agrees with torch on every decision, or decides nothing, has nothing left to prove.
    unproven = row.interval is None or row.interval[1] > budget.max_drop + ROUNDING
    if unproven and not (row.name == "fp32" and row.agreement in (1.0, None)):
        reach = "has no interval" if row.interval is None else f"may reach {row.interval[1]:.4f}"
        text = f"the drop {reach} (95 % interval), beyond {budget.max_drop:.4f}: more evaluation samples may settle it"
        if budget.require == "interval":
            return dataclasses.replace(row, status=FAIL, reason=f"not proven: {text}")
        notes.append(f"not proven: {text}")
    if row.name != "fp32":
        assert row.size_ratio is not None
        smaller = row.size_ratio <= 1.0 - budget.smaller_by
        faster = row.speed_vs_fp32 is None or max(_speeds(row)) >= 1.0 + budget.faster_by
        if not smaller and not faster:
            reason = (
                f"does not earn its place: {row.size_ratio:.2f} times the size and {row.speed_vs_fp32:.2f} times "
                f"the speed of fp32, {1 - budget.smaller_by:.2f} or {1 + budget.faster_by:.2f} is asked for"
            )
            return dataclasses.replace(row, status=REJECTED, reason=reason, notes=tuple(notes))
        slow = [speed for speed in _speeds(row) if speed < 1.0 / (1.0 + budget.faster_by)]
        if slow:
            kept = "its size" if smaller else "its speed in the other form"
            notes.append(f"slower than fp32 here ({min(slow):.2f} times its speed): kept for {kept}")
    return dataclasses.replace(row, status=PASS, reason="", notes=tuple(notes))


def _speeds(row: VariantRow) -> list[float]:
    """How many times as fast as fp32: of the whole graph, and of the step graph where there is one."""
    return [speed for speed in (row.speed_vs_fp32, row.step_speed_vs_fp32) if speed is not None]


def _notes(candidate: Candidate, name: str) -> tuple[str, ...]:
    """How the graphs of a variant were made."""
    (_, whole), *others = ((role, graph.note) for role, graph in candidate.graphs[name].items())
    more = (f"its {role} graph: {note}" for role, note in others if note not in ("", whole))
    return (*([whole] if whole else []), *more)


def _climb(
    setting: Setting,
    candidate: Candidate,
    budget: Budget,
    measured: Measured,
    again: Callable[[Sequence[str]], Again],
) -> Ladder | None:
    """Climb the ladder of a bundle with everything in it that runs, before anything has passed."""
    names = [name for name in candidate.graphs if name in measured.variants]
    if "fp32" not in names:
        return None
    # Golden samples here only have to be there; a variant whose outputs are not finite has no tolerance to
    # give.
    names = [name for name in names if measured.apart[name].finite]
    if "fp32" not in names:
        return None
    samples = setting.samples
    golden = choose_golden(setting.task, samples, measured, names, again(names))
    with tempfile.TemporaryDirectory(prefix="edgewright-") as folder:
        bundle = write_candidate(Path(folder) / "bundle", candidate, names, ("fp32",), golden, None, samples)
        return climb(
            setting.reference,
            bundle,
            samples,
            budget,
            setting.provider,
            setting.threads,
            opener=setting.opener,
            measured=measured,
        )


def _blamed(row: VariantRow, ladder: Ladder | None, no_stream: bool) -> VariantRow:
    """A variant falls with a rung of its own, but not with a stream that no variant has; a variant that failed is told
    where it parts from fp32.
    """
    if ladder is None or row.name == "fp32":
        return row
    for rung in ladder.rungs:
        if no_stream and rung.name == "warm":
            continue
        if rung.variant == row.name and rung.status == "failed" and rung.name in _OWN_RUNGS:
            notes = (*row.notes, f"parts from fp32 first at {rung.node}") if rung.node else row.notes
            reason = row.reason if row.status == FAIL else f"the ladder fails at {rung.name}: {rung.reason}"
            return dataclasses.replace(row, status=FAIL, reason=reason, notes=notes)
    return row


def _rank(rows: list[VariantRow], budget: Budget, ladder: Ladder | None) -> tuple[tuple[str, ...], str]:
    """Passing variants, the best first: the fastest; of those about as fast the smallest, then the nearest to torch."""
    fp32 = next(row for row in rows if row.name == "fp32")
    if fp32.status != PASS:
        return (), f"fp32 does not give torch's answers: {fp32.reason}"
    if ladder is not None:
        shared = [
            rung
            for rung in ladder.rungs
            if rung.status == "failed"
            and rung.name != "warm"
            and (rung.name not in _OWN_RUNGS or rung.variant == "fp32")
        ]
        if shared:
            return (), f"the ladder fails at {shared[0].name}: {shared[0].reason}"
    waiting = [row for row in rows if row.status == PASS]
    ranking: list[str] = []
    while waiting:
        fastest = min(row.p50_ms or 0.0 for row in waiting)
        near = [row for row in waiting if (row.p50_ms or 0.0) <= fastest * (1.0 + budget.faster_by)]
        best = min(near, key=lambda row: (row.size or 0, row.relative or 0.0, row.name))
        ranking.append(best.name)
        waiting.remove(best)
    return tuple(ranking), ""
