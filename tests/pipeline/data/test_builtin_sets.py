"""The built-in sets of series, texts and sounds: what they hold, that they are always the same, whom they are for."""

import importlib
from typing import Any

import numpy as np
import pytest

from edgewright.pipeline.catalog import TASKS, load
from edgewright.pipeline.data.series.builtin import adding_problem
from edgewright.pipeline.data.sound.builtin import SOUND_CLASSES, tones
from edgewright.pipeline.data.sources import builtin_names, open_data, restore_splits
from edgewright.pipeline.data.text.bio import bio_problem, sort_tags
from edgewright.pipeline.data.text.builtin_entities import entities
from edgewright.pipeline.data.text.builtin_questions import asked_questions
from edgewright.pipeline.data.text.builtin_texts import FAMILIES, stdlib_docs
from edgewright.pipeline.families import fit_settings
from edgewright.runtime.bundle.structure import to_plain
from edgewright.runtime.errors import RecipeError
from edgewright.runtime.tasks import load_task
from tests.pipeline.data.small_tables import error_of, every_sample, open_table, recipe

SETS = [(task, name) for task in TASKS if task != "image-classification" for name in builtin_names(task)]
SMOKE = ("entities", "questions")
"""Sets that are too small to judge anything by."""

SECTIONS: dict[str, dict[str, Any]] = {"audio-classification": {"audio": {"sample_rate": 4000}}}


@pytest.mark.parametrize(("task", "name"), SETS)
def test_every_set_opens_with_the_fewest_words_and_the_device_reads_it(task: str, name: str) -> None:
    wanted = recipe(task, f"builtin:{name}", SECTIONS.get(task))
    splits = open_data(wanted)
    least = min(len(splits.train), len(splits.validation), len(splits.evaluation))
    assert least > (4 if name in SMOKE else 30)
    assert splits.skipped == () and len({sample.id for sample in every_sample(splits)}) == len(
        every_sample(splits)
    )
    fitted = fit_settings(wanted, splits)
    device = load_task(task, to_plain(fitted.settings), splits.classes, fitted.assets)
    for sample in splits.train[:3]:
        assert all(np.isfinite(value).all() for value in device.encode(sample.raw).values())
    assert open_data(wanted).digest() == splits.digest()
    assert restore_splits(splits.to_plain(), wanted).digest() == splits.digest()


def test_every_task_has_a_set_and_every_set_a_task() -> None:
    for task, spec in TASKS.items():
        sets = load(spec.reader).sets
        assert builtin_names(task) and set(spec.builtin) <= set(sets)
    assert {name for spec in TASKS.values() for name in load(spec.reader).sets} == {
        name for spec in TASKS.values() for name in spec.builtin
    }


def test_co2_is_weekly_has_its_gaps_and_is_divided_in_time() -> None:
    splits = open_table("forecasting", "builtin:co2", {"forecast": {"horizon": 13, "season": 52}})
    assert splits.features == splits.targets == ("co2",)
    assert splits.notes[0].startswith("59 of 2284 values are missing (data.missing: interpolate)")
    assert all(np.all(np.diff(sample.raw.times) == 7 * 86400) for sample in every_sample(splits))
    assert max(sample.raw.times[-1] for sample in splits.train) < min(
        sample.raw.times[0] for sample in splits.evaluation
    )
    assert splits.train[0].raw.times[0] == -371174400.0, "29 March 1958"
    assert np.nanmin(splits.train[0].raw.values) > 310


def test_digits_are_read_row_by_row() -> None:
    splits = open_table("sequence-classification", "builtin:digits-rows", classes=["3", 5])
    assert splits.classes == ("3", "5") and splits.features[0] == "pixel_0"
    assert {sample.raw.values.shape for sample in every_sample(splits)} == {(8, 8)}
    assert max(sample.raw.values.max() for sample in splits.train) == 16


