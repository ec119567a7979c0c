"""Questions and answers: SQuAD JSON of both versions, tables, and every answer that cannot be used."""

import json
from pathlib import Path
from typing import Any

import pytest

from edgewright.pipeline.data.samples import Answers, Splits
from edgewright.pipeline.data.sources import open_data, restore_splits
from edgewright.pipeline.recipe.load import recipe_from_plain
from edgewright.pipeline.recipe.recipe import Recipe
from edgewright.runtime.errors import DataError
from edgewright.runtime.text.raw import Question
from tests.messages import refused
from tests.pipeline.data.small_tables import every_sample, write_csv, write_jsonl, write_parquet


def recipe(source: Path, no_answer: bool = False, **data: Any) -> Recipe:
    return recipe_from_plain(
        {
            "task": "question-answering",
            "model": "owner/bert",
            "data": {"source": str(source), **data},
            "question": {"no_answer": no_answer},
        }
    )


def read(source: Path, no_answer: bool = False, **data: Any) -> Splits:
    return open_data(recipe(source, no_answer, **data))


def error_of(source: Path, no_answer: bool = False, **data: Any) -> str:
    with pytest.raises(DataError) as caught:
        read(source, no_answer, **data)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def squad(contexts: int = 10, each: int = 3, unanswered: bool = False) -> dict[str, Any]:
    """Questions on numbered texts; with `unanswered` the last one on each has no answer."""
    paragraphs = []
    for number in range(contexts):
        context = f"Text {number} says that the box holds {number} apples, two pears and a letter."
        asked: list[dict[str, Any]] = [
            {
                "id": f"q{number}-{place}",
                "question": f"What about {place} in {number}?",
                "answers": [{"text": text, "answer_start": context.index(text)}],
            }
            for place, text in enumerate((f"{number} apples", "two pears", "a letter")[:each])
        ]
        if unanswered:
            asked[-1] |= {"answers": [], "is_impossible": True}
        paragraphs.append({"context": context, "qas": asked})
    return {"version": "v2.0", "data": [{"title": "boxes", "paragraphs": paragraphs}]}


def write(path: Path, document: Any) -> Path:
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def columns_of(document: dict[str, Any]) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {"question": [], "context": [], "answers": []}
    for paragraph in document["data"][0]["paragraphs"]:
        for asked in paragraph["qas"]:
            columns["question"].append(asked["question"])
            columns["context"].append(paragraph["context"])
            columns["answers"].append(asked["answers"])
    return columns


def test_squad_of_the_first_version(tmp_path: Path) -> None:
    splits = read(write(tmp_path / "t.json", squad()))
    assert splits.classes == () and splits.looked_at == "30 questions"
    assert {name: count for name, (count,) in splits.counts().items()} == {
        "train": 18,
        "validation": 3,
        "calibration": 3,
        "evaluation": 6,
    }
    for sample in every_sample(splits):
        assert isinstance(sample.raw, Question) and isinstance(sample.target, Answers)
        (text,), (start,) = sample.target.texts, sample.target.starts
        assert sample.raw.context[start : start + len(text)] == text and sample.label is None
    homes: dict[str, set[str]] = {}
    for split in splits.counts():
        for sample in splits.split(split):
            homes.setdefault(sample.raw.context, set()).add(split)
    assert all(len(home) == 1 for home in homes.values()), "a text that was seen in training is no test"


def test_squad_of_the_second_version(tmp_path: Path) -> None:
    path = write(tmp_path / "t.json", squad(unanswered=True))
    message = error_of(path)
    assert message.startswith("10 of 30 questions have no answer, first t.json, question q0-2, t.json")
    assert message.endswith("set question.no_answer: true, or leave them out")
    splits = read(path, no_answer=True)
    assert sum(sample.target == Answers() for sample in every_sample(splits)) == 10
    taught = read(write(tmp_path / "t.json", squad()), no_answer=True)
    assert any("question.no_answer: true teaches nothing" in note for note in taught.notes)


@pytest.mark.parametrize("form", ["objects", "lists", "texts", "parquet", "csv"])
def test_tables_of_questions(tmp_path: Path, form: str) -> None:
    document = squad()
    expected = read(write(tmp_path / "t.json", document))
    columns = columns_of(document)
    if form in ("lists", "parquet"):
        columns["answers"] = [
            {
                "text": [one["text"] for one in cell],
                "answer_start": [one["answer_start"] for one in cell],
            }
            for cell in columns["answers"]
        ]
    elif form == "texts":
        columns["answers"] = [[one["text"] for one in cell] for cell in columns["answers"]]
    elif form == "csv":
        columns["context"] = [f'"{text}"' for text in columns["context"]]
        columns["answers"] = [cell[0]["text"] for cell in columns["answers"]]
    writer, suffix = {"parquet": (write_parquet, "parquet"), "csv": (write_csv, "csv")}.get(
        form, (write_jsonl, "jsonl")
    )
    assert read(writer(tmp_path / f"t.{suffix}", columns)).digest() == expected.digest()


def test_columns_have_any_name_and_no_answer_is_an_empty_cell(tmp_path: Path) -> None:
    columns = columns_of(squad())
    columns["answers"][4] = None
    renamed = {"q": columns["question"], "passage": columns["context"], "spans": columns["answers"]}
    path = write_jsonl(tmp_path / "t.jsonl", renamed)
    splits = read(path, no_answer=True, question="q", context="passage", answers="spans")
    (empty,) = (sample for sample in every_sample(splits) if sample.target == Answers())
    assert empty.id == "04"
    assert error_of(path, question="q", answers="spans").startswith(
        "data.context: t.jsonl has no column 'context'"
    )
    assert error_of(path, question="p", context="passage").startswith("data.question: t.jsonl has no column")


