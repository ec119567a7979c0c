"""Parity of encoders, generated from their architectures, and the committed table of it."""

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.encoder_grid import MINILM, SUBJECTS, Subject, agreement, grid, make_subject, relative_error
from benchmarks.encoder_parity import FAIL, PASS, TABLE, compared, known_rows, measure, status, table
from edgewright.pipeline.models.text_encoders import build
from edgewright.pipeline.models.text_encoders.architectures import ARCHITECTURES
from tests.answering import rows_of

TASKS = tuple(dict.fromkeys(task for _, task in SUBJECTS))
EVERY_TASK = ("bert", "deberta-v2", "modernbert")
"""Of whom one is measured for each task: absolute, relative and rotary positions. With -m slow all are."""


def as_small_as(name: str) -> dict[str, Any]:
    """What an architecture needs no more of to show its kind: one layer, unless layers of two kinds take turns. With
    -m slow, and in the committed table, all have two.
    """
    return {} if name == "modernbert" else {"num_hidden_layers": 1}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def check(row: dict[str, Any]) -> None:
    fp32 = row["precisions"]["fp32"]
    assert fp32["status"] == PASS, fp32
    assert fp32["error"] <= 1e-4 and fp32["same"] == fp32["clear"] > 0
    assert row["batches"] == [1, 2, 7] and len(row["lengths"]) >= 5


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_an_architecture_with_a_new_head_keeps_its_answers(name: str) -> None:
    row = measure(name, "token-classification", ("fp32",), published=False, **as_small_as(name))
    check(row)
    assert row["head"] == "linear" and row["lengths"][-1] == 64


@pytest.mark.parametrize(("task", "name"), [*zip(TASKS, itertools.cycle(EVERY_TASK), strict=False)])
def test_a_task_keeps_its_answers(task: str, name: str) -> None:
    row = measure(name, task, ("fp32",), **as_small_as(name))
    check(row)
    assert row["head"] == ("" if task == "sentence-embedding" else "published")


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize(("name", "task"), SUBJECTS)
def test_every_architecture_keeps_its_answers_in_every_task(name: str, task: str) -> None:
    check(measure(name, task, ("fp32",)))


@pytest.fixture(scope="module")
def pairs() -> Subject:
    return make_subject("bert", "question-answering")


def test_the_grid_has_every_batch_and_length_and_is_padded(pairs: Subject) -> None:
    cells = list(grid(pairs))
    assert {(batch, length) for batch, length, _ in cells} == {
        (batch, length) for batch in (1, 2, 7) for length in (6, 9, 17, 40, 64)
    }
    for batch, length, feeds in cells:
        ids, mask, types = (feeds[name] for name in ("input_ids", "attention_mask", "token_type_ids"))
        assert ids.shape == mask.shape == (batch, length) and (types.max(axis=1) == 1).all()
        assert (mask[::2] == 1).all() and (mask[1::2].sum(axis=1) < length).all()
        assert ((ids == pairs.model.settings.pad_id) == (mask == 0)).all()
    longest = cells[-1][2]["input_ids"]
    assert len(np.unique(longest)) > 60 and len(np.unique(longest, axis=0)) == 7


def test_an_error_is_seen_where_it_is_read() -> None:
    wanted = {"logits": np.full((2, 3), 2.0, np.float32)}
    feeds = {"attention_mask": np.array([[1, 1, 1], [1, 0, 0]])}
    found = {"logits": wanted["logits"].copy()}
    found["logits"][1, 2] += 1.0
    assert relative_error(wanted, found, feeds, frozenset({"logits"})) == 0.0
    assert relative_error(wanted, found, feeds, frozenset()) == 0.5
    found["logits"][0, 0] = np.nan
    assert relative_error(wanted, found, feeds, frozenset({"logits"})) == math.inf
    assert relative_error(wanted, {"logits": np.ones((1, 3))}, feeds, frozenset()) == math.inf


def test_other_decisions_are_counted() -> None:
    subject = make_subject("bert", "text-classification")
    logits = np.random.default_rng(0).normal(size=(128, 3)).astype(np.float32)
    same = agreement(subject, rows_of({"logits": logits}), rows_of({"logits": logits}))
    assert same.same == same.clear > 50 and same.every == 1.0 and same.commonest < 0.6
    shifted = np.array([50.0, 0.0, 0.0], np.float32)  # an untrained head prefers one label
    both = rows_of({"logits": logits + shifted})
    assert agreement(subject, both, both).clear == same.clear
    turned = agreement(subject, rows_of({"logits": logits}), rows_of({"logits": logits[:, [1, 0, 2]]}))
    assert turned.clear == same.clear and turned.same < 0.6 * turned.clear


def test_what_fails() -> None:
    good = {"error": 1e-5, "clear": 100, "same": 100, "cosine": None}
    assert status("fp32", good) == PASS
    for precision, change in (
        ("fp32", {"error": 1.1e-4}), ("fp16", {"error": 0.011}), ("int4", {"error": None}), ("int4", {"same": 98}),
        ("int8-dynamic", {"cosine": 0.98}),
    ):  # fmt: skip
        assert status(precision, {**good, **change}) == FAIL, change
    assert status("int8-dynamic", {**good, "error": 0.5, "same": 99, "cosine": 0.991}) == PASS


def test_the_table_has_every_architecture_task_and_precision() -> None:
    rows = known_rows()
    tasks = build.encoder_tasks()
    assert {(name, task) for name in ARCHITECTURES for task in tasks} | {
        (MINILM, "sentence-embedding"), (MINILM, "zero-shot-classification")
    } == set(rows) == set(SUBJECTS)  # fmt: skip
    for (name, task), row in rows.items():
        made = row["precisions"]
        assert set(made) == set(compared()), (name, task)
        check(row)
        assert row["lengths"][-1] == (512 if name == MINILM else 64)
        for precision, one in made.items():
            assert ("error" not in one and one["status"] == FAIL) or one["status"] == status(precision, one)
    assert TABLE.read_text(encoding="utf-8") == table(rows, compared())
