"""`edgewright predict --format`: answers for programs and tables, written as they come."""

import csv
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from edgewright.pipeline.cli.predict import command
from edgewright.runtime import Answer, Engine, InputError, MultiLabel
from edgewright.runtime.bundle.files import canonical_json
from tests.command import environment
from tests.runtime.encoder_bundle import case, make_encoder_bundle
from tests.runtime.loops import loop_bundle
from tests.runtime.recurrent_bundle import case as recurrent_case
from tests.runtime.recurrent_bundle import make_recurrent_bundle
from tests.runtime.small_bundle import colour_image, make_bundle


@pytest.fixture(autouse=True)
def _no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEWRIGHT_CACHE", "off")


def predict(*arguments: object, stdin: bytes = b"") -> Result:
    return CliRunner().invoke(command, [str(argument) for argument in arguments], input=stdin)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A bundle, and a folder with three pictures and one that is none."""
    base = tmp_path_factory.mktemp("pictures")
    (base / "in").mkdir()
    for index, name in enumerate(("red", "green", "blue")):
        colour_image(index).save(base / "in" / f"{name}.png")
    (base / "in" / "notes.txt").touch()
    return make_bundle(base / "bundle"), base / "in"


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_encoder_bundle(tmp_path_factory.mktemp("texts") / "bundle", case("one label"))


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_a_label_on_each_line(pictures: tuple[Path, Path]) -> None:
    bundle, folder = pictures
    result = predict(bundle, folder, "--format", "label")
    assert (result.exit_code, result.stdout) == (1, "blue\ngreen\n\nred\n"), "an empty line for notes.txt"
    assert result.stderr.startswith(f"edgewright: {folder}/notes.txt does not end like an image")


def test_json_lines_and_the_document_say_the_same(pictures: tuple[Path, Path]) -> None:
    bundle, folder = pictures
    whole = predict(bundle, folder, "--format", "json", "--top", 2)
    document = json.loads(whole.stdout)
    assert whole.stdout == canonical_json(document) == predict(bundle, folder, "--json", "--top", 2).stdout
    lines = predict(bundle, folder, "--format", "jsonl", "--top", 2).stdout.splitlines()
    assert [json.loads(line) for line in lines] == document["answers"]
    assert len(lines) == 4 and json.loads(lines[2]).keys() == {"input", "error"}


def test_no_answer_at_all_is_still_a_document(texts: Path, tmp_path: Path) -> None:
    result = predict(texts, "-", "--json", stdin=b"")
    document = json.loads(result.stdout)
    assert result.exit_code == 1 and [one["input"] for one in document["answers"]] == ["-"]
    assert result.stdout == canonical_json(document)
    empty = predict(texts, "-", "--json", stdin=b"\n")
    assert json.loads(empty.stdout)["answers"] == [] and empty.stdout == canonical_json(
        json.loads(empty.stdout)
    )


def test_a_table_keeps_its_columns(texts: Path, tmp_path: Path) -> None:
    table = tmp_path / "in.csv"
    table.write_text('id;text;label;error\n007;"good; film";x;1\n8;;y;2\n9;bad;z;\n', encoding="utf-8-sig")
    result = predict(texts, table, "--format", "csv")
    (first, broken, last) = rows(result.stdout)
    assert result.exit_code == 1
    assert list(first) == [
        "input", "id", "text", "label", "error", "predicted_label", "probability", "predicted_error",
    ]  # fmt: skip
    answer = Engine(texts)("good; film")
    assert (first["id"], first["text"], first["label"], first["error"]) == ("007", "good; film", "x", "1")
    assert (first["predicted_label"], first["probability"]) == (answer.label, repr(answer.probability))
    assert broken["predicted_label"] == "" and broken["id"] == "8" and "is empty" in broken["predicted_error"]
    assert last["input"] == f"{table}:4" and last["predicted_error"] == ""
    (line, *_) = predict(texts, table, "--format", "jsonl").stdout.splitlines()
    assert json.loads(line)["columns"] == {"id": "007", "text": "good; film", "label": "x", "error": "1"}


def test_what_fails_before_the_first_answer_stands_in_the_table(texts: Path, tmp_path: Path) -> None:
    table = tmp_path / "in.csv"
    table.write_text("text,n\n,1\nbad,2\n")
    first, second = rows(predict(texts, "no.csv", table, "--format", "csv").stdout)[:2]
    assert first["input"] == "no.csv" and "there is none" in first["error"] and first["label"] == ""
    assert second["n"] == "1" and "is empty" in second["error"]
    only = rows(predict(texts, "no.csv", "nor.csv", "--format", "csv").stdout)
    assert [row["input"] for row in only] == ["no.csv", "nor.csv"] and list(only[0]) == ["input", "error"]


def test_tables_of_other_columns_in_one(texts: Path, tmp_path: Path) -> None:
    for name, head in (("a.csv", "text,n"), ("b.csv", "text,m")):
        (tmp_path / name).write_text(f"{head}\nbad,5\n")
    first, second, third = rows(predict(texts, tmp_path, "good", "--format", "csv").stdout)
    assert (first["n"], second["n"], third["n"]) == ("5", "", "")
    assert "the column 'm'" in second["error"] and second["label"] and third["error"] == ""


def test_the_best_of_many(pictures: tuple[Path, Path]) -> None:
    bundle, folder = pictures
    (row,) = rows(predict(bundle, folder / "red.png", "--format", "csv", "--top", 2).stdout)
    best = Engine(bundle)(folder / "red.png").top(2)
    assert [row["label"], row["label_2"]] == [score.label for score in best]
    assert [float(row["probability"]), float(row["probability_2"])] == [score.probability for score in best]


@pytest.mark.parametrize(
    "name", ["several labels", "entities", "answers", "vectors", "nli", "nearest label", "pair"]
)
def test_every_answer_of_texts_is_a_row_and_a_bare_line(name: str, tmp_path: Path) -> None:
    example = case(name)
    bundle = make_encoder_bundle(tmp_path / "bundle", example)
    engine = Engine(bundle)
    with (tmp_path / "in.jsonl").open("w", encoding="utf-8") as file:
        for raw in example.raws:
            content, suffix = engine.task.raw_file(raw)
            text = content.decode()
            file.write((text if suffix == ".json" else json.dumps({"text": text})) + "\n")
    found = rows(predict(bundle, tmp_path / "in.jsonl", "--format", "csv").stdout)
    bare = predict(bundle, tmp_path / "in.jsonl", "--format", "label").stdout.splitlines()
    assert len(found) == len(bare) == len(example.raws)
    answers = engine.each(engine.task.inputs(str(tmp_path / "in.jsonl")))
    for (_, answer), row, line in zip(answers, found, bare, strict=True):
        assert not isinstance(answer, InputError) and line == answer.bare()
        for column, value in answer.cells().items():
            assert row[column] == ("" if value is None else str(value)), column
        if isinstance(answer, MultiLabel):
            chosen = [score.label for score in answer.labels]
            assert json.loads(row["chosen"]) == chosen and line == "\t".join(chosen)


@pytest.mark.parametrize("task", ["forecasting", "sequence-regression", "sequence-classification"])
def test_series_are_rows_too(task: str, tmp_path: Path) -> None:
    bundle = make_recurrent_bundle(tmp_path / "bundle", recurrent_case(task))
    file = sorted((bundle / "golden").iterdir())[0]
    (row,) = rows(predict(bundle, file, "--format", "csv").stdout)
    engine = Engine(bundle)
    ((_, raw),) = engine.task.inputs(str(file))
    answer: Answer = engine([raw])[0]
    cells = answer.cells()
    assert {name: row[name] for name in cells} == {name: str(value) for name, value in cells.items()}
    streamed = rows(predict(bundle, file, "--stream", "--format", "csv").stdout)
    assert list(streamed[0])[:2] == ["input", "step"] and streamed[-1].keys() - row.keys() == {"step"}
    bare = predict(bundle, file, "--format", "label").stdout
    assert bare == answer.bare() + "\n"


def test_forms_that_are_none(pictures: tuple[Path, Path]) -> None:
    bundle, folder = pictures
    for words in (("--format", "xml"), ("--format", "csv", "--json")):
        result = predict(bundle, folder, *words)
        assert result.exit_code == 2 and result.stdout == "", result.output
    assert "'xml' is none of json, jsonl, csv, label" in predict(bundle, folder, "--format", "xml").stderr


def test_standard_input_line_by_line(texts: Path) -> None:
    result = predict(texts, "-", "--format", "label", stdin=b"good film\n\n-\nno.csv\nbad\n")
    engine = Engine(texts)
    assert result.stdout.splitlines() == [engine(text).bare() for text in ("good film", "-", "no.csv", "bad")]
    assert result.exit_code == 0
    table = predict(texts, "-", "--stdin-format", "csv", "--format", "csv", stdin=b"text,n\nbad,3\n")
    (row,) = rows(table.stdout)
    assert (row["input"], row["n"], row["label"]) == ("-:2", "3", engine("bad").label)
    assert "choose one of" in str(predict(texts, "-", "--stdin-format", "xlsx", stdin=b"x").exception)


def test_a_run_without_end_is_stopped(pictures: tuple[Path, Path], tmp_path: Path) -> None:
    bundle, folder = pictures
    endless = loop_bundle(shutil.copytree(bundle, tmp_path / "bundle"), None)
    for words in (("--json",), ("--format", "csv"), ()):
        result = predict(endless, folder / "red.png", "--timeout", 0.2, *words)
        assert (
            result.exit_code == 1
            and result.stdout == ""
            and "ran for more than 0.2 s" in str(result.exception)
        )
    (tmp_path / "a.txt").touch()
    listed = predict(endless, tmp_path / "a.txt", folder / "red.png", "--timeout", 0.2, "--json")
    assert listed.exit_code == 1
    for seconds in ("0", "-1", "x"):
        assert predict(bundle, folder / "red.png", "--timeout", seconds).exit_code == 2
    assert predict(bundle, folder / "red.png", "--timeout", 60).exit_code == 0


def test_a_hundred_thousand_texts_in_flat_memory(texts: Path, tmp_path: Path) -> None:
    """Four times the texts, and no more memory: nothing is held but what runs together."""
    program = (
        "import resource, sys\n"
        "from edgewright.pipeline.cli.main import main\n"
        "try:\n    main(sys.argv[1:])\n"
        "finally:\n    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)"
    )
    peaks = []
    for count in (10_000, 40_000):
        table = tmp_path / f"{count}.jsonl"
        table.write_text(('{"text": "good film", "more": "' + "x" * 400 + '"}\n') * count)
        words = ["predict", texts, table, "--format", "csv", "--threads", 1]
        done = subprocess.run(
            [sys.executable, "-c", program, *map(str, words)],
            capture_output=True, text=True, check=True, env=environment(),
        )  # fmt: skip
        assert done.stdout.count("\n") == count + 1
        peaks.append(int(done.stderr.split()[-1]))
    assert peaks[1] < 1.15 * peaks[0], peaks
