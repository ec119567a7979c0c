"""What encoders' tasks make of outputs: labels, entities, answers, vectors, labels given with the text."""

import time
from typing import Any

import numpy as np
import pytest

from edgewright.runtime.bundle.structure import to_plain
from edgewright.runtime.errors import BundleError, InputError
from edgewright.runtime.tasks import load_task
from edgewright.runtime.tasks.labels import Classification, MultiLabel
from edgewright.runtime.tasks.sentence_embedding import Embedding, neighbours
from edgewright.runtime.text.raw import Question, Words
from edgewright.runtime.text.settings import QuestionSettings
from tests.answering import FunctionGraphs, answers_of, decisions_of, run_all
from tests.messages import refused
from tests.runtime.encoder_bundle import WORDS, case, tokenizer_json, word_id

LIVES = "Ada Lovelace lives in Berlin . she was in Paris"


def ids(text: str) -> list[int]:
    return [word_id(word) for word in text.split()]


def test_labels_of_a_text() -> None:
    task = case("one label").device_task()
    sample = task.encode("good " * 30)
    answer = task.decode({"logits": np.array([0.0, 2.0, 1.0], np.float32)}, sample)
    assert isinstance(answer, Classification) and answer.label == "glad" and answer.lost == 20
    assert [score.label for score in answer.labels] == ["glad", "sad", "calm"]
    assert answer.line(2) == "glad 66.5%  sad 24.5%  (20 tokens were not read)"
    assert answer.to_json(1)["lost"] == 20 and len(answer.to_json(1)["labels"]) == 1
    assert decisions_of(task, {"logits": np.array([[0.0, 2.0, 1.0], [3.0, 3.0, 0.0]])}) == [1, 0]


def test_several_labels_of_a_text() -> None:
    task = case("several labels").device_task(threshold=0.8)
    logits = np.array([[3.0, -1.0, 2.0], [0.0, 1.0, -900.0], [900.0, 1.4, 1.37]], np.float32)
    answers = answers_of(task, {"logits": logits})
    assert all(isinstance(answer, MultiLabel) for answer in answers)
    assert [[score.label for score in answer.labels] for answer in answers] == [
        ["calm", "sad"],
        [],
        ["calm", "glad"],
    ]
    assert [task.decision(answer) for answer in answers] == [[0, 2], [], [0, 1]]
    assert answers[0].line() == "calm 95.3%  sad 88.1%"
    assert answers[1].line() == "none (best: glad 73.1%)"
    assert answers[0].to_json(1)["chosen"] == ["calm", "sad"] and len(answers[0].to_json(1)["labels"]) == 1
    assert np.isfinite(answers[1].probabilities).all() and np.isfinite(answers[2].probabilities).all()


def tagged(task: Any, text: Any, tags: dict[str, int]) -> Any:
    """The answer where every token of a word has its label in `tags`, 0 elsewhere."""
    sample = task.encode(text)
    logits = np.zeros((len(sample["input_ids"]), 5), np.float32)
    for place, token in enumerate(sample["input_ids"]):
        logits[place, tags.get(WORDS[token], 0)] = 5.0
    answer = task.decode({"logits": logits}, sample)
    return answer, task.decision(answer), sample


def test_entities() -> None:
    task = case("entities").device_task()
    tags = {"Ada": 1, "Lovelace": 2, "Berlin": 3, "Paris": 3}
    answer, decision, _ = tagged(task, LIVES, tags)
    assert [(one.label, one.text, one.start, one.end) for one in answer.entities] == [
        ("PER", "Ada Lovelace", 0, 12),
        ("LOC", "Berlin", 22, 28),
        ("LOC", "Paris", 42, 47),
    ]
    assert all(LIVES[one.start : one.end] == one.text for one in (*answer.entities, *answer.words))
    assert [word.text for word in answer.words] == LIVES.split()
    assert answer.entities[0].probability == pytest.approx(np.exp(5) / (np.exp(5) + 4))
    assert decision == [[0, 12, "PER"], [22, 28, "LOC"], [42, 47, "LOC"]]
    assert answer.line().startswith("PER Ada Lovelace 97.4%  LOC Berlin")
    assert tagged(task, "good film", tags)[0].line() == "no entity"


