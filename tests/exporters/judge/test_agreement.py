"""Which decisions are clear: of classes, words, answers, neighbours."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from edgewright.exporters.judge.agreement import (
    Decided,
    Decisions,
    clear_samples,
    decide,
    decides,
    margins,
)
from edgewright.exporters.verdict import FP32_RELATIVE
from edgewright.runtime.contracts import Tensors
from edgewright.runtime.text.raw import Question
from edgewright.runtime.text.settings import QuestionSettings
from tests.runtime.encoder_bundle import case
from tests.runtime.recurrent_bundle import case as recurrent

TIE = 1e-5


def unclear(task: Any, outputs: Sequence[Tensors], samples: Sequence[Tensors] | None = None) -> list[bool]:
    known = [{"lost": np.array(0)}] * len(outputs) if samples is None else samples
    found: list[bool] = (~clear_samples(task, outputs, known, 1e-4)).tolist()
    return found


def logits(*rows: Sequence[float]) -> list[Tensors]:
    return [{"logits": np.array(row, np.float32)} for row in rows]


WHOLE: list[Tensors] = [{"lost": np.array(0)}] * 40


def test_of_classes_the_two_best_scores_say_it_exactly() -> None:
    task, outputs = case("one label").device_task(), logits([10.0, 9.9999, 0.0], [10.0, 5.0, 1.0])
    assert margins(task, outputs, WHOLE[:2]) == pytest.approx([0.0001, 5.0], rel=1e-2)
    assert unclear(task, outputs) == [True, False]


def test_what_decides_nothing_has_no_tie() -> None:
    task = recurrent("sequence-regression").device_task()
    outputs: list[Tensors] = [{"prediction": np.ones((length, 2), np.float32)} for length in (4, 1, 7)]
    nothing: list[Tensors] = [{}, {}, {}]
    assert not any(unclear(task, outputs, nothing)) and margins(task, outputs, nothing).tolist() == [0.1] * 3
    assert not decides(decide(task, outputs, nothing))


def test_of_several_labels_one_near_its_threshold_is_unclear() -> None:
    task = case("several labels").device_task(threshold=0.5)
    outputs = logits([5.0, -5.0, TIE], [5.0, -5.0, 2.0])
    assert unclear(task, outputs) == [True, False]
    assert margins(task, outputs, WHOLE[:2]).tolist() == [0.0, 0.1]


def test_of_words_one_tie_makes_a_sample_unclear() -> None:
    task = case("entities").device_task()
    samples = [task.encode("good film"), task.encode("bad film good")]
    outputs = [{"logits": np.zeros((int(one["lengths"]), len(task.labels)), np.float32)} for one in samples]
    for one in outputs:
        one["logits"][:, 0] = 5.0
    outputs[0]["logits"][int(task.word_rows(samples[0])[0]), 1] = 5.0 - TIE
    assert unclear(task, outputs, samples) == [True, False]


def test_of_answers_two_spans_of_one_score_are_unclear() -> None:
    task = case("answers").device_task(question=QuestionSettings(), max_tokens=32)
    raw = Question("who", "Ada Lovelace lives in Berlin and Paris")
    samples = [task.encode(raw)] * 2
    places = np.flatnonzero(samples[0]["offsets"][:, 0] >= 0)
    start = np.full((2, len(samples[0]["offsets"])), -4.0, np.float32)
    start[:, places[1]], start[0, places[4]] = 8.0, 8.0 - TIE
    outputs = [{"start_logits": row, "end_logits": row.copy()} for row in start]
    decided = decide(task, outputs, samples)
    assert decided[0] == decided[1] != ""
    assert unclear(task, outputs, samples) == [True, False]
    assert margins(task, outputs, samples)[1] >= 0.1


def test_of_embeddings_the_nearest_other_sample_is_what_is_decided() -> None:
    task = case("vectors").device_task()
    angles = np.array([0.0, 0.1, 1.0, 1.25, 3.0, 3.2 - 1e-6, 2.8])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    outputs: list[Tensors] = [{"sentence_embedding": vector} for vector in vectors]
    nearest = decide(task, outputs, WHOLE[:7])
    assert nearest == [1, 0, 3, 2, 5, 4, 4]
    assert unclear(task, outputs) == [False, False, False, False, True, False, False]
    assert decide(task, outputs[:1], WHOLE[:1]) == [[]]
    turned = [*outputs]
    turned[1] = outputs[4]
    one, two = (decided(task, value) for value in (outputs, turned))
    assert one.each == nearest and one.own == [[]] * 7, "by itself a vector decides nothing"
    assert (~one.clear).tolist() == unclear(task, outputs)
    assert one.neighbours_kept(one) == 1.0
    changed = one.neighbours_kept(two, count=1)
    same = [a == b for a, b in zip(nearest, decide(task, turned, WHOLE[:7]), strict=True)]
    assert changed is not None and changed == pytest.approx(np.mean(same))


def decided(task: Any, outputs: Sequence[Tensors], size: int = 3) -> Decided:
    """Read in batches of `size`."""
    decisions = Decisions(task, closely=True)
    for start in range(0, len(outputs), size):
        batch = outputs[start : start + size]
        decisions.add(batch, WHOLE[: len(batch)], list(map(task.decode, batch, WHOLE)))
    return decisions.all()


def test_scores_read_in_batches_are_as_clear_as_all_at_once() -> None:
    task = case("one label").device_task()
    random = np.random.default_rng(0)
    values = random.normal(size=(40, len(task.labels))).astype(np.float32)
    values[::7, 1] = values[::7, 0] = 9.0  # ties, and the largest score is in some batches only
    values[::7, 1] -= 1e-4
    outputs = logits(*values)
    found = decided(task, outputs)
    assert found.each == found.own == decide(task, outputs, WHOLE)
    assert found.clear.tolist() == clear_samples(task, outputs, WHOLE, FP32_RELATIVE).tolist()
    assert found.margins.tolist() == margins(task, outputs, WHOLE).tolist()
    assert found.gaps is not None and not found.clear.all()
    assert found.neighbours_kept(found) is None


class Looping:
    """What a loop gives: tokens that were chosen, and the scores they were chosen from."""

    loops = True

    def __init__(self, tells: bool) -> None:
        self._tells = tells

    def margin(self, outputs: Tensors) -> float | None:
        best = np.sort(outputs["scores"], axis=1)
        return float((best[:, -1] - best[:, -2]).min()) if self._tells else None

    def decision(self, answer: list[int]) -> list[int]:
        return answer

    def vector(self, answer: list[int]) -> None:
        return None


def looped(*scores: Sequence[float]) -> Tensors:
    found = np.array(scores, np.float32)
    return {"tokens": found.argmax(axis=1), "scores": found}


def test_of_a_loop_the_closest_choice_says_how_clear_it_is() -> None:
    outputs = [looped([9, 1], [0, 9]), looped([9, 1], [5, 5]), looped([9, 8.9995], [0, 9])]
    for tells, clear in ((True, [True, False, False]), (False, [False, False, False])):
        task: Any = Looping(tells)
        read = Decisions(task, closely=True)
        read.add(outputs, [{}] * 3, [one["tokens"].tolist() for one in outputs])
        found = read.all()
        assert found.clear.tolist() == clear and (found.margins[0] > 0.0)
        assert found.own == [[0, 1], [0, 0], [0, 1]]
