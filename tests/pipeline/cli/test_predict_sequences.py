"""`edgewright predict` on series, sound and text: whole, and pushed piece by piece."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgewright.runtime import Engine
from tests.command import Call
from tests.runtime.recurrent_bundle import STREAMING, Case, case, make_recurrent_bundle


@pytest.fixture(autouse=True)
def no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEWRIGHT_CACHE", "off")


def bundle_of(task: str, tmp_path: Path) -> tuple[Case, Path]:
    """A small bundle of a task, and what it was made of."""
    example = case(task)
    return example, make_recurrent_bundle(tmp_path / "bundle", example)


def near(found: Any, wanted: Any) -> bool:
    """Whether plain values are equal, numbers to within rounding."""
    if isinstance(wanted, dict):
        return found.keys() == wanted.keys() and all(near(found[key], wanted[key]) for key in wanted)
    if isinstance(wanted, list):
        return len(found) == len(wanted) and all(map(near, found, wanted))
    if isinstance(wanted, float):
        return math.isclose(found, wanted, rel_tol=1e-5, abs_tol=1e-5)
    return bool(found == wanted)


@pytest.mark.parametrize("task", STREAMING)
def test_files_are_answered_as_the_engine_answers_their_content(cli: Call, tmp_path: Path, task: str) -> None:
    example, bundle = bundle_of(task, tmp_path)
    files = sorted((bundle / "golden").glob("[0-9]*"))
    answer = cli("predict", bundle, *files, "--json", "--top", 5)
    assert (answer.code, answer.err) == (0, "")
    records = answer.json["answers"]
    with Engine(bundle, cache=False) as engine:
        for record, raw in zip(records, example.raws, strict=True):
            name = record.pop("input")
            assert Path(name.split("#")[0].split(":")[0]).parent.name == "golden"
            assert near(record, engine(raw).to_json())
    lines = cli("predict", bundle, *files).out.splitlines()
    assert len(lines) == len(files)


@pytest.mark.parametrize("task", STREAMING)
def test_pushed_piece_by_piece_the_last_answer_is_that_of_the_whole(
    cli: Call, tmp_path: Path, task: str
) -> None:
    example, bundle = bundle_of(task, tmp_path)
    (file, *_) = sorted((bundle / "golden").glob("[0-9]*"))
    answer = cli("predict", bundle, file, "--stream", "--json", "--top", 5)
    assert (answer.code, answer.err) == (0, "")
    records = answer.json["answers"]
    steps = [record["step"] for record in records]
    with Engine(bundle, cache=False) as engine:
        whole = engine(example.raws[0]).to_json()
        pieces = len(list(engine.task.pieces(example.raws[0])))
    assert steps == list(range(pieces - len(steps) + 1, pieces + 1))
    last = {key: value for key, value in records[-1].items() if key not in ("input", "step")}
    if task == "sequence-regression":
        whole["values"] = {name: values[-1:] for name, values in whole["values"].items()}
    assert near(last, whole)
    lines = cli("predict", bundle, file, "--stream").out.splitlines()
    assert [f"step {step}" in line for step, line in zip(steps, lines, strict=True)] == [True] * len(steps)


def test_texts_are_words_of_the_command_or_files(cli: Call, tmp_path: Path) -> None:
    _, bundle = bundle_of("text-classification", tmp_path)
    answer = cli("predict", bundle, "the film was very good", "bad")
    assert (answer.code, answer.err) == (0, "")
    assert [line.split("  ")[0] for line in answer.out.splitlines()] == ["the film was very good", "bad"]
    assert cli("predict", bundle, "not\ngood\x1b[31m").out.startswith("not\\ngood\\x1b[31m  ")
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("the film was very good", encoding="utf-8")
    (tmp_path / "texts" / "b.txt").write_text("bad", encoding="utf-8")
    read = cli("predict", bundle, tmp_path / "texts", "--json").json["answers"]
    said = cli("predict", bundle, "the film was very good", "bad", "--json").json["answers"]
    assert near([record["labels"] for record in read], [record["labels"] for record in said])


def test_what_cannot_stream_says_so(cli: Call, tmp_path: Path) -> None:
    _, bundle = bundle_of("text-classification", tmp_path)
    assert "stream" in cli("predict", bundle, "bad", "--stream").error()


def test_one_bad_series_hides_none_of_the_others(cli: Call, tmp_path: Path) -> None:
    _, bundle = bundle_of("sequence-classification", tmp_path)
    good = sorted((bundle / "golden").glob("[0-9]*"))[0]
    words = tmp_path / "words.csv"
    words.write_text("heat,load,speed\n1,2,3\n1,much,3\n")
    renamed = tmp_path / "renamed.csv"
    renamed.write_text("heat,lode,speed\n1,2,3\n")
    for more in ((), ("--stream",)):
        answer = cli("predict", bundle, words, good, renamed, tmp_path / "none.csv", *more)
        assert answer.code == 1
        assert answer.out.splitlines()[0].startswith(str(good))
        lines = answer.err.splitlines()
        assert [name in line for name, line in zip(("much", "load", "none.csv"), lines, strict=True)] == [
            True
        ] * 3
        assert all(line.startswith("edgewright: ") for line in lines)


def test_a_sound_too_short_for_a_step(cli: Call, tmp_path: Path) -> None:
    import soundfile

    _, bundle = bundle_of("audio-classification", tmp_path)
    soundfile.write(tmp_path / "click.wav", np.zeros(50), 8000)
    assert "click.wav" in cli("predict", bundle, tmp_path / "click.wav", "--stream").error()


def test_a_stream_loads_nothing_of_the_workstation(tmp_path: Path) -> None:
    """In a process of its own: this one has torch already."""
    import subprocess
    import sys

    from tests.command import environment

    program = (
        "import sys\nfrom edgewright.pipeline.cli.main import main\n"
        "try:\n    main(sys.argv[1:])\n"
        "finally:\n    print(*{name.split('.')[0] for name in sys.modules}, file=sys.stderr)"
    )
    for task in ("sequence-regression", "audio-classification"):
        _, bundle = bundle_of(task, tmp_path / task)
        file = sorted((bundle / "golden").glob("[0-9]*"))[0]
        done = subprocess.run(
            [sys.executable, "-c", program, "predict", str(bundle), str(file), "--stream"],
            capture_output=True, text=True, check=True, env=environment(),
        )  # fmt: skip
        assert not {"torch", "onnx", "pandas", "pyarrow", "pydantic", "librosa"} & set(done.stderr.split())
