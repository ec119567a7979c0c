"""Raw texts of every form: what they are read to, and what is said of those that cannot be read."""

from pathlib import Path
from typing import Any

import pytest

from edgewright.runtime.errors import InputError
from edgewright.runtime.inputs import Unreadable
from edgewright.runtime.text.raw import Question, TextPair, Words
from edgewright.runtime.text.reading import file_texts, raw_json, read_parts, read_words, typed_text
from tests.messages import refused

ONE = ("text",)
TWO = ("text", "text_pair")
ASKED = ("question", "context")


def written(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_one_text(tmp_path: Path) -> None:
    file = written(tmp_path / "a.txt", "\ufeffgood film\n")
    for raw in ("good", b"good", bytearray(b"good"), {"text": "good", "label": 3}, {"sentence": "good"}):
        assert read_parts(raw, ONE, ("sentence",)) == ("good",)
    assert read_parts(file, ONE) == ("good film\n",)
    assert read_parts("\ufeffgood", ONE) == ("\ufeffgood",), "only a file begins with a byte order mark"
    assert read_parts(written(tmp_path / "a.json", '{"text": "a\\nb"}'), ONE) == ("a\nb",)
    assert read_parts(written(tmp_path / "b.json", '"good"'), ONE) == ("good",)


def test_two_texts(tmp_path: Path) -> None:
    for raw in (TextPair("a", "b"), {"text": "a", "text_pair": "b"}, {"one": "a", "two": "b"}):
        assert read_parts(raw, TWO, ("one", "two")) == ("a", "b")
    file = written(tmp_path / "a.json", raw_json({"text": "a\ufeff", "text_pair": "ü"}))
    assert read_parts(file, TWO) == ("a\ufeff", "ü")
    assert read_parts(Question("who", "Ada"), ASKED) == ("who", "Ada")
    assert read_parts({"question": "who", "context": "Ada", "answers": []}, ASKED) == ("who", "Ada")


@pytest.mark.parametrize(
    ("raw", "names", "words"),
    [
        (3, ONE, "the text is int"),
        (None, ONE, "the text is NoneType"),
        ({"text": 3}, ONE, "text is int"),
        ({"body": "a"}, ONE, "the input has no 'text', it has body: add it"),
        ({}, ONE, "it has nothing"),
        ("a", TWO, "reads text and text_pair together"),
        ({"text": "a"}, TWO, "no 'text_pair'"),
        (TextPair("a", "b"), ONE, "one text, not two"),
        (Question("a", "b"), ONE, "answers no questions"),
        (b"\xff\xfe", ONE, "not UTF-8"),
        ("\ud800", ONE, "half a character"),
        (Unreadable("line 3 is broken"), ONE, "line 3 is broken"),
    ],
)
def test_raws_that_cannot_be_read(raw: Any, names: tuple[str, ...], words: str) -> None:
    with pytest.raises(InputError, match=words):
        read_parts(raw, names)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for name, content, words in [
        ("a.txt", b"caf\xe9", "not UTF-8 text"),
        ("a.json", b"{", "broken JSON"),
        ("b.json", b"[1]", "no object and no text"),
        ("c.json", b'{"text": "a", "text": "b"}', "twice"),
        ("a.jsonl", b'{"text": "a"}', "holds many inputs"),
    ]:
        with pytest.raises(InputError, match=words):
            read_parts(written(tmp_path / name, content), ONE)
    with refused(InputError):
        read_parts(tmp_path / "none.txt", ONE)
    with refused(InputError):
        read_parts(tmp_path, ONE)


def test_words(tmp_path: Path) -> None:
    for raw in (
        Words(("EU", "rejects")),
        {"tokens": ["EU", "rejects"], "tags": [1, 0]},
        {"words": ("EU", "rejects")},
    ):
        assert read_words(raw) == ("EU", "rejects")
    assert read_words("EU rejects") is None and read_words({"text": "EU"}) is None
    file = written(tmp_path / "a.json", raw_json({"tokens": ("EU", "rejects")}))
    assert read_words(file) == ("EU", "rejects")
    for words, message in [
        ((), "no words"),
        (("a b",), "white space"),
        (("",), "empty"),
        ((3,), "a word is int"),
    ]:
        with pytest.raises(InputError, match=message):
            read_words({"tokens": words})
    with refused(InputError):
        read_words({"tokens": "EU rejects"})


def test_a_pair_is_typed_as_json() -> None:
    assert typed_text('{"text": "a", "text_pair": "b"}', pair=True) == {"text": "a", "text_pair": "b"}
    for word, pair in (('{"text": "a"}', False), ("a good film", True)):
        assert typed_text(word, pair) == word


def test_lines_of_a_file(tmp_path: Path) -> None:
    lines = [
        b'\xef\xbb\xbf{"text": "one"}',
        b"",
        b'"two"',
        b"{broken",
        b'{"text": "caf\xe9"}',
        b"[3]",
        b'{"text": "end"}',
    ]
    file = written(tmp_path / "a.jsonl", b"\r\n".join(lines))
    found = list(file_texts(file))
    assert [name for name, _ in found] == [f"{file}:{line}" for line in (1, 3, 4, 5, 6, 7)]
    raws = [raw for _, raw in found]
    assert raws[:2] == [{"text": "one"}, "two"] and raws[5] == {"text": "end"}, (
        "nothing is lost by a bad line"
    )
    for raw, words in zip(
        raws[2:5], ("line 4: broken JSON", "line 5: not UTF-8", "line 6 is no object"), strict=True
    ):
        with pytest.raises(InputError, match=words):
            read_parts(raw, ONE)


def test_rows_of_a_table(tmp_path: Path) -> None:
    file = written(tmp_path / "a.csv", '\ufefftext,label\n"one, two",a\n"three\nlines",b\nshort\n')
    raws = [raw for _, raw in file_texts(file)]
    assert [read_parts(raw, ONE) for raw in raws[:2]] == [("one, two",), ("three\nlines",)]
    with refused(InputError):
        read_parts(raws[2], ONE)


def test_files_of_many_that_cannot_be_read_at_all(tmp_path: Path) -> None:
    for name, content, words in [
        ("a.jsonl", b"\n \n", "is empty"),
        ("a.csv", b"", "is empty"),
        ("b.csv", b"text\ncaf\xe9\n", "not UTF-8"),
        ("h.csv", b"text,label\n", "has no rows"),
        ("c.csv", b'text\n"open\n', "cannot be read"),
    ]:
        ((_, raw),) = file_texts(written(tmp_path / name, content))
        with pytest.raises(InputError, match=words):
            read_parts(raw, ONE)
    ((_, raw),) = file_texts(tmp_path / "none.jsonl")
    with refused(InputError):
        read_parts(raw, ONE)