@pytest.mark.parametrize("steps", [2, 9, 200])
def test_the_adding_problem(steps: int) -> None:
    problem = adding_problem(50, steps)
    numbers, marks = problem["values"][:, :, 0], problem["values"][:, :, 1]
    assert (marks.sum(axis=1) == 2).all() and (marks[:, : steps // 2].sum(axis=1) == 1).all()
    np.testing.assert_allclose(problem["target"][:, -1, 0], (numbers * marks).sum(axis=1))
    assert np.isnan(problem["target"][:, :-1]).all()


def test_the_adding_problem_has_the_steps_of_its_name() -> None:
    splits = open_table("sequence-regression", "builtin:adding-30")
    assert splits.train[0].raw.values.shape == (30, 2) and splits.targets == ("sum",)
    assert "the number of steps must be from 2" in error_of(
        "sequence-regression", "builtin:adding-1", kind=RecipeError
    )


def test_docstrings_are_those_of_the_library() -> None:
    classes, rows = stdlib_docs()
    assert classes == tuple(FAMILIES)
    by_class = [sum(target == index for _, _, target in rows) for index in range(len(classes))]
    assert min(by_class) > 200 and max(by_class) == 450
    texts = [text for _, text, _ in rows]
    assert len(set(texts)) == len(texts)
    whole = {
        name: text
        for name, text, _ in rows
        if name in ("fractions", "heapq", "queue", "random", "statistics")
    }
    for name, text in whole.items():
        assert text == " ".join((importlib.import_module(name).__doc__ or "").split())
    homes = {text: {name.split(".")[0] for name, other, _ in rows if other == text} for text in texts[:50]}
    for text, modules in homes.items():
        (target,) = {target for _, other, target in rows if other == text}
        assert modules <= set(FAMILIES[classes[target]])


def test_entities_are_sentences_in_bio() -> None:
    rows = entities()
    assert len(rows) >= 60 and len({words for words, _ in rows}) == len(rows)
    assert all(len(words) == len(tags) and bio_problem(tags) is None for words, tags in rows)
    assert sort_tags(tag for _, tags in rows for tag in tags) == (
        "O",
        "B-LOC",
        "B-ORG",
        "I-ORG",
        "B-PER",
        "I-PER",
    )
    assert not any(mark in word for words, _ in rows for word in words for mark in "[]|")


def test_every_answer_stands_once_in_its_text() -> None:
    rows = asked_questions()
    answered = [(text, answer) for _, text, answer in rows if answer]
    assert len(answered) >= 60 and len(rows) - len(answered) >= 10
    assert all(text.count(answer) == 1 for text, answer in answered)
    texts = {text for _, text, _ in rows}
    assert len(texts) >= 12 and sum(len(text.split()) > 400 for text in texts) == 2
    assert all(text[0].isalnum() and "|" not in text for text in texts)


def test_sounds_are_made_differ_and_are_the_same_every_time() -> None:
    classes, rows = tones(4000)
    assert classes == SOUND_CLASSES and len(rows) == 200 * len(classes)
    assert len({sound.tobytes() for _, sound, _ in rows}) == len(rows)
    assert all(sound.dtype == np.float32 and 0.001 < np.abs(sound).max() <= 1 for _, sound, _ in rows)
    assert {2000 <= len(sound) <= 4000 for _, sound, _ in rows} == {True}
    again = tones(4000)[1]
    assert all(np.array_equal(one[1], two[1]) for one, two in zip(rows, again, strict=True))


@pytest.mark.parametrize(
    ("task", "name", "expected"),
    [
        ("forecasting", "co", "unknown built-in set 'co' (did you mean 'co2'?): choose from co2"),
        ("forecasting", "digits", "builtin:digits is for image-classification, not for forecasting"),
        ("text-classification", "tones", "builtin:tones is for audio-classification, not for text"),
        ("audio-classification", "adding-7", "builtin:adding-7 is for sequence-regression, not for audio"),
    ],
)
def test_a_set_is_for_its_task(task: str, name: str, expected: str) -> None:
    assert expected in error_of(task, f"builtin:{name}", kind=RecipeError)
