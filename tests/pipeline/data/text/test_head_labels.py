"""Data for a head that is kept: it is told in the labels of the checkpoint or the run, in their order."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from edgewright.pipeline.data.samples import Splits
from edgewright.pipeline.data.sources import open_data
from edgewright.pipeline.data.text.head_labels import kept_labels
from edgewright.pipeline.recipe.load import recipe_from_plain
from edgewright.pipeline.recipe.recipe import Recipe
from edgewright.runtime.errors import DataError, EdgewrightError, RecipeError
from tests.messages import refused
from tests.pipeline.data.small_checkpoint import save_checkpoint
from tests.pipeline.data.small_tables import every_sample, write_csv

CLASSIFIER = "BertForSequenceClassification"


def recipe(model: Path, data: Any, **sections: Any) -> Recipe:
    return recipe_from_plain(
        {
            "task": "text-classification",
            "model": str(model),
            "data": data if isinstance(data, dict) else str(data),
            "transfer": {"mode": "none"},
            **sections,
        }
    )


def error_of(model: Path, data: Any, kind: type[EdgewrightError] = RecipeError, **sections: Any) -> str:
    with pytest.raises(kind) as caught:
        open_data(recipe(model, data, **sections))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def read(model: Path, data: Any, **sections: Any) -> Splits:
    return open_data(recipe(model, data, **sections))


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint whose three outputs have names."""
    return save_checkpoint(tmp_path_factory.mktemp("named"), CLASSIFIER, ("NEGATIVE", "NEUTRAL", "POSITIVE"))


@pytest.fixture(scope="module")
def nameless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint that calls its outputs LABEL_0 and so on."""
    return save_checkpoint(tmp_path_factory.mktemp("nameless"), CLASSIFIER, num_labels=3)


def table(path: Path, labels: tuple[str, ...]) -> Path:
    columns = {
        "text": [f"this is number {number}" for number in range(40)],
        "label": [labels[number % len(labels)] for number in range(40)],
    }
    return write_csv(path, columns)


def test_labels_are_those_of_the_checkpoint_in_its_order(named: Path, tmp_path: Path) -> None:
    path = table(tmp_path / "t.csv", ("POSITIVE", "NEGATIVE"))
    splits = read(named, path)
    assert splits.classes == ("NEGATIVE", "NEUTRAL", "POSITIVE"), "one of them is in no text"
    assert {sample.target for sample in every_sample(splits)} == {0, 2}
    assert "no evaluation text has the label NEUTRAL: nothing is measured of it" in splits.notes
    fresh = read(named, path, transfer={"mode": "fine-tuning"})
    assert fresh.classes == ("NEGATIVE", "POSITIVE"), "a new head has the classes of the data"
    kept = read(named, path, transfer={"mode": "fine-tuning", "head": "keep"})
    assert kept.classes == splits.classes


def test_a_label_that_the_checkpoint_does_not_have(named: Path, tmp_path: Path) -> None:
    path = table(tmp_path / "t.csv", ("POSITIVE", "NEGATVE"))
    assert error_of(named, path, DataError) == (
        "t.csv, line 3: the label 'NEGATVE' (did you mean 'NEGATIVE'?) is not one of the model's "
        "(NEGATIVE, NEUTRAL, POSITIVE): correct it, or name the model's outputs anew, in their order, in data.classes"
    )
    assert "builtin:stdlib-docs: the label 'code' is not one of the model's" in error_of(
        named, "builtin:stdlib-docs", DataError
    )
    for label in ("POSITIVE", "meh"):
        (tmp_path / "folder" / label).mkdir(parents=True)
        (tmp_path / "folder" / label / "a.txt").write_text("this is a text")
    assert "the label 'meh' is not one of the model's" in error_of(named, tmp_path / "folder", DataError)


def test_outputs_get_other_names_in_their_order(named: Path, nameless: Path, tmp_path: Path) -> None:
    path = table(tmp_path / "t.csv", ("up", "down"))
    assert error_of(nameless, path) == (
        f"data.classes: {nameless} has 3 outputs and does not say what they are: list their names, in order"
    )
    for model in (named, nameless):
        splits = read(model, {"source": str(path), "classes": ["down", "flat", "up"]})
        assert splits.classes == ("down", "flat", "up")
        assert {sample.target for sample in every_sample(splits)} == {0, 2}
        message = error_of(model, {"source": str(path), "classes": ["down", "up"]})
        assert message.startswith(f"data.classes: 2 are listed, and they name the 3 outputs of {model}")
        assert message.endswith(": list all of them")
    turned = {"source": str(path), "classes": ["POSITIVE", "NEUTRAL", "NEGATIVE"]}
    assert error_of(named, turned).endswith(
        "in this order: NEGATIVE, NEUTRAL, POSITIVE: keep the order, or remove the key"
    )


def test_a_head_for_something_else(named: Path, tmp_path: Path) -> None:
    path = table(tmp_path / "t.csv", ("POSITIVE", "NEGATIVE"))
    tagger = save_checkpoint(tmp_path / "tagger", "BertForTokenClassification", ("O", "B-PER"))
    assert error_of(tagger, path) == (
        f"transfer.mode: none keeps the checkpoint's head, and {tagger} has one for token-classification, not for "
        "text-classification: use mode: fine-tuning with head: new, or task: token-classification"
    )
    bare = save_checkpoint(tmp_path / "bare", "BertModel")
    assert f"transfer.head: keep keeps the checkpoint's head, and {bare} has none" in error_of(
        bare, path, transfer={"mode": "fine-tuning", "head": "keep"}
    )
    several = save_checkpoint(
        tmp_path / "several", CLASSIFIER, ("a", "b"), problem_type="multi_label_classification"
    )
    assert error_of(several, path) == (
        f"text.multi_label: {several} was trained for any number of labels of each text: "
        "set text.multi_label: true, or use a new head"
    )
    assert "was trained for one label" in error_of(named, path, text={"multi_label": True})


def test_the_head_of_a_run(named: Path, tmp_path: Path) -> None:
    weights = tmp_path / "run" / "weights.safetensors"
    weights.parent.mkdir()
    record = {"task": "text-classification", "classes": ["yes", "no"]}
    save_file({"a": np.zeros(1)}, weights, {"edgewright": json.dumps(record)})
    found = recipe(named, tmp_path / "t.csv", weights=str(weights))
    assert kept_labels(found) == ("yes", "no")
    for several, other in ((True, False), (False, True)):
        build = {"settings": {"multi_label": several}}
        save_file({"a": np.zeros(1)}, weights, {"edgewright": json.dumps({**record, "build": build})})
        asked = {"weights": str(weights), "text": {"multi_label": several}}
        assert kept_labels(recipe(named, tmp_path / "t.csv", **asked)) == ("yes", "no")
        with pytest.raises(
            RecipeError, match=f"{weights} was trained for (any|one) .*: {str(several).lower()},"
        ):
            kept_labels(recipe(named, tmp_path / "t.csv", **{**asked, "text": {"multi_label": other}}))
    save_file({"a": np.zeros(1)}, weights, {"edgewright": json.dumps({**record, "task": "forecasting"})})
    with refused(RecipeError):
        kept_labels(found)
