"""Text on the device: what is a text and what a file, tokens, limits, tokenizers that are none."""

import json
from pathlib import Path
from typing import Any

import pytest

from edgewright.runtime import Engine
from edgewright.runtime.bundle.structure import to_plain
from edgewright.runtime.errors import BundleError, InputError
from edgewright.runtime.tasks import load_task
from edgewright.runtime.tasks.base import Task
from edgewright.runtime.text.decoding import (
    TextSettings,
    encode_text,
    load_text,
    load_tokenizer,
    text_settings,
)
from tests.messages import refused
from tests.runtime.encoder_bundle import tokenizer_json as encoder_tokenizer
from tests.runtime.recurrent_bundle import LABELS, case, make_recurrent_bundle, tokenizer_json


def task_of(max_tokens: int = 12, policy: str = "truncate", tokenizer: bytes | None = None) -> Task[Any]:
    settings = to_plain(TextSettings(max_tokens, policy))
    return load_task("text-classification", settings, LABELS, {"tokenizer": tokenizer or tokenizer_json()})


def test_every_form_of_a_text(tmp_path: Path) -> None:
    task = task_of()
    (tmp_path / "a.txt").write_bytes(b"a good film\r\n")
    (tmp_path / "mark.txt").write_bytes("\ufeffa good film".encode())
    for raw in (
        "a good film", "\ufeffa good film", b"a good film", tmp_path / "a.txt", tmp_path / "mark.txt", "a\tgood\nfilm",
    ):  # fmt: skip
        sample = task.encode(raw)
        assert sample["input_ids"].tolist() == [5, 1, 3] and sample["input_ids"].dtype == "int64"
        assert sample["lengths"] == 3 and sample["lengths"].dtype == "int32"
    assert task.encode("what is this")["input_ids"].tolist() == [0, 0, 0]


