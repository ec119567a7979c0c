"""Streams are judged as they are used: warm, over whole recordings, by the task's metric, within the same budget."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from edgewright.exporters.bundle.write import Candidate, write_bundle
from edgewright.exporters.judge.judge import judge
from edgewright.exporters.reference import Samples, Turn
from edgewright.exporters.verdict import PASS, Budget, Verdict
from edgewright.runtime.bundle.manifest import StreamMemory
from edgewright.runtime.bundle.opening import open_bundle
from edgewright.runtime.engine import Engine
from edgewright.runtime.errors import InputError
from edgewright.runtime.series.settings import Series
from tests.exporters.sequences import FEATURES, Recurrent, make, network
from tests.messages import refused

WINDOW, STEPS = 8, 480
BUDGET = Budget(max_drop=0.02, smaller_by=-1.0)


def trend(random: np.random.Generator) -> np.ndarray:
    """It climbs from one end of the scale to the other."""
    return np.linspace([-4.0, 2.0], [4.0, -2.0], STEPS) + random.normal(0, 0.3, (STEPS, 2))


def regimes(random: np.random.Generator) -> np.ndarray:
    """It jumps between levels and stays there for a while."""
    levels = random.normal(0, 2.5, (STEPS // 40, 2)).repeat(40, axis=0)
    return levels + random.normal(0, 0.3, (STEPS, 2))


def cut(made: Recurrent, kind: str, every: int) -> Samples:
    """Windows of one long recording with what torch answers to each as the truth, and the recording as a stream."""
    shape = {"trend": trend, "regimes": regimes}[kind](np.random.default_rng(1))
    values = np.array([20.0, 1.0]) + shape * np.array([5.0, 0.5])
    starts = range(0, STEPS - WINDOW + 1, every)
    raws = [Series(values[start : start + WINDOW], FEATURES) for start in starts]
    task = made.reference.task
    encoded = [task.encode(raw) for raw in raws]
    answers = map(task.decode, task.run(encoded, made.reference.graphs), encoded)
    classes = hasattr(task, "labels") and bool(task.labels)
    truths = [answer.index if classes else answer.values for answer in answers]
    turns, done = [], 0
    for row, start in enumerate(starts):
        stop = start + WINDOW
        turns.append(Turn(Series(values[done:stop], FEATURES), row, WINDOW))
        done = stop
    return Samples(tuple(f"{kind}/{start:03d}" for start in starts), raws, truths, (tuple(turns),))


def remembering(made: Recurrent, memory: str) -> Candidate:
    candidate = made.candidate.without_stream() if memory == "context" else made.candidate
    return dataclasses.replace(candidate, stream=StreamMemory(memory, WINDOW))


def judged(made: Recurrent, memory: str, kind: str, every: int = 4) -> tuple[Candidate, Samples, Verdict]:
    candidate, samples = remembering(made, memory), cut(made, kind, every)
    return candidate, samples, judge(made.reference, candidate, samples, BUDGET, seconds=0.1)


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Recurrent:
    """What it makes of a window is the mean of its steps: in a stream that is never reset, of all there ever were."""
    net = network("gru", readout="mean")
    return make("sequence-classification", tmp_path_factory.mktemp("mean"), net, ("fp16",))


@pytest.mark.parametrize("kind", ["trend", "regimes"])
def test_a_stream_that_forgets_nothing_is_not_shipped(
    classifier: Recurrent, tmp_path: Path, kind: str
) -> None:
    candidate, samples, verdict = judged(classifier, "carried", kind)
    assert [row.status for row in verdict.rows] == [PASS, PASS]  # whole samples are answered as ever
    row = verdict.row("fp32")
    assert row.metric == 1.0 and row.stream_metric is not None and row.stream_metric < 0.9
    assert "below torch's 1.0000" in verdict.stream_reason and "memory: context" in verdict.stream_reason
    assert verdict.ladder is not None and verdict.ladder.first_failed is not None
    assert (verdict.ladder.first_failed.name, verdict.ladder.first_failed.variant) == ("warm", "fp32")
    bundle = open_bundle(write_bundle(tmp_path / "bundle", candidate, verdict, samples))
    assert not bundle.manifest.streams and bundle.manifest.graphs.keys() == {"model"}
    assert "it does not stream" in (bundle.root / "README.md").read_text(encoding="utf-8")
    with Engine(bundle, cache=False) as engine:
        assert engine(samples.raws[0]).label
        with pytest.raises(InputError, match=r"failed its verdict.*memory: context"):
            engine.stream()


@pytest.mark.parametrize("kind", ["trend", "regimes"])
def test_the_way_out_is_a_context(classifier: Recurrent, tmp_path: Path, kind: str) -> None:
    candidate, samples, verdict = judged(classifier, "context", kind)
    row = verdict.row("fp32")
    assert (verdict.stream_reason, row.metric, row.stream_metric) == ("", 1.0, 1.0)
    assert verdict.ladder is not None and verdict.ladder.first_failed is None
    bundle = open_bundle(write_bundle(tmp_path / "bundle", candidate, verdict, samples))
    assert bundle.manifest.stream == StreamMemory("context", WINDOW)
    assert "made of the last 8 steps" in (bundle.root / "README.md").read_text(encoding="utf-8")
    with Engine(bundle, "fp32", cache=False) as engine, engine.stream() as stream:
        for turn in samples.streams[0]:
            assert stream.push(turn.piece).probabilities == engine(samples.raws[turn.row]).probabilities


@pytest.mark.parametrize(("kind", "every"), [("trend", WINDOW), ("regimes", 3)])
def test_answers_to_every_step_are_put_together(tmp_path: Path, kind: str, every: int) -> None:
    """In windows side by side a stream answers each step once; in those that overlap, each for several."""
    made = make("sequence-regression", tmp_path, network("gru"))
    _, samples, verdict = judged(made, "carried", kind, every)
    row = verdict.row("fp32")
    assert row.metric is not None and row.metric > 0.999 and row.stream_metric is not None
    whole = Series(np.concatenate([turn.piece.values for turn in samples.streams[0]]), FEATURES)
    task = made.reference.task
    sample = task.encode(whole)
    (outputs,) = task.run([sample], made.reference.graphs)
    warm = task.decode(outputs, sample).values
    metric, starts = made.reference.metric, range(0, STEPS - WINDOW + 1, every)
    each = np.empty(len(starts), object)
    for place, start in enumerate(starts):
        each[place] = np.hstack((warm[start : start + WINDOW], samples.truths[place]))
    assert row.stream_metric == pytest.approx(metric.of(each), abs=1e-4)


def test_every_variant_streams_for_itself(classifier: Recurrent) -> None:
    candidate, samples = remembering(classifier, "context"), cut(classifier, "regimes", 4)
    verdict = judge(classifier.reference, candidate, samples, BUDGET, seconds=0.1)
    rung = next(one for one in verdict.ladder.rungs if (one.name, one.variant) == ("warm", "fp16"))  # type: ignore[union-attr]
    assert rung.status == "ok" and rung.figure is not None and rung.figure >= 0.98
    short = Samples(samples.ids, samples.raws, samples.truths, (samples.streams[0][:1],))
    again = judge(classifier.reference, candidate, short, BUDGET, seconds=0.1)
    assert again.row("fp16").stream_metric == 1.0


def test_a_gap_that_only_a_whole_sample_fills_is_passed_over(classifier: Recurrent) -> None:
    samples = cut(classifier, "trend", WINDOW)
    turns = list(samples.streams[0])
    gap = turns[3].piece.values.copy()
    gap[2] = np.nan
    turns[3] = Turn(Series(gap, FEATURES), 3, WINDOW)
    broken = Samples(samples.ids, samples.raws, samples.truths, (tuple(turns),))
    candidate = remembering(classifier, "context")
    verdict = judge(classifier.reference, candidate, broken, BUDGET, seconds=0.1)
    assert verdict.row("fp32").stream_metric == 1.0
    (rung, _) = [one for one in verdict.ladder.rungs if one.name == "warm"]  # type: ignore[union-attr]
    assert f"of {len(turns) - 1} samples" in rung.reason


def test_what_is_left_out_is_refused_in_the_verdicts_words(classifier: Recurrent, tmp_path: Path) -> None:
    candidate, samples, verdict = judged(classifier, "carried", "trend")
    bundle = write_bundle(tmp_path / "bundle", candidate, verdict, samples)
    with Engine(bundle, cache=False) as engine, refused(InputError):
        engine.streams(2)