def test_entities_of_given_words_and_of_long_texts() -> None:
    task = case("entities").device_task()
    words = ("Ada", "Lovelace", "lives", ".") * 20
    answer, decision, sample = tagged(task, Words(words), {"Ada": 1, "Lovelace": 2})
    assert len(sample["windows"]) > 3 and len(answer.entities) == 20 and len(answer.words) == 80
    text = " ".join(words)
    assert decision == [[start, start + 12, "PER"] for start in range(0, len(text), 21)]
    rows = task.word_rows(sample)
    assert (rows >= 0).all() and len(set(rows.tolist())) == 80
    nothing = task.decode({"logits": np.zeros((len(sample["input_ids"]), 5))}, sample)
    assert nothing.tags == ("O",) * 80 and answer.tags == ("B-PER", "I-PER", "O", "O") * 20


def test_words_beyond_the_cut_are_outside() -> None:
    task = case("entities").device_task(policy="truncate", stride=0)
    answer, _, sample = tagged(task, "Ada " * 30, {"Ada": 1})
    assert len(answer.words) == 10 and answer.lost == 20 and "not read" in answer.line()
    names = task.decode({"logits": np.eye(5)[[1] * len(sample["input_ids"])]}, sample)
    assert names.tags == ("B-PER",) * 10 + ("O",) * 20


def test_logits_of_another_text() -> None:
    task = case("entities").device_task()
    sample = task.encode("good film")
    with refused(BundleError):
        task.decode({"logits": np.zeros((9, 5))}, sample)


def test_labels_of_words_without_spans() -> None:
    example = case("entities")
    task: Any = load_task(
        example.task,
        to_plain(example.settings),
        ("NOUN", "VERB", "X", "Y", "Z"),
        {"tokenizer": tokenizer_json()},
    )
    answer, decision, _ = tagged(task, "Ada lives", {"lives": 1})
    assert answer.entities == () and decision == ["NOUN", "VERB"]
    assert answer.line() == "Ada/NOUN  lives/VERB"


def asked(task: Any, context: str, scores: dict[int, tuple[float, float]], null: float = -9.0) -> Any:
    """The answer where the characters in `scores` have these logits to start and to end at, all others -5."""
    sample = task.encode(Question("who", context))
    start, end = (np.full(len(sample["input_ids"]), -5.0, np.float32) for _ in range(2))
    for row, (left, _) in enumerate(sample["offsets"]):
        if left in scores:
            start[row], end[row] = scores[left]
    firsts = np.cumsum(sample["windows"]) - sample["windows"]
    start[firsts] = end[firsts] = null
    answer = task.decode({"start_logits": start, "end_logits": end}, sample)
    assert task.decision(answer) == answer.text
    return answer


def test_answers() -> None:
    task = case("answers").device_task()
    answer = asked(task, LIVES, {0: (4.0, 0.0), 4: (0.0, 4.0)})
    assert (answer.text, answer.start, answer.end, answer.answered) == ("Ada Lovelace", 0, 12, True)
    assert 0.5 < answer.probability <= 1.0 and answer.candidates[0].text == "Ada Lovelace"
    odds = [span.probability for span in answer.candidates]
    assert odds == sorted(odds, reverse=True) and len(
        {(span.start, span.end) for span in answer.candidates}
    ) == len(odds)
    assert answer.line().startswith("Ada Lovelace")
    # An end before its start, or too far behind it, is no answer.
    other = asked(task, LIVES, {0: (0.0, 6.0), 4: (6.0, 0.0), 22: (-1.0, 1.0)})
    assert other.text == "Lovelace lives in Berlin"
    far = asked(task, LIVES, {0: (9.0, 0.0), 22: (0.0, 9.0)})
    assert far.text == "Ada", "five tokens are more than an answer may have"


def test_no_answer() -> None:
    task = case("answers").device_task()
    answer = asked(task, LIVES, {0: (4.0, 4.0)}, null=5.0)
    assert (answer.text, answer.start, answer.end, answer.answered) == ("", -1, -1, False)
    assert 0.5 < answer.probability < 1.0, "every window says so"
    assert answer.candidates[0].text == "Ada" and answer.line().startswith("no answer 7")
    patient = case("answers").device_task(
        question=QuestionSettings(no_answer=True, null_threshold=3.0, max_answer_tokens=4)
    )
    assert asked(patient, LIVES, {0: (4.0, 4.0)}, null=5.0).text == "Ada"
    always = case("answers").device_task(question=None)
    assert asked(always, LIVES, {0: (4.0, 4.0)}, null=50.0).text == "Ada"


