"""Which decisions are clear: of classes, words, answers, neighbours."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgewright.exporters.judge.agreement import (
    Decided,
    Decisions,
    clear_rows,
    decides,
    decision_of,
    margins,
)
from edgewright.exporters.verdict import FP32_RELATIVE
from edgewright.runtime.contracts import Tensors
from edgewright.runtime.text.raw import Question
from edgewright.runtime.text.settings import QuestionSettings
from tests.runtime.encoder_bundle import case

TIE = 1e-5


def best(outputs: Tensors, samples: Sequence[Tensors] | None = None) -> list[Any]:
    return [int(row.argmax()) for row in outputs["logits"]]


def test_of_classes_the_two_best_scores_say_it_exactly() -> None:
    outputs = {"logits": np.array([[10.0, 9.9999, 0.0], [10.0, 5.0, 1.0]])}
    assert margins(outputs, best) == pytest.approx([0.0001, 5.0])
    assert clear_rows(outputs, 1e-4, best).tolist() == [False, True]


def test_what_decides_nothing_has_no_tie() -> None:
    outputs = {"boxes": np.zeros((3, 4, 5))}

    def nothing(_: Tensors, samples: Sequence[Tensors] | None) -> list[Any]:
        return [[], [], []]

    assert clear_rows(outputs, 1e-4, nothing).all() and margins(outputs, nothing).tolist() == [0.1] * 3
    assert not decides(nothing(outputs, None))


def test_of_several_labels_one_near_its_threshold_is_unclear() -> None:
    outputs = {"logits": np.array([[5.0, -5.0, TIE], [5.0, -5.0, 2.0]], np.float32)}

    def chosen(found: Tensors, samples: Sequence[Tensors] | None) -> list[Any]:
        return [np.flatnonzero(row > 0).tolist() for row in found["logits"]]

    assert clear_rows(outputs, 1e-4, chosen).tolist() == [False, True]
    assert margins(outputs, chosen).tolist() == [0.0, 0.1]


def tokens(*rows: Sequence[Sequence[float]]) -> NDArray[np.float32]:
    return np.array(rows, np.float32)


def test_of_words_one_tie_makes_a_sample_unclear() -> None:
    task = case("entities").device_task()
    samples = [task.encode("good film"), task.encode("bad film")]
    steps = max(int(sample["lengths"]) for sample in samples)
    logits = np.zeros((2, steps, len(task.labels)), np.float32)
    logits[:, :, 0] = 5.0
    first = int(task.word_rows(samples[0])[0])
    logits[0, first, 1] = 5.0 - TIE
    assert clear_rows({"logits": logits}, 1e-4, task.decisions, samples).tolist() == [False, True]


def test_of_answers_two_spans_of_one_score_are_unclear() -> None:
    task = case("answers").device_task(question=QuestionSettings(), max_tokens=32)
    raw = Question("who", "Ada Lovelace lives in Berlin and Paris")
    samples = [task.encode(raw)] * 2
    places = np.flatnonzero(samples[0]["offsets"][:, 0] >= 0)
    start = np.full((2, len(samples[0]["offsets"])), -4.0, np.float32)
    start[:, places[1]], start[0, places[4]] = 8.0, 8.0 - TIE
    outputs = {"start_logits": start, "end_logits": start.copy()}
    decided = task.decisions(outputs, samples)
    assert decided[0] == decided[1] != ""
    assert clear_rows(outputs, 1e-4, task.decisions, samples).tolist() == [False, True]
    assert margins(outputs, task.decisions, samples)[1] >= 0.1


def test_of_embeddings_the_nearest_other_sample_is_what_is_decided() -> None:
    task = case("vectors").device_task()
    decide = decision_of(task)
    angles = np.array([0.0, 0.1, 1.0, 1.25, 3.0, 3.2 - 1e-6, 2.8])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    outputs = {"embedding": vectors}
    assert decide(outputs, None) == [1, 0, 3, 2, 5, 4, 4]
    assert task.decisions(outputs) == [[]] * 7  # by itself a vector decides nothing
    clear = clear_rows(outputs, 1e-4, decide)
    assert clear.tolist() == [True, True, True, True, False, True, True]
    assert decide({"embedding": vectors[:1]}, None) == [[]]
    turned = vectors.copy()
    turned[1] = vectors[4]
    one, two = (decided(task, {"embedding": value}) for value in (vectors, turned))
    assert one.each == [1, 0, 3, 2, 5, 4, 4] and one.own == [[]] * 7
    assert one.clear.tolist() == clear_rows(outputs, FP32_RELATIVE, decide).tolist()
    assert one.neighbours_kept(one) == 1.0
    changed = one.neighbours_kept(two, count=1)
    assert changed is not None and changed == pytest.approx(
        np.mean(
            [a == b for a, b in zip(decide(outputs, None), decide({"embedding": turned}, None), strict=True)]
        )
    )


def decided(task: Any, outputs: Tensors, size: int = 3) -> Decided:
    """Read in batches of `size`."""
    decisions = Decisions(task, closely=True)
    for start in range(0, len(next(iter(outputs.values()))), size):
        batch = {name: value[start : start + size] for name, value in outputs.items()}
        decisions.add(batch, [{"lost": np.array(0)}] * len(next(iter(batch.values()))))
    return decisions.all()


def test_scores_read_in_batches_are_as_clear_as_all_at_once() -> None:
    task = case("one label").device_task()
    random = np.random.default_rng(0)
    logits = random.normal(size=(40, len(task.labels))).astype(np.float32)
    logits[::7, 1] = logits[::7, 0] = 9.0  # ties, and the largest score is in some batches only
    logits[::7, 1] -= 1e-4
    found = decided(task, {"logits": logits})
    outputs = {"logits": logits}
    assert found.each == found.own == task.decisions(outputs)
    assert found.clear.tolist() == clear_rows(outputs, FP32_RELATIVE, task.decisions).tolist()
    assert found.margins.tolist() == margins(outputs, task.decisions).tolist()
    assert found.gaps is not None and not found.clear.all()
    assert found.neighbours_kept(found) is None
