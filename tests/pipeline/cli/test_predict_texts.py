"""`edgewright predict` with bundles of encoders: words, files with many texts, labels given with the question."""

import csv
import json
from pathlib import Path

import pyarrow
import pytest
from click.testing import CliRunner, Result
from pyarrow import parquet

from edgewright.pipeline.cli.predict import command
from edgewright.runtime import Engine
from tests.runtime.encoder_bundle import case, make_encoder_bundle
from tests.runtime.recurrent_bundle import case as recurrent_case
from tests.runtime.recurrent_bundle import make_recurrent_bundle


@pytest.fixture(autouse=True)
def _known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EDGEWRIGHT_CACHE", str(tmp_path / "graph-cache"))


def predict(*arguments: object) -> Result:
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


def test_texts_files_and_lines(tmp_path: Path) -> None:
    bundle = make_encoder_bundle(tmp_path / "bundle", case("one label"))
    (tmp_path / "a.txt").write_text("good film")
    lines = tmp_path / "b.jsonl"
    lines.write_bytes(b'{"text": "bad"}\n{"text": ""}\n{"text": "caf\xe9"}\n{"text": "good film"}\n')
    result = predict(bundle, "good film", tmp_path / "a.txt", lines)
    assert result.exit_code == 1
    engine = Engine(bundle)
    shown = engine("good film").line()
    assert result.stdout.splitlines() == [
        f"good film  {shown}",
        f"{tmp_path / 'a.txt'}  {shown}",
        f"{lines}:1  {engine('bad').line()}",
        f"{lines}:4  {shown}",
    ]
    assert "is empty: give at least one word" in result.stderr and "line 3: not UTF-8" in result.stderr