def test_several_right_answers(tmp_path: Path) -> None:
    document = squad()
    first = document["data"][0]["paragraphs"][0]
    first["qas"][0]["answers"].append(
        {"text": "0 apples, two", "answer_start": first["context"].index("0 apples")}
    )
    splits = read(write(tmp_path / "t.json", document))
    (found,) = (sample for sample in every_sample(splits) if sample.id == "00")
    assert isinstance(found.target, Answers) and found.target.texts == ("0 apples", "0 apples, two")


def test_questions_that_cannot_be_used_are_skipped_and_named(tmp_path: Path) -> None:
    document = squad(20)
    asked = [paragraph["qas"] for paragraph in document["data"][0]["paragraphs"]]
    asked[0][0]["answers"] = [{"text": "nine plums", "answer_start": 5}]
    asked[0][1]["answers"][0]["answer_start"] += 1
    asked[1][0]["question"] = " "
    asked[1][1]["answers"] = [{"text": "", "answer_start": 0}]
    path = write(tmp_path / "t.json", document)
    splits = read(path, max_bad=0.1)
    assert {(one.path, one.reason) for one in splits.skipped} == {
        ("00", "has an answer that is not in its text at character 5: 'nine plums' (t.json, question q0-0)"),
        (
            "01",
            "has an answer that is not in its text at character 42, it stands at 41: 'two pears' "
            "(t.json, question q0-1)",
        ),
        ("03", "has no question (t.json, question q1-0)"),
        ("04", "has an empty answer: give its text, or no answer at all (t.json, question q1-1)"),
    }
    message = error_of(path)
    assert message.startswith("4 of 60 questions cannot be used, more than data.max_bad allows (0.05)")
    assert "00 has an answer that is not in its text" in message


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"rows": []}, "t.json has no list 'data': SQuAD files hold data, paragraphs and qas"),
        ({"data": [{"title": "x"}]}, "t.json, data[0] has no list 'paragraphs'"),
        ({"data": [{"paragraphs": [{"qas": []}]}]}, "t.json, data[0].paragraphs[0] has no text 'context'"),
        (
            {"data": [{"paragraphs": [{"context": "a", "qas": [{"answers": []}]}]}]},
            "t.json, data[0].paragraphs[0].qas[0] has no text 'question'",
        ),
        (
            {"data": [{"paragraphs": [{"context": "a", "qas": [{"question": "b", "answers": 3}]}]}]},
            "qas[0]: the answers are no list: write",
        ),
        (
            {"data": [{"paragraphs": [{"context": "a", "qas": [{"question": "b", "answers": [3]}]}]}]},
            "qas[0]: 3 is not an answer: give its text and answer_start",
        ),
        (
            {
                "data": [
                    {
                        "paragraphs": [
                            {
                                "context": "a",
                                "qas": [{"question": "b", "answers": [{"text": "a", "answer_start": "0"}]}],
                            }
                        ]
                    }
                ]
            },
            "answer_start '0' is not a whole number: count characters from 0",
        ),
        ({"data": []}, "holds no usable question"),
    ],
)
def test_files_that_are_no_squad(tmp_path: Path, document: Any, expected: str) -> None:
    assert expected in error_of(write(tmp_path / "t.json", document))


@pytest.mark.parametrize(
    "answers",
    [{"text": None}, {"text": 5, "answer_start": 1}, {"text": ["a"], "answer_start": 0}, {"text": {"a": 1}}],
)
def test_lists_of_answers_that_are_none(tmp_path: Path, answers: Any) -> None:
    columns = {"question": ["b"], "context": ["a"], "answers": [answers]}
    message = error_of(write_jsonl(tmp_path / "t.jsonl", columns))
    assert message == (
        "t.jsonl, line 1: text and answer_start are no lists: give each answer its text and start"
    )


@pytest.mark.parametrize("key", ["question", "context"])
def test_texts_that_are_lists(tmp_path: Path, key: str) -> None:
    columns: dict[str, list[Any]] = {"question": ["b"], "context": ["a"], "answers": [["a"]]}
    columns[key] = [["a", "b"]]
    message = error_of(write_jsonl(tmp_path / "t.jsonl", columns))
    assert message == f"t.jsonl, line 1: the column {key!r} holds a list where a text is needed"


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    path.write_bytes(b'{"data": [')
    assert error_of(path).startswith("t.json: ")
    path.write_bytes(b'{"data": "\xff"}')
    assert "is not UTF-8 text" in error_of(path)
    answers = [{"text": ["b"], "answer_start": [0, 1]}]
    lists: dict[str, list[Any]] = {"question": ["a"], "context": ["b"], "answers": answers}
    assert "t.jsonl, line 1 has 1 answers and 2 starts" in error_of(write_jsonl(tmp_path / "t.jsonl", lists))


def test_too_few_texts_to_divide(tmp_path: Path) -> None:
    message = error_of(write(tmp_path / "t.json", squad(2)))
    assert "2 different questions that belong to different texts to divide" in message
    assert message.endswith("add questions")


def test_a_run_finds_its_questions_again(tmp_path: Path) -> None:
    document = squad()
    path = write(tmp_path / "t.json", document)
    splits = read(path)
    plain = json.loads(json.dumps(splits.to_plain()))
    again = restore_splits(plain, recipe(path))
    assert again.digest() == splits.digest()
    assert [one.target for one in again.evaluation] == [one.target for one in splits.evaluation]
    number, place = divmod(int(splits.evaluation[0].id), 3)
    asked = document["data"][0]["paragraphs"][number]["qas"][place]["answers"][0]
    asked["text"] = asked["text"][:-1]  # only the target changes
    with refused(DataError):
        restore_splits(plain, recipe(write(path, document)))