def test_the_best_span_is_that_of_trying_every_one() -> None:
    task, random = (
        case("answers").device_task(question=QuestionSettings(max_answer_tokens=3)),
        np.random.default_rng(1),
    )
    for length in (1, 2, 9, 30, 31, 200):
        context = " ".join(WORDS[place] for place in random.integers(4, len(WORDS), length))
        sample = task.encode(Question("who", context))
        start, end = random.normal(size=(2, len(sample["input_ids"]))).astype(np.float32)
        best, place = -np.inf, (-1, -1)
        ends = np.cumsum(sample["windows"])
        for stop, size in zip(ends, sample["windows"], strict=True):
            for first in range(stop - size, stop):
                for last in range(first, min(first + 3, stop)):
                    score = float(start[first]) + float(end[last])
                    inside = sample["offsets"][first, 0] >= 0 and sample["offsets"][last, 0] >= 0
                    if inside and score > best:
                        best, place = (
                            score,
                            (int(sample["offsets"][first, 0]), int(sample["offsets"][last, 1])),
                        )
        answer = task.decode({"start_logits": start, "end_logits": end}, sample)
        assert (answer.start, answer.end) == place and context[slice(*place)] == answer.text


def test_an_answer_far_down_a_long_text() -> None:
    task = case("answers").device_task()
    context = (
        "the film was not boring . " * 30 + "Ada Lovelace lives in Berlin . " + "the film was bad . " * 30
    )
    place = context.index("Ada")
    answer = asked(task, context, {place: (7.0, 0.0), place + 4: (0.0, 7.0)})
    assert answer.text == "Ada Lovelace" and answer.start == place


def test_where_an_answer_stands() -> None:
    task = case("answers").device_task()
    context = "the film was not boring . Ada Lovelace lives in Berlin . she was in Paris"
    sample = task.encode(Question("who", context))
    start = context.index("Ada Lovelace")
    found = task.answers_at(sample, start, start + 12)
    assert len(found) == len(sample["windows"]) and None in found
    for rows in filter(None, found):
        first, last = rows
        assert sample["input_ids"][first : last + 1].tolist() == ids("Ada Lovelace")
    # Every place is found by some window, and none shows a half of it.
    for word_start, word in ((context.index(word), word) for word in ("the", "Paris", "boring", "lives")):
        hits = [rows for rows in task.answers_at(sample, word_start, word_start + len(word)) if rows]
        assert hits and all(
            sample["input_ids"][first : last + 1].tolist() == ids(word) for first, last in hits
        )


def test_a_question_longer_than_the_model() -> None:
    for policy, stride in (("stride", 2), ("truncate", 0)):
        task = case("answers").device_task(policy=policy, stride=stride)
        with refused(InputError):
            task.encode(Question("who " * 20, LIVES))


def test_vectors() -> None:
    task = case("vectors").device_task()
    answers = answers_of(
        task, {"sentence_embedding": np.array([[3, 4, 0, 0, 0, 0], [4, 3, 0, 0, 0, 0]], np.float32)}
    )
    assert answers[0].cosine(answers[1]) == pytest.approx(24 / 25)
    assert answers[0] == Embedding(np.array([3, 4, 0, 0, 0, 0], np.float32)) and answers[0] != answers[1]
    assert np.array_equal(np.asarray(answers[0]), [3, 4, 0, 0, 0, 0])
    assert answers[0].line() == "6 numbers: 3.0000 4.0000 0.0000 0.0000 ..."
    assert answers[0].to_json() == {"embedding": [3.0, 4.0, 0.0, 0.0, 0.0, 0.0]}
    assert decisions_of(task, {"sentence_embedding": np.ones((2, 6))}) == [[], []]
    assert task.vector(answers[0]) is answers[0].vector
    with refused(InputError):
        answers[0].cosine(Embedding(np.ones(3, np.float32)))