def test_a_str_is_never_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A text that happens to be the name of a folder is still a text."""
    engine = Engine(make_recurrent_bundle(tmp_path / "b", case("text-classification")), provider="cpu")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good").mkdir()
    (tmp_path / "good" / "1.txt").write_text("bad film")
    (tmp_path / "good" / "2.txt").write_text("the")
    assert engine("good") == engine(["good"])[0]
    assert engine(Path("good")) == {"1.txt": engine("bad film"), "2.txt": engine("the")}


def test_limits() -> None:
    assert task_of(2).encode("a good film")["input_ids"].tolist() == [5, 1]
    assert len(task_of(3, "refuse").encode("a good film")["input_ids"]) == 3
    with refused(InputError):
        task_of(2, "refuse").encode("a good film")


def test_the_tokenizers_own_limits_do_not_count() -> None:
    document = json.loads(tokenizer_json())
    document["truncation"] = {"direction": "Right", "max_length": 1, "strategy": "LongestFirst", "stride": 0}
    document["padding"] = {
        "strategy": {"Fixed": 9}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0, "pad_type_id": 0,
        "pad_token": "[UNK]",
    }  # fmt: skip
    assert len(task_of(tokenizer=json.dumps(document).encode()).encode("a good film")["input_ids"]) == 3


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ("", "the text '' holds no token: give at least one word"),
        ("  \n ", "holds no token"),
        (b"\xff", r"the text is not UTF-8 text"),
        ("good \ud800", "holds half a character"),
        (None, "cannot read a text from NoneType"),
        (5, "cannot read a text from int"),
        (Path("nowhere.txt"), "nowhere.txt does not exist"),
        (Path(), "is a folder"),
    ],
)
def test_what_is_no_text(raw: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        task_of().encode(raw)
    assert "\n" not in str(caught.value)


def test_files_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "latin.txt").write_bytes("caf\xe9".encode("latin-1"))
    with refused(InputError):
        load_text(tmp_path / "latin.txt")
    with (tmp_path / "huge.txt").open("wb") as file:
        file.truncate((64 << 20) + 1)
    with refused(InputError):
        load_text(tmp_path / "huge.txt")


def test_what_a_word_stands_for(tmp_path: Path) -> None:
    task = task_of()
    (tmp_path / "a.txt").write_text("good")
    (tmp_path / "notes").write_text("bad")
    assert list(task.inputs("a good film")) == [("a good film", "a good film")]
    for name in ("a.txt", "notes"):
        path = tmp_path / name
        assert list(task.inputs(str(path))) == [(str(path), path)]
    ((_, found), (name, other)) = task.inputs(str(tmp_path))
    assert found == tmp_path / "a.txt" and name == str(tmp_path / "notes")
    with refused(InputError):
        task.encode(other)


def test_each_row_of_a_table_is_a_text_and_the_table_is_none(tmp_path: Path) -> None:
    task, table, lines = task_of(), tmp_path / "a.csv", tmp_path / "b.jsonl"
    table.write_text("label,text\n1,a good film\n0,bad\n")
    lines.write_text('{"text": "good"}\n{"words": "bad"}\n"bad"\n')
    wanted = [task.encode(text)["input_ids"].tolist() for text in ("a good film", "bad", "good")]
    found = list(task.inputs(str(tmp_path)))
    assert [name for name, _ in found] == [
        *(f"{table}:{line}" for line in (2, 3)),
        *(f"{lines}:{line}" for line in (1, 2, 3)),
    ]
    assert [task.encode(raw)["input_ids"].tolist() for _, raw in found[:3]] == wanted
    assert [task.raw_file(raw) for _, raw in found[:2]] == [(b"a good film", ".txt"), (b"bad", ".txt")]
    with refused(InputError):
        task.encode(found[3][1])
    with refused(InputError):
        task.encode(table)
    with refused(InputError):
        task.encode(next(task.inputs("nowhere.csv"))[1])


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b'{"version": "1.0"}', b"[1, 2]"])
def test_tokenizers_that_are_none(content: bytes) -> None:
    with refused(BundleError):
        load_tokenizer(content)


def test_settings_travel_as_plain_values() -> None:
    settings = TextSettings(5, "refuse")
    assert text_settings(to_plain(settings)) == settings
    for broken in ({"max_tokens": 0}, {"max_tokens": 5, "policy": "guess"}, {}):
        with refused(BundleError):
            text_settings(broken)


@pytest.mark.parametrize("mark", ["[CLS]", "$(x)"])
def test_a_mark_that_is_no_special_token_is_refused_before_a_text_is_read(mark: str) -> None:
    document = json.loads(encoder_tokenizer())
    step = document["post_processor"]
    if mark == "[CLS]":
        del step["special_tokens"][mark]
    else:
        step["pair"][0]["SpecialToken"]["id"] = mark
    for content in (document, {**document, "post_processor": {"type": "Sequence", "processors": [step]}}):
        with pytest.raises(BundleError, match="is no special token"):
            load_tokenizer(json.dumps(content).encode())


@pytest.mark.parametrize("policy", ["truncate", "refuse"])
def test_a_long_text_has_the_tokens_of_the_whole(policy: str) -> None:
    tokenizer = load_tokenizer(tokenizer_json())
    text = "the film was very good, not boring " * 20_000
    whole = tokenizer.encode(text).ids
    assert len(text) > 2 << 18
    settings = TextSettings(len(whole), policy)
    assert encode_text(text, tokenizer, settings).tolist() == whole
    if policy == "truncate":
        assert encode_text(text, tokenizer, TextSettings(50)).tolist() == whole[:50]
    else:
        with pytest.raises(InputError, match=f"has {len(whole)} tokens"):
            encode_text(text, tokenizer, TextSettings(len(whole) - 1, policy))


@pytest.mark.parametrize("prefix", ["##", "\U0001f600", "long prefix"])
def test_a_merge_that_is_shorter_than_the_prefix_is_refused(
    prefix: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Before the library sees it, which would panic and say so on stderr."""
    model = {"type": "BPE", "vocab": {"g": 0, "o": 1, "go": 2}, "merges": [["g", "o"]], "unk_token": None}
    for merges in ([["g", "o"]], ["g o"]):
        content = json.dumps({"model": {**model, "merges": merges, "continuing_subword_prefix": prefix}})
        with pytest.raises(BundleError, match="the merge of 'g' and 'o' is shorter than the prefix"):
            load_tokenizer(content.encode())
    for none in ("", None):
        content = json.dumps({"model": {**model, "continuing_subword_prefix": none}, "version": "1.0"})
        assert load_tokenizer(content.encode()).encode("go").ids == [2]
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("kind", ["WordLevel", "WordPiece"])
def test_words_without_one_for_those_unknown_are_refused(kind: str) -> None:
    model: dict[str, Any] = {"type": kind, "vocab": {"good": 0, "[UNK]": 1}, "unk_token": "[UNK]"}
    if kind == "WordPiece":
        model |= {"continuing_subword_prefix": "##", "max_input_chars_per_word": 100}
    assert load_tokenizer(json.dumps({"version": "1.0", "model": model}).encode()).encode("bad").ids == [1]
    with pytest.raises(BundleError, match="its words lack '<unk>'"):
        load_tokenizer(json.dumps({"version": "1.0", "model": {**model, "unk_token": "<unk>"}}).encode())
