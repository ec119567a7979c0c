"""Streams as they are used: warm, over whole recordings of the evaluation part, judged by the task's own metric."""

from collections.abc import Iterator, Sequence
from typing import Any

from edgewright.exporters.judge.measure import Setting, Side
from edgewright.exporters.reference import Samples, Turn, packed
from edgewright.exporters.verdict import ROUNDING, Budget, Rung
from edgewright.runtime.bundle.opening import Bundle
from edgewright.runtime.engine import Engine
from edgewright.runtime.errors import InputError
from edgewright.runtime.streams.stream import Stream

_MOST_STEPS = 2_000_000
"""Steps that the graphs of one variant run, those that are run again and again counted each time."""


def warm_rung(
    setting: Setting, bundle: Bundle, variant: str, torch: Side, whole: Side, budget: Budget
) -> Rung:
    """The rung "warm" of one variant: the metric of its stream's answers, with that of torch's to the same samples.

    Its figure is the metric of the stream, its tolerance the worst that the budget allows.
    """
    if not whole.finite:
        return Rung("warm", variant, "not run", None, None, "its outputs are not finite")
    metric, samples = setting.reference.metric, setting.samples
    with Engine(bundle, variant, setting.provider, setting.threads, cache=False) as engine:
        answers = dict(_answers(engine, samples))
    evidence = {
        row: metric.evidence(answer, samples.truths[row])
        for row, answer in answers.items()
        if answer is not None
    }
    missing = len(answers) - len(evidence)
    if not evidence or missing > budget.max_drop * len(answers):
        reason = f"the stream has no answer to {missing} of {len(answers)} samples"
        return Rung("warm", variant, "failed", None, None, reason)
    rows = sorted(evidence)
    streamed = metric.of(packed([evidence[row] for row in rows]))
    wanted, alone = metric.of(torch.evidence[rows]), metric.of(whole.evidence[rows])
    drop = metric.merit(wanted) - metric.merit(streamed)
    worst = wanted - budget.max_drop if metric.greater else wanted + budget.max_drop
    told = f"{metric.name} {streamed:.4f} by stream, {alone:.4f} sample by sample, of {len(rows)} samples"
    if drop <= budget.max_drop + ROUNDING:
        return Rung("warm", variant, "ok", streamed, worst, told)
    reason = f"{told}: {drop:.4f} below torch's {wanted:.4f}, {budget.max_drop:.4f} is allowed"
    return Rung("warm", variant, "failed", streamed, worst, reason)


def _answers(engine: Engine, samples: Samples) -> Iterator[tuple[int, Any]]:
    """The number of each sample whose answer is due, and the stream's answer, None where it gives none."""
    memory, task = engine.manifest.stream, engine.task
    again = memory.steps if memory is not None and memory.memory == "context" else 1
    spent = 0
    for turns in _spread(samples.streams):
        with engine.stream() as stream:
            every: list[Any] = []
            broken = False
            for turn in turns:
                if spent > _MOST_STEPS:
                    return
                try:
                    found = _pushed(stream, list(task.pushed(turn.piece, memory)), bool(task.timed_outputs))
                except InputError:  # what only a whole sample can answer, such as a gap that is interpolated
                    stream.reset()
                    every.clear()
                    broken = True
                    continue
                spent += again * max(1, len(found)) + turn.steps
                every = [*every, *found][-max(turn.steps, 1) :]
                if found and (not task.timed_outputs or len(every) == turn.steps):
                    broken = False
                    yield turn.row, task.joined(every)
                elif not broken:  # a stream that was reset has to see its context first
                    yield turn.row, None


def _pushed(stream: Stream, pieces: Sequence[Any], every: bool) -> list[Any]:
    """The answer to every step, or only the newest."""
    if every:
        return [answer for piece in pieces for answer in stream.push_all(piece)]
    answers = [answer for answer in map(stream.push, pieces) if answer is not None]
    return answers[-1:]


def _spread(streams: Sequence[Sequence[Turn]]) -> Iterator[Sequence[Turn]]:
    """The streams, those that lie far apart first: where there are too many, some of each kind are pushed."""
    step = max(1, round(len(streams) ** 0.5))
    for first in range(step):
        yield from streams[first::step]
