"""Answers that point into strange texts, with tokenizers of every family: each points to what it says."""

from typing import Any

import numpy as np
import pytest

from edgewright.runtime.bundle.structure import to_plain
from edgewright.runtime.contracts import Tensors
from edgewright.runtime.errors import InputError
from edgewright.runtime.tasks.question_answering import QuestionAnswering
from edgewright.runtime.tasks.token_classification import TokenClassification
from edgewright.runtime.text.raw import Question
from edgewright.runtime.text.settings import EncoderTextSettings, QuestionSettings
from tests.answering import run_all
from tests.runtime.text.encoder_tokenizers import FAMILIES, family
from tests.runtime.text.text_corpus import corpus

LABELS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
SETTINGS = EncoderTextSettings(
    max_tokens=48, policy="stride", stride=8, question=QuestionSettings(no_answer=True)
)


def encoded(task: Any, raws: list[Any]) -> tuple[list[Any], list[Tensors]]:
    """The raw inputs that are not refused, and their samples."""
    kept, samples = [], []
    for raw in raws:
        try:
            samples.append(task.encode(raw))
            kept.append(raw)
        except InputError as error:
            assert "\n" not in str(error) and ("empty" in str(error) or "no token" in str(error))
    assert len(kept) > 0.9 * len(raws)
    return kept, samples


def steers(line: str) -> bool:
    """Whether a line could do something to a terminal."""
    return any(not one.isprintable() and one not in "\u200c\u200d" for one in line)


@pytest.mark.parametrize("name", FAMILIES)
def test_entities_point_to_their_text(name: str) -> None:
    random = np.random.default_rng(0)
    task = TokenClassification(to_plain(SETTINGS), LABELS, {"tokenizer": family(name)[1]})
    texts, samples = encoded(task, corpus()[::41])

    def run(feeds: Tensors) -> Tensors:
        return {"logits": random.normal(size=(*feeds["input_ids"].shape, 5)).astype(np.float32)}

    words = unseen = 0
    answers = map(task.decode, run_all(task, samples, run), samples)
    for text, answer, sample in zip(texts, answers, samples, strict=True):
        parts: list[Any] = [*answer.entities, *answer.words]
        for part in parts:
            assert text[part.start : part.end] == part.text != ""
        assert not steers(answer.line()) and answer.to_json()["words"] is not None
        words += len(sample["words"])
        unseen += int((task.word_rows(sample) < 0).sum())
    assert words > 1000 and unseen < 0.02 * words


@pytest.mark.parametrize("name", FAMILIES)
def test_answers_point_to_their_text(name: str) -> None:
    random = np.random.default_rng(0)
    task = QuestionAnswering(to_plain(SETTINGS), (), {"tokenizer": family(name)[1]})
    raws, samples = encoded(task, [Question("who is it", text) for text in corpus()[3::61]])

    def run(feeds: Tensors) -> Tensors:
        shape = feeds["input_ids"].shape
        return {key: random.normal(size=shape).astype(np.float32) for key in ("start_logits", "end_logits")}

    answers = map(task.decode, run_all(task, samples, run), samples)
    for raw, answer in zip(raws, answers, strict=True):
        spans: list[Any] = [*answer.candidates, *([answer] if answer.answered else [])]
        assert all(raw.context[span.start : span.end] == span.text != "" for span in spans)
        assert not steers(answer.line(3))
    # Where the answer is said to be, it is found again.
    for raw, sample in zip(raws, samples, strict=True):
        for word in raw.context.split()[:3]:
            start = raw.context.index(word)
            for rows in filter(None, task.answers_at(sample, start, start + len(word))):
                left, right = sample["offsets"][rows[0], 0], sample["offsets"][rows[1], 1]
                assert left <= start + len(word) and right >= start
