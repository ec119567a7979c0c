"""What words and folders stand for: one rule for every task, nothing passed over in silence."""

import io
import os
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgewright.runtime import Engine
from edgewright.runtime.bundle.structure import to_plain
from edgewright.runtime.errors import InputError
from edgewright.runtime.inputs import Unreadable, visible_files
from edgewright.runtime.tasks.base import Task
from edgewright.runtime.tasks.image_classification import ImageClassification
from tests.messages import refused
from tests.runtime.encoder_bundle import case as encoder_case
from tests.runtime.recurrent_bundle import case as recurrent_case
from tests.runtime.small_bundle import LABELS, SETTINGS, colour_image, make_bundle

TEXTS: Task[Any] = encoder_case("one label").device_task()
PAIRS: Task[Any] = encoder_case("pair").device_task()
TABLES: Task[Any] = recurrent_case("sequence-classification").device_task()
SOUNDS: Task[Any] = recurrent_case("audio-classification").device_task()
PICTURES: Task[Any] = ImageClassification(to_plain(SETTINGS), LABELS)


def stdin(content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content), encoding="utf-8"))


def reason(raw: Any) -> str:
    assert isinstance(raw, Unreadable), raw
    return raw.reason


def test_a_folder_holds_what_is_visible(tmp_path: Path) -> None:
    for name in (
        "b/2.PNG",
        "a.jpeg",
        ".hidden.png",
        "c/.cache/x.png",
        "Thumbs.db",
        "__MACOSX/a.png",
        "c/z.gif",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "c" / "again").symlink_to(tmp_path)
    (tmp_path / "d.png").symlink_to(tmp_path / "a.jpeg")
    found = [path.relative_to(tmp_path).as_posix() for path in visible_files(tmp_path)]
    assert found == ["a.jpeg", "b/2.PNG", "c/z.gif", "d.png"], "links are followed, each folder once"


@pytest.mark.parametrize(
    ("task", "good", "bad", "said"),
    [
        (PICTURES, "a.png", ("b.tif", "c.HEIC", "d", "e.mpo"), "does not end like an image"),
        (SOUNDS, "a.wav", ("b.aac", "c.txt", "d"), "does not end like a sound"),
        (TABLES, "a.csv", ("b.xlsx", "c.csv.gz", "d"), "does not end like a table"),
        (TEXTS, "a.txt", ("b.pdf", "c.docx", "readme"), "does not end like a text"),
    ],
)
def test_what_a_folder_holds_beside_inputs_is_named(
    task: Task[Any], good: str, bad: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    (tmp_path / "sub").mkdir()
    for name in (good, *bad):
        (tmp_path / "sub" / name).write_bytes(b"heat,load,speed\n1,2,3\n")
    (first, *others) = task.inputs(str(tmp_path))
    assert first[0] == str(tmp_path / "sub" / good) and not isinstance(first[1], Unreadable)
    assert [name for name, _ in others] == sorted(str(tmp_path / "sub" / name) for name in bad)
    for name, raw in others:
        assert reason(raw).startswith(f"{name} {said}") and "rename, convert or remove it" in reason(raw)


def test_a_folder_of_nothing(tmp_path: Path) -> None:
    (tmp_path / ".hidden.png").touch()
    for task, noun in ((PICTURES, "image"), (TABLES, "table"), (TEXTS, "text"), (SOUNDS, "sound")):
        ((name, raw),) = task.inputs(str(tmp_path))
        assert name == str(tmp_path) and f"no {noun} in {tmp_path}: give a folder with" in reason(raw)


def test_a_folder_that_may_not_be_read() -> None:
    """As somebody else where this is root, who may read everything."""
    root = os.geteuid() == 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "locked").mkdir(mode=0)
        folder.chmod(0o755)
        if root:
            os.seteuid(65534)
        try:
            found = list(PICTURES.inputs(name))
        finally:
            if root:
                os.seteuid(0)
            (folder / "locked").chmod(0o700)
    ((_, raw),) = found
    assert reason(raw) == f"{folder}/locked cannot be read (Permission denied): check its permissions"


@pytest.mark.parametrize("word", ["revws.csv", "data/new.txt", "./x", "~/texts/a.txt", "C.JSONL", "film/bad"])
def test_a_word_that_looks_like_a_path_and_is_none(word: str, tmp_path: Path) -> None:
    for task in (TEXTS, PAIRS):
        ((name, raw),) = task.inputs(word)
        assert name == word and "looks like the path of a file, and there is none" in reason(raw)


def test_a_path_with_spaces_that_is_mistyped(tmp_path: Path) -> None:
    ((_, raw),) = TEXTS.inputs(f"{tmp_path}/my film.txt")
    assert "there is none" in reason(raw)