def test_pairs_and_questions(tmp_path: Path) -> None:
    bundle = make_encoder_bundle(tmp_path / "pairs", case("pair"))
    result = predict(bundle, '{"premise": "good film", "hypothesis": "bad film"}', "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["answers"][0]["labels"][0]["label"] in ("yes", "no")
    table = tmp_path / "c.csv"
    table.write_text('question,context\nwho,"Ada Lovelace lives in Berlin"\n')
    result = predict(make_encoder_bundle(tmp_path / "asked", case("answers")), table, "--json")
    (answer,) = json.loads(result.stdout)["answers"]
    assert answer["input"] == f"{table}:2" and {"answer", "start", "end", "candidates"} <= answer.keys()


def test_entities_and_vectors_as_json(tmp_path: Path) -> None:
    result = predict(
        make_encoder_bundle(tmp_path / "entities", case("entities")), "Ada lives in Berlin", "--json"
    )
    (answer,) = json.loads(result.stdout)["answers"]
    assert [word["text"] for word in answer["words"]] == ["Ada", "lives", "in", "Berlin"]
    result = predict(
        make_encoder_bundle(tmp_path / "vectors", case("vectors")), "Ada lives in Berlin", "--json"
    )
    (answer,) = json.loads(result.stdout)["answers"]
    assert len(answer["embedding"]) == 6


@pytest.mark.parametrize("name", ["nli", "nearest label"])
def test_labels_come_with_the_question(name: str, tmp_path: Path) -> None:
    bundle = make_encoder_bundle(tmp_path / "bundle", case(name))
    result = predict(bundle, "good film", "--labels", "boring, good ,very", "--top", "3")
    assert result.exit_code == 0, result.output
    assert sorted(result.stdout.split()[2::2]) == ["boring", "good", "very"]
    assert predict(bundle, "good film", "--top", "9").stdout.count("%") == 3, "else those of the bundle"


def test_labels_that_cannot_be_used(tmp_path: Path) -> None:
    bundle = make_encoder_bundle(tmp_path / "bundle", case("nli"))
    for labels, words in [(",", "there are no labels"), ("a,a", "given twice")]:
        result = predict(bundle, "good film", "bad film", "--labels", labels)
        assert result.exit_code != 0 and words in str(result.exception) and result.stdout == ""
    result = predict(make_encoder_bundle(tmp_path / "other", case("one label")), "good", "--labels", "a")
    assert result.exit_code == 2 and "No such option" in result.stderr and "--labels" in result.stderr
    streamed = predict(bundle, "good", "--labels", "a", "--stream")
    assert streamed.exit_code == 1 and "has no streaming form" in str(streamed.exception)


def test_labels_with_commas(tmp_path: Path) -> None:
    bundle = make_encoder_bundle(tmp_path / "bundle", case("nearest label"))
    result = predict(
        bundle, "good film", "--labels", '"very, very good", boring,, bad', "--top", "9", "--json"
    )
    (answer,) = json.loads(result.stdout)["answers"]
    assert sorted(one["label"] for one in answer["labels"]) == ["bad", "boring", "very, very good"]
    result = predict(bundle, "good film", "--labels", '"very, boring')
    assert "the labels cannot be read" in str(result.exception)


def test_a_label_stays_on_its_line(tmp_path: Path) -> None:
    bundle = make_encoder_bundle(tmp_path / "bundle", case("nearest label"))
    engine = Engine(bundle)
    (line,) = engine("good film", labels=["very\nbad\x1b[31m", "boring"]).line(2).splitlines()
    assert "very bad\\x1b[31m " in line


def test_an_error_names_the_line_of_its_file(tmp_path: Path) -> None:
    bundle = make_encoder_bundle(tmp_path / "bundle", case("one label"))
    lines = tmp_path / "b.jsonl"
    lines.write_text('{"text": "bad"}\n{"other": "x"}\nno json\n')
    result = predict(bundle, lines, "")
    assert result.stderr.splitlines() == [
        f"edgewright: {lines}:2: the input has no 'text', it has other: add it",
        f"edgewright: {lines}, line 3: broken JSON at line 1, column 1: write one JSON object on each line",
        "edgewright: the text is empty: give at least one word",
    ]


def test_an_empty_folder_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    recurrent = make_recurrent_bundle(tmp_path / "recurrent", recurrent_case("text-classification"))
    result = predict(recurrent, tmp_path / "nothing")
    assert result.exit_code == 1 and "no text in" in result.stderr and result.stdout == ""
    result = predict(make_encoder_bundle(tmp_path / "bundle", case("one label")), tmp_path / "nothing")
    assert result.exit_code == 1 and "no text in" in result.stderr and result.stdout == ""


def test_tables_of_every_dialect_answer_alike(tmp_path: Path) -> None:
    bundle = make_encoder_bundle(tmp_path / "bundle", case("one label"))
    rows = [("good film , very good", "glad"), ("bad ; not good", "sad"), ("the film was boring", "sad")]
    for name, delimiter in (("a.csv", ","), ("b.csv", ";"), ("c.csv", "\t"), ("d.tsv", "\t")):
        with (tmp_path / name).open("w", newline="", encoding="utf-8-sig") as file:
            csv.writer(file, delimiter=delimiter).writerows([("text", "label"), *rows])
    columns = {"text": [text for text, _ in rows], "label": [label for _, label in rows]}
    parquet.write_table(pyarrow.table(columns), tmp_path / "e.parquet")
    engine = Engine(bundle)
    shown = [engine(text).line() for text, _ in rows]
    for name in ("a.csv", "b.csv", "c.csv", "d.tsv", "e.parquet"):
        result = predict(bundle, tmp_path / name)
        assert result.exit_code == 0, result.output
        first = 1 if name == "e.parquet" else 2
        assert result.stdout.splitlines() == [
            f"{tmp_path / name}:{number}  {one}" for number, one in enumerate(shown, first)
        ]


def test_a_table_that_is_not_there_is_no_text(tmp_path: Path) -> None:
    bundle = make_encoder_bundle(tmp_path / "bundle", case("one label"))
    for name in ("none.csv", "none.tsv", "none.parquet", "none.pq", "none.jsonl", "none.ndjson"):
        result = predict(bundle, name)
        assert result.exit_code == 1 and result.stdout == ""
        assert result.stderr.startswith(
            f"edgewright: {name!r} looks like the path of a file, and there is none: "
        )
