"""What encoders' tasks make of texts: marks, windows, pairs, padding; bad input and bad settings by their names."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgewright.runtime.bundle.structure import to_plain
from edgewright.runtime.contracts import GraphSpec, TensorSpec
from edgewright.runtime.errors import BundleError, InputError
from edgewright.runtime.tasks import load_task
from edgewright.runtime.tasks.text_classification import TextClassification
from edgewright.runtime.text.encoding import EncoderTokenizer
from edgewright.runtime.text.raw import Question, TextPair
from edgewright.runtime.text.settings import EncoderTextSettings, ZeroShotSettings, encoder_settings
from tests.answering import run_all
from tests.messages import refused
from tests.runtime.encoder_bundle import CASES, INPUTS, WORDS, case, tokenizer_json, word_id
from tests.runtime.recurrent_bundle import case as recurrent_case

LIVES = "Ada Lovelace lives in Berlin . she was in Paris"


def ids(text: str) -> list[int]:
    return [word_id(word) for word in text.split()]


@pytest.mark.parametrize("name", CASES)
def test_a_task_from_what_it_says_of_itself(name: str) -> None:
    task = case(name).device_task()
    assets = {role: content for role, (_, content) in task.assets.items()}
    again: Any = load_task(task.name, task.processor, task.labels, assets)
    assert again.processor == task.processor and again.labels == task.labels and again.assets == task.assets
    assert task.reads_text
    for raw in case(name).raws:
        one, two = task.encode(raw), again.encode(raw)
        assert one.keys() == two.keys() and all(np.array_equal(one[key], two[key]) for key in one)


@pytest.mark.parametrize("name", CASES)
def test_a_raw_file_encodes_to_the_same(name: str, tmp_path: Path) -> None:
    task = case(name).device_task()
    odd: list[Any] = ["\ufeffgood", "good\r\nbad\rfilm", "bad\u2028", "\x00 good"]
    if name == "pair":
        odd = [TextPair(text, f"{text} film") for text in odd]
    elif name == "answers":
        odd = [Question(text, f"{text} film") for text in odd]
    for number, raw in enumerate([*case(name).raws, *odd]):
        content, suffix = task.raw_file(raw)
        file = tmp_path / f"{number}{suffix}"
        file.write_bytes(content)
        one, two = task.encode(raw), task.encode(file)
        assert one.keys() == two.keys() and all(np.array_equal(one[key], two[key]) for key in one), repr(raw)


def test_one_text_is_marked_and_cut() -> None:
    task = case("one label").device_task()
    sample = task.encode("the film was good")
    assert sample["input_ids"].tolist() == ids("[CLS] the film was good [SEP]")
    assert sample["attention_mask"].tolist() == [1] * 6 and sample["token_type_ids"].tolist() == [0] * 6
    assert int(sample["lengths"]) == 6 and sample["windows"].tolist() == [6] and int(sample["lost"]) == 0
    long = task.encode("good " * 30)
    assert int(long["lengths"]) == 12 and int(long["lost"]) == 20
    left = case("one label").device_task(truncation_side="left").encode("bad " * 30 + "film")
    assert left["input_ids"].tolist()[-2:] == ids("film [SEP]") and int(left["lost"]) == 21
    batch = task.collate([sample, long])
    assert {name: value.shape for name, value in batch.items()} == dict.fromkeys(INPUTS, (2, 12))
    assert batch["attention_mask"][0].tolist() == [1] * 6 + [0] * 6
    assert task.collate([sample])["input_ids"].base is sample["input_ids"], "a single sample is not copied"


def test_padding_is_the_models_own() -> None:
    task = case("one label").device_task(pad_id=7)
    batch = task.collate([task.encode("good"), task.encode("the film was good")])
    assert batch["input_ids"][0].tolist() == [*ids("[CLS] good [SEP]"), 7, 7, 7]
    assert batch["token_type_ids"][0].tolist() == [0] * 6


def test_inputs_that_a_graph_does_not_take_are_not_made() -> None:
    task = case("one label").device_task(inputs=("attention_mask", "input_ids"))
    sample = task.encode("good")
    assert "token_type_ids" not in sample and list(task.collate([sample])) == ["attention_mask", "input_ids"]
    task.check(
        {
            "model": GraphSpec(
                tuple(TensorSpec(name, "int64", ("b", "t")) for name in INPUTS[:2]),
                (TensorSpec("logits", "float32", ("b", 3)),),
            )
        }
    )
    with refused(BundleError):
        task.check(
            {
                "model": GraphSpec(
                    (TensorSpec("input_ids", "int64", ("b", "t")),),
                    (TensorSpec("logits", "float32", ("b", 3)),),
                )
            }
        )


def test_windows_share_their_stride() -> None:
    task = case("vectors").device_task()
    words = (list(WORDS[4:19]) * 2)[:23]
    sample = task.encode(" ".join(words))
    rows = task.windows(sample)
    assert [len(row["input_ids"]) for row in rows] == [12, 12, 9] == sample["windows"].tolist()
    inner = [row["input_ids"].tolist()[1:-1] for row in rows]
    assert inner[0][-2:] == inner[1][:2] and inner[1][-2:] == inner[2][:2]
    assert inner[0] + inner[1][2:] + inner[2][2:] == ids(" ".join(words))
    assert all(
        row["input_ids"][0] == word_id("[CLS]") and row["input_ids"][-1] == word_id("[SEP]") for row in rows
    )
    assert int(sample["lost"]) == 0 and int(sample["lengths"]) == 33


def test_windows_are_averaged_by_their_tokens() -> None:
    example = case("several labels")
    task = example.device_task()
    sample = task.encode("good " * 12 + "bad")
    assert sample["windows"].tolist() == [12, 7]
    rows = [example.net.run(task.collate([row]))["logits"][0] for row in task.windows(sample)]
    merged = run_all(task, [sample], example.net.run)[0]["logits"]
    assert np.allclose(merged, (12 * rows[0] + 7 * rows[1]) / 19, atol=1e-6)


def test_the_mean_of_unit_vectors_has_length_one() -> None:
    example = case("vectors")
    task = example.device_task()
    (found,) = run_all(task, [task.encode("good bad film the a " * 8)], example.net.run)
    merged = found["sentence_embedding"]
    assert merged.shape == (6,) and np.linalg.norm(merged) == pytest.approx(1)


def test_long_texts_are_refused_where_that_is_asked() -> None:
    task = case("one label").device_task(policy="refuse")
    assert int(task.encode("good " * 10)["lengths"]) == 12
    with refused(InputError):
        task.encode("good " * 11)


@pytest.mark.parametrize("name", CASES)
def test_empty_texts(name: str) -> None:
    task = case(name).device_task()
    for empty in ("", " \n\t"):
        raw: Any = empty
        if name == "pair":
            raw = TextPair("good", empty)
        elif name == "answers":
            raw = Question("who", empty)
        with refused(InputError):
            task.encode(raw)


def test_texts_without_a_token() -> None:
    from tokenizers import Tokenizer
    from tokenizers.normalizers import Replace

    tokenizer = Tokenizer.from_str(tokenizer_json().decode())
    tokenizer.normalizer = Replace("?", "")
    task: Any = load_task(
        "text-classification",
        to_plain(case("one label").settings),
        ("a", "b"),
        {"tokenizer": str(tokenizer.to_str()).encode()},
    )
    with refused(InputError):
        task.encode("??")


def test_text_that_is_no_text() -> None:
    task = case("one label").device_task()
    for raw, words in [(b"caf\xe9", "not UTF-8"), ("\udc80", "half a character"), (4, "the text is int")]:
        with pytest.raises(InputError, match=words):
            task.encode(raw)


def test_pairs_share_the_room() -> None:
    task = case("pair").device_task()
    sample = task.encode(TextPair("good film", "bad"))
    assert sample["input_ids"].tolist() == ids("[CLS] good film [SEP] bad [SEP]")
    assert sample["token_type_ids"].tolist() == [0, 0, 0, 0, 1, 1]
    long = task.encode(TextPair("good " * 20, "bad bad"))
    assert (
        long["input_ids"].tolist() == ids("[CLS]" + " good" * 7 + " [SEP] bad bad [SEP]")
        and int(long["lost"]) == 13
    )
    with refused(InputError):
        task.encode("good")


@pytest.mark.parametrize("name", CASES)
def test_outputs_that_are_not_finite_or_of_another_shape(name: str) -> None:
    example = case(name)
    task = example.device_task()
    sample = task.encode(example.raws[0])
    (outputs,) = run_all(task, [sample], example.net.run)
    key = next(iter(outputs))
    broken = outputs[key].copy()
    broken.reshape(-1)[0] = np.nan
    with refused(InputError):
        task.decode({**outputs, key: broken}, sample)
    with refused(BundleError):
        task.decode({**outputs, key: outputs[key][np.newaxis]}, sample)
    if example.task != "sentence-embedding":  # of which any length will do
        with refused(BundleError):
            task.decode({**outputs, key: outputs[key][:-1]}, sample)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"max_tokens": 0}, "max_tokens"),
        ({"policy": "window"}, "policy"),
        ({"stride": 2}, "stride"),
        ({"policy": "stride", "stride": -1}, "stride"),
        ({"policy": "stride", "stride": 12}, "less than max_tokens"),
        ({"inputs": ("attention_mask",)}, "inputs"),
        ({"inputs": ("input_ids", "position_ids")}, "inputs"),
        ({"inputs": ("input_ids", "input_ids")}, "inputs"),
        ({"pad_id": -1}, "pad_id"),
        ({"pad_id": 99}, "pad_id"),
        ({"threshold": 1.0}, "threshold"),
        ({"truncation_side": "middle"}, "truncation_side"),
        ({"zero_shot": {"by": "guess"}}, "by"),
        ({"zero_shot": {"by": "nli", "template": "no place"}}, "template"),
        ({"zero_shot": {"by": "nli", "entailment": 1, "contradiction": 1}}, "contradiction"),
        ({"zero_shot": {"by": "embedding"}, "multi_label": True}, "several labels"),
        ({"question": {"max_answer_tokens": 0}}, "max_answer_tokens"),
        ({"colour": "red"}, "unknown key"),
        ({"max_tokens": "many"}, "expected int"),
    ],
)
def test_settings_that_cannot_be_used(changes: dict[str, Any], words: str) -> None:
    plain = {**to_plain(case("one label").settings), **changes}
    with pytest.raises(BundleError, match=words):
        encoder_settings(plain)
    assert encoder_settings(to_plain(case("one label").settings)) == case("one label").settings


def test_tokenizers_that_cannot_be_used() -> None:
    settings = EncoderTextSettings(max_tokens=12)
    with refused(BundleError):
        EncoderTokenizer(b"{}", settings)
    with refused(BundleError):
        EncoderTokenizer(tokenizer_json(), EncoderTextSettings(max_tokens=2))
    with refused(BundleError):
        EncoderTokenizer(tokenizer_json(), EncoderTextSettings(max_tokens=11, policy="stride", stride=9))
    with refused(BundleError):
        EncoderTokenizer(tokenizer_json(), EncoderTextSettings(max_tokens=12, vocabulary=32))
    for name in CASES:
        with refused(BundleError):
            load_task(case(name).task, to_plain(case(name).settings), case(name).labels, {})


def test_tasks_need_what_is_theirs() -> None:
    assets = {"tokenizer": tokenizer_json()}
    plain = to_plain(case("one label").settings)
    for task in ("text-classification", "token-classification"):
        with refused(BundleError):
            load_task(task, plain, (), assets)
    with refused(BundleError):
        load_task("zero-shot-classification", plain, (), assets)
    with refused(BundleError):
        load_task("zero-shot-classification", to_plain(case("nli").settings), ("a", "a"), assets)
    with refused(BundleError):
        load_task("token-classification", {**plain, "pair": True}, ("O",), assets)
    with refused(BundleError):
        load_task("question-answering", {**plain, "truncation_side": "left"}, (), assets)


def test_settings_choose_between_encoders_and_recurrent_nets() -> None:
    assert isinstance(recurrent_case("text-classification").device_task(), TextClassification)
    assert not isinstance(case("one label").device_task(), TextClassification)


def test_zero_shot_settings_have_useful_defaults() -> None:
    assert ZeroShotSettings("embedding").template == "{}" and ZeroShotSettings("embedding").scale > 1