@pytest.mark.parametrize(
    "word",
    [
        "good",
        "amazon.com",
        "https://example.com/a/b",
        "この映画は良い/悪い",
        "U.S.",
        "3.5",
        "@you are right",
        "it was good/bad",
        "why?",
        "*",
        "x" * 9999,
        "a\0b",
        "...",
    ],
)
def test_other_words_are_texts(word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert list(TEXTS.inputs(word)) == [(word, word)]


def test_patterns(tmp_path: Path) -> None:
    for name in ("1.png", "2.png", "sub/3.png", "4.gif"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()

    def names(word: str) -> list[str]:
        return [
            Path(name).relative_to(tmp_path).as_posix() for name, _ in PICTURES.inputs(f"{tmp_path}/{word}")
        ]

    assert names("*.png") == ["1.png", "2.png"]
    assert names("**/*.png") == ["1.png", "2.png", "sub/3.png"]
    assert names("[14].*") == ["1.png", "4.gif"]
    assert names("s*") == ["sub/3.png"], "a folder that matches"
    (tmp_path / "a[1].png").touch()
    assert names("a[1].png") == ["a[1].png"], "a file of that very name comes first"
    assert names("*.jpg") == ["*.jpg"], "answering it says that there is none"
    (tmp_path / "a.txt").write_text("good")
    assert [name for name, _ in TEXTS.inputs(f"{tmp_path}/*.txt")] == [str(tmp_path / "a.txt")]
    ((_, raw),) = TEXTS.inputs(f"{tmp_path}/*.csv")
    assert "there is none" in reason(raw)


def test_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("1.png", "in/2.png", "with space.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    content = "\ufeff1.png\r\n\n  in  \r\nnone.png\nwith space.png\n*.png\n".encode()
    (tmp_path / "list").write_bytes(content)
    wanted = ["1.png", "in/2.png", "none.png", "with space.png", "1.png", "with space.png"]
    found = list(PICTURES.inputs("@list"))
    assert [name for name, _ in found] == wanted
    assert reason(found[2][1]) == "none.png does not exist: check the path in the list 'list'"
    stdin(content, monkeypatch)
    assert [name for name, _ in PICTURES.inputs("@-")] == wanted
    for task in (PICTURES, TEXTS):
        ((_, raw),) = task.inputs("@nowhere")
        assert "the list 'nowhere' cannot be read" in reason(raw)
        (tmp_path / "empty").touch()
        ((_, raw),) = task.inputs("@empty")
        assert "is empty" in reason(raw)
    (tmp_path / "odd").write_bytes(b"\xff.png")
    ((_, raw),) = PICTURES.inputs("@odd")
    assert "cannot be read" in reason(raw)


@pytest.mark.parametrize("word", ["-", "/dev/stdin"])
def test_texts_on_standard_input(word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stdin("\ufeffgood film\r\n\n -\nbad \xe9\n".encode(), monkeypatch)
    assert list(TEXTS.inputs(word)) == [("-:1", "good film"), ("-:3", "-"), ("-:4", "bad \xe9")]
    stdin(b"good\ncaf\xe9\nbad", monkeypatch)
    (_, (name, raw), last) = TEXTS.inputs(word)
    assert name == "-:2" and "standard input, line 2 is not UTF-8" in reason(raw) and last == ("-:3", "bad")
    stdin(b'{"text": "a", "text_pair": "b"}\n', monkeypatch)
    assert list(PAIRS.inputs(word)) == [("-:1", {"text": "a", "text_pair": "b"})]
    stdin(b"", monkeypatch)
    ((name, raw),) = TEXTS.inputs(word)
    assert name == "-" and "standard input is empty" in reason(raw)


def test_files_on_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = io.BytesIO()
    colour_image(0).save(picture, "PNG")
    stdin(picture.getvalue(), monkeypatch)
    assert list(PICTURES.inputs("-")) == [("-", picture.getvalue())]
    table = b"heat,load,speed\n1,2,3\n4,5,6\n"
    stdin(table, monkeypatch)
    ((name, series),) = TABLES.inputs("-")
    assert name == "-" and series.values.tolist() == [[1, 2, 3], [4, 5, 6]]
    stdin(b"heat,load\n1,2\n", monkeypatch)
    ((_, raw),) = TABLES.inputs("-")
    assert reason(raw).startswith("standard input has no column 'speed'"), reason(raw)
    stdin(b"text,label\none,a\ntwo,b\n", monkeypatch)
    assert list(TEXTS.inputs("-", "csv")) == [
        ("-:2", {"text": "one", "label": "a"}),
        ("-:3", {"text": "two", "label": "b"}),
    ]
    stdin(b'{"text": "one"}\n', monkeypatch)
    assert list(TEXTS.inputs("-", ".JSONL")) == [("-:1", {"text": "one"})]
    stdin(b"one text\nof two lines", monkeypatch)
    assert list(TEXTS.inputs("-", "txt")) == [("-", b"one text\nof two lines")]
    for task in (PICTURES, TABLES):
        stdin(b"", monkeypatch)
        ((_, raw),) = task.inputs("-")
        assert "standard input is empty" in reason(raw)
    with refused(InputError):
        list(TEXTS.inputs("-", "xlsx"))


def test_pipes_are_read_as_standard_input_is(tmp_path: Path) -> None:
    for task, content, wanted in (
        (TEXTS, b"good\n\nbad", [":1", ":3"]),
        (TABLES, b"heat,load,speed\n1,2,3\n", [""]),
        (PICTURES, b"\x89PNG", [""]),
    ):
        pipe = tmp_path / f"pipe-{task.name}"
        os.mkfifo(pipe)
        writer = threading.Thread(target=pipe.write_bytes, args=(content,))
        writer.start()
        assert [name for name, _ in task.inputs(str(pipe))] == [f"{pipe}{line}" for line in wanted]
        writer.join()


def test_standard_input_that_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    for task in (TEXTS, PICTURES):
        for word in ("-", "@-"):
            ((_, raw),) = task.inputs(word)
            assert "standard input is closed" in reason(raw)


def test_an_engine_answers_a_folder_by_name(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    inbox = tmp_path / "inbox"
    (inbox / "sub").mkdir(parents=True)
    colour_image(0).save(inbox / "red.png")
    colour_image(2).save(inbox / "sub" / "blue.png")
    engine = Engine(make_bundle(tmp_path / "bundle"), cache=False, provider="cpu")
    found = engine(inbox)
    assert {name: answer.label for name, answer in found.items()} == {
        "red.png": "red",
        "sub/blue.png": "blue",
    }
    assert found.skipped == {} and not caplog.records
    (inbox / "notes.txt").write_text("not a picture")
    (inbox / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (inbox / "thumbs.db").touch()
    found = engine(str(inbox))
    assert list(found) == ["red.png", "sub/blue.png"]
    assert list(found.skipped) == ["notes.txt", "torn.png"]
    assert (
        "rename, convert or remove it" in found.skipped["notes.txt"]
        and "damaged" in found.skipped["torn.png"]
    )
    (record,) = caplog.records
    assert "2 of 4 skipped, the first: " in record.getMessage() and "notes.txt" in record.getMessage()
    for name in ("red.png", "sub/blue.png"):
        (inbox / name).unlink()
    with refused(InputError):
        engine(inbox)


def test_a_folder_of_tables_of_texts_is_answered_row_by_row(tmp_path: Path) -> None:
    from tests.runtime.encoder_bundle import make_encoder_bundle

    inbox = tmp_path / "inbox"
    inbox.mkdir()
    (inbox / "a.csv").write_text("text,id\ngood film,7\n,8\nbad,9\n")
    (inbox / "b.txt").write_text("good film")
    engine = Engine(make_encoder_bundle(tmp_path / "bundle", encoder_case("one label")), cache=False)
    found = engine(inbox)
    assert list(found) == ["a.csv:2", "a.csv:4", "b.txt"] and list(found.skipped) == ["a.csv:3"]
    assert found["a.csv:2"] == found["b.txt"] == engine("good film")


def test_each_keeps_order_and_hides_nothing(tmp_path: Path) -> None:
    engine = Engine(make_bundle(tmp_path / "bundle"), cache=False, provider="cpu", batch_size=4)
    pictures = [np.asarray(colour_image(place % 3)) for place in range(11)]
    named: list[tuple[str, Any]] = [(str(place), picture) for place, picture in enumerate(pictures)]
    named[3], named[10] = ("3", np.zeros((0, 4, 3), np.uint8)), ("10", Unreadable("torn"))
    named[6] = ("6", 7)
    found = list(engine.each(iter(named)))
    assert [name for name, _ in found] == [str(place) for place in range(11)]
    for place, (_, answer) in enumerate(found):
        if place in (3, 6, 10):
            assert isinstance(answer, InputError)
        else:
            assert answer == engine(pictures[place])
    with refused(InputError):
        engine.each(named, labels=["a"])


def test_each_holds_no_more_than_a_batch(tmp_path: Path) -> None:
    engine = Engine(make_bundle(tmp_path / "bundle"), cache=False, provider="cpu", batch_size=4)
    taken: list[int] = []

    def endless() -> Any:
        while True:
            taken.append(len(taken))
            yield "a", Image.new("RGB", (16, 16), "red")

    answers = engine.each(endless())
    for _ in range(5):
        next(answers)
    assert len(taken) == 8
