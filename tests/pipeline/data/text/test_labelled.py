"""Texts and their classes: tables, folders, and every text that cannot be used."""

import json
from pathlib import Path
from typing import Any

import pytest

from edgewright.pipeline.data.sources import restore_splits
from edgewright.runtime.errors import DataError, RecipeError
from tests.messages import refused
from tests.pipeline.data.small_tables import WRITERS, error_of, every_sample, open_table, recipe, write_csv

TASK = "text-classification"


def opinions(count: int = 40) -> dict[str, list[Any]]:
    words = ("good", "bad")
    return {
        "text": [f"this is {words[number % 2]} number {number}" for number in range(count)],
        "label": [words[number % 2] for number in range(count)],
    }


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_every_format_gives_the_same_samples(tmp_path: Path, suffix: str) -> None:
    splits = open_table(TASK, WRITERS[suffix](tmp_path / f"t{suffix}", opinions()))
    assert splits.classes == ("bad", "good") and splits.looked_at == "40 texts"
    assert splits.counts() == {
        "train": (14, 14),
        "validation": (2, 2),
        "calibration": (0, 0),
        "evaluation": (4, 4),
    }
    for sample in every_sample(splits):
        assert sample.raw == opinions()["text"][int(sample.id)]
        assert sample.label is not None and splits.classes[sample.label] in sample.raw
    assert splits.digest() == open_table(TASK, write_csv(tmp_path / "r.csv", opinions())).digest()


def test_columns_have_any_name(tmp_path: Path) -> None:
    columns = opinions()
    path = write_csv(tmp_path / "t.csv", {"review": columns["text"], "stars": [n % 3 for n in range(40)]})
    splits = open_table(TASK, path, text="review", label="stars", classes=["2", "0"])
    assert splits.classes == ("2", "0")
    assert "data.text: t.csv has no column 'text'" in error_of(TASK, path)
    assert "data.label: t.csv has no column 'star' (did you mean 'stars'?)" in error_of(
        TASK, path, text="review", label="star"
    )
    assert "has no class '7'" in error_of(
        TASK, path, kind=RecipeError, text="review", label="stars", classes=["1", "7"]
    )


def test_classes_that_are_numbers_stand_in_their_order(tmp_path: Path) -> None:
    columns: dict[str, list[Any]] = {
        "text": [f"t {n}" for n in range(120)],
        "label": [n % 12 for n in range(120)],
    }
    splits = open_table(TASK, write_csv(tmp_path / "t.csv", columns))
    assert splits.classes == tuple(map(str, range(12)))


def test_files_of_splits(tmp_path: Path) -> None:
    columns = opinions(60)
    for name, part in (("train", slice(0, 40)), ("test", slice(40, 60))):
        write_csv(tmp_path / f"{name}.csv", {key: cells[part] for key, cells in columns.items()})
    splits = open_table(TASK, tmp_path)
    assert splits.counts()["evaluation"] == (10, 10)
    assert {sample.id.partition("/")[0] for sample in splits.evaluation} == {"test"}
    write_csv(tmp_path / "test.csv", {"text": ["odd"], "label": ["god"]})
    assert "the class 'god' (did you mean 'good'?) is in no training text" in error_of(TASK, tmp_path)


def test_texts_that_cannot_be_used_are_skipped_and_named(tmp_path: Path) -> None:
    columns = opinions(100)
    columns["text"][3] = "  "
    columns["label"][5] = None
    columns["text"][8], columns["label"][8] = columns["text"][9], "good"
    path = write_csv(tmp_path / "t.csv", columns)
    splits = open_table(TASK, path)
    assert {(one.path, one.reason) for one in splits.skipped} == {
        ("03", "has no text (line 5)"),
        ("05", "has no label (line 7)"),
        ("08", "the same text lies in bad and good: keep the right one"),
        ("09", "the same text lies in bad and good: keep the right one"),
    }
    assert "4 of 100 texts cannot be used, more than data.max_bad" in error_of(TASK, path, max_bad=0.03)


def test_a_text_twice_is_in_one_split(tmp_path: Path) -> None:
    columns = opinions(40)
    columns = {name: cells + cells for name, cells in columns.items()}
    splits = open_table(TASK, write_csv(tmp_path / "t.csv", columns))
    homes: dict[str, set[str]] = {}
    for split in splits.counts():
        for sample in splits.split(split):
            homes.setdefault(sample.raw, set()).add(split)
    assert all(len(home) == 1 for home in homes.values())


def test_a_folder_for_each_class(tmp_path: Path) -> None:
    columns = opinions()
    for number, (text, label) in enumerate(zip(columns["text"], columns["label"], strict=True)):
        (tmp_path / label).mkdir(exist_ok=True)
        (tmp_path / label / f"{number}.txt").write_text(f"\ufeff{text}\n", encoding="utf-8")
    (tmp_path / "good" / "odd.txt").write_bytes(b"\xff\xfe")
    (tmp_path / "good" / "empty.txt").write_text(" \n")
    (tmp_path / "good" / "page.html").write_text("x")
    splits = open_table(TASK, tmp_path, max_bad=0.1)
    assert splits.classes == ("bad", "good") and splits.files == 43
    reasons = {one.path: one.reason for one in splits.skipped}
    assert reasons["good/empty.txt"] == "is empty: remove it"
    assert reasons["good/odd.txt"].startswith("is not UTF-8 text")
    assert reasons["good/page.html"].startswith("does not end like a text (.txt)")
    assert every_sample(splits)[0].raw.startswith("this is"), "the mark at the beginning is no text"


def test_a_run_finds_its_texts_again(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "t.csv", opinions())
    splits = open_table(TASK, path)
    document = json.loads(json.dumps(splits.to_plain()))
    assert restore_splits(document, recipe(TASK, path)).digest() == splits.digest()
    columns = opinions()
    columns["text"][int(splits.evaluation[0].id)] += "!"
    write_csv(path, columns)
    with refused(DataError):
        restore_splits(document, recipe(TASK, path))
    columns = opinions()
    columns["label"][int(splits.evaluation[0].id)] = "bad" if splits.evaluation[0].label else "good"
    write_csv(path, columns)
    with refused(DataError):
        restore_splits(document, recipe(TASK, path))


def test_too_few_texts(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "t.csv", {"text": ["a b", "c d", "e f"], "label": ["x", "x", "x"]})
    assert "only one class (x), a classifier needs two: add texts of each class" in error_of(TASK, path)
    path = write_csv(tmp_path / "t.csv", {"text": ["a b", "c d", "e f"], "label": ["x", "x", "y"]})
    assert "different texts to divide" in error_of(TASK, path)


def test_a_label_with_half_a_character(tmp_path: Path) -> None:
    path = tmp_path / "texts.jsonl"
    rows = [{"text": f"text {number}", "label": ["a", "b\ud800"][number % 2]} for number in range(40)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert "lone surrogate" in error_of(TASK, path)