def test_neighbours() -> None:
    vectors = np.array([[1, 0], [0.9, 0.1], [0, 1], [0, 2], [0, 0]], np.float32)
    assert neighbours(vectors, 2).tolist() == [[1, 2], [0, 2], [3, 1], [2, 1], [0, 1]]
    assert neighbours(vectors, 9).shape == (5, 4)
    alike = np.random.default_rng(1).integers(-1, 2, (60, 2)).astype(np.float32)  # full of equal ones
    assert np.array_equal(neighbours(alike, 1), neighbours(alike, 4)[:, :1])
    assert neighbours(vectors, 1, np.array([[0, 5], [3, 0]])).tolist() == [[2], [0]]
    many = np.random.default_rng(0).normal(size=(2500, 8))
    found = neighbours(many, 3)
    unit = many / np.linalg.norm(many, axis=1, keepdims=True)
    cosines = unit @ unit.T
    np.fill_diagonal(cosines, -2)
    assert np.array_equal(found, np.argsort(-cosines, axis=1)[:, :3])


def test_nli_scores_entailment() -> None:
    task = case("nli").device_task()
    sample = task.encode("good film")
    assert sample["groups"].tolist() == [1, 1, 1] and len(task.windows(sample)) == 3
    assert sample["input_ids"].tolist()[:12] == ids(
        "[CLS] good film [SEP] this text is about music . [SEP] [CLS]"
    )
    logits = np.array([[5.0, 0.0, 1.0], [0.0, 0.0, 3.0], [9.0, 0.0, 2.0]])
    answer = task.decode({"logits": logits}, sample)
    assert answer.label == "sport" and answer.probabilities == pytest.approx(
        np.exp([1, 3, 2]) / np.exp([1, 3, 2]).sum()
    )
    several = case("nli").device_task(multi_label=True)
    each = several.decode({"logits": logits}, sample)
    assert each.probabilities == pytest.approx(1 / (1 + np.exp([4, -3, 7]))) and [
        one.label for one in each.labels
    ] == ["sport"]
    assert several.decision(each) == [1]


def test_a_long_text_has_windows_for_each_label() -> None:
    example = case("nli")
    task = example.device_task()
    sample = task.encode("good bad film the a very was not boring Ada lives in Berlin")
    assert len(set(sample["groups"].tolist())) == 1 and sample["groups"][0] > 1
    assert sum(sample["groups"]) == len(sample["windows"]) == len(task.windows(sample))
    merged = run_all(task, [sample], example.net.run)[0]["logits"]
    assert merged.shape == (3, 3)
    rows = [example.net.run(task.collate([row]))["logits"][0] for row in task.windows(sample)]
    count = int(sample["groups"][0])
    weights = sample["windows"][:count]
    assert np.allclose(merged[0], np.average(rows[:count], axis=0, weights=weights), atol=1e-6)


def test_the_nearest_label() -> None:
    task = case("nearest label").device_task()
    vectors = np.array([[1, 0], [0, 1], [1, 1], [3, 0.1]], np.float32)
    answer = task.decode({"sentence_embedding": vectors}, {"lost": np.array(0)})
    cosines = np.array([0, 1 / np.sqrt(2), 3 / np.hypot(3, 0.1)])
    assert answer.label == "Paris"
    assert answer.probabilities == pytest.approx(np.exp(20 * cosines) / np.exp(20 * cosines).sum(), rel=1e-5)


def test_a_label_longer_than_the_model() -> None:
    with refused(InputError):
        case("nearest label").device_task().with_options(labels=["music " * 40])
    with refused(InputError):
        case("nli").device_task().with_options(labels=["music " * 40]).encode("good")


def test_other_labels_leave_the_task_as_it_is() -> None:
    task = case("nearest label").device_task()
    other = task.with_options(labels=["good", "bad"])
    assert task.labels == ("music", "sport", "Paris") and other.labels == ("good", "bad")
    graphs = FunctionGraphs(case("nearest label").net.run)
    sample = task.encode("good film")
    found = [next(iter(one.run([sample], graphs)))["sentence_embedding"] for one in (task, other, task)]
    assert [len(vectors) for vectors in found] == [4, 3, 4]
    assert np.array_equal(found[0], found[2]) and np.array_equal(found[0][0], found[1][0])


def test_forty_thousand_labels_that_all_hold() -> None:
    """In seconds, not minutes: each is looked up, not searched for."""
    names = tuple(map(str, range(40_000)))
    answer = MultiLabel(names, np.linspace(0.1, 1.0, len(names), dtype=np.float32))
    started = time.monotonic()
    assert [score.label for score in answer.labels] == list(reversed(names))
    assert time.monotonic() - started < 5.0
