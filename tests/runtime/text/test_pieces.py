"""Long texts: the tokens are those of the whole text, in little memory and in time that grows as the text does."""

import itertools
import random
import time
import tracemalloc
from typing import Any

import numpy as np
import pytest
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers

from edgewright.runtime.text import encoding
from edgewright.runtime.text.encoding import EncoderTokenizer
from edgewright.runtime.text.pieces import pieces_of, takes_pieces
from edgewright.runtime.text.settings import EncoderTextSettings
from tests.runtime.text.encoder_tokenizers import FAMILIES, family

WORDS = (
    "the", "film", "was", "Very", "good,", "it's", "(not)", "boring.", "Ada", "naïve", "e\u0301t", "文字", "co-op",
    "1,000", "3", "😀", "and", "in", "Paris", "\t", "\n", "  ", "’", "don't", "a.b.c", "état", "ИВАН", "x" * 40,
    "[MASK]", "<s>",
)  # fmt: skip


def long_text(words: int, seed: int = 0) -> str:
    return " ".join(random.Random(seed).choices(WORDS, k=words))


def reader(content: bytes, **changes: Any) -> EncoderTokenizer:
    settings = EncoderTextSettings(max_tokens=64, inputs=("input_ids", "attention_mask"), **changes)
    return EncoderTokenizer(content, settings)


def test_pieces_are_the_text() -> None:
    for text in ("", "short", long_text(9), long_text(30_000), "x" * 200_000, "a b" * 40_000, "文" * 99_999):
        found = list(pieces_of(text))
        assert "".join(piece for _, piece in found) == text
        assert [start for start, _ in found] == list(np.cumsum([0, *(len(piece) for _, piece in found[:-1])]))
        assert all(
            piece[0] == " " and not before[-1].isspace()
            for (_, before), (_, piece) in itertools.pairwise(found)
        )
    assert len(list(pieces_of(long_text(30_000)))) > 5


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("offsets", [False, True])
def test_tokens_are_those_of_the_whole_text(name: str, offsets: bool) -> None:
    content = family(name)[1]
    tokenizer = reader(content)
    assert takes_pieces(Tokenizer.from_str(content.decode())), "every family reads word by word"
    plain = Tokenizer.from_str(content.decode())
    plain.no_truncation()
    plain.no_padding()
    for seed in range(2):
        text = long_text(52_000, seed)
        assert len(text) > encoding._AT_ONCE
        short, found, again = tokenizer.tokens(["a short text", text, "and one more"], offsets)
        whole = plain.encode(text, add_special_tokens=False)
        assert found.ids.tolist() == whole.ids
        assert len(short) and len(again)
        if offsets:
            assert found.offsets is not None and found.offsets.tolist() == [
                list(pair) for pair in whole.offsets
            ]


def unlike(**parts: Any) -> Tokenizer:
    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0, "a": 1, "a b": 2}, "[UNK]"))
    for name, part in parts.items():
        setattr(tokenizer, name, part)
    return tokenizer


def test_tokenizers_that_look_beyond_a_word_read_texts_whole() -> None:
    words = pre_tokenizers.Whitespace()
    assert takes_pieces(unlike(pre_tokenizer=words))
    spaces = normalizers.Replace(Regex(" "), "_")
    for parts in (
        {},
        {"pre_tokenizer": pre_tokenizers.Split(Regex("(?<=e) "), "isolated")},
        {"pre_tokenizer": words, "normalizer": spaces},
        {
            "pre_tokenizer": words,
            "normalizer": normalizers.Sequence([normalizers.NFC(), normalizers.Strip()]),
        },
        {"pre_tokenizer": pre_tokenizers.ByteLevel(use_regex=False)},
        {"pre_tokenizer": pre_tokenizers.Sequence([words, pre_tokenizers.FixedLength(3)])},
    ):
        assert not takes_pieces(unlike(**parts)), parts
    for added in (["two words"], [AddedToken("a", rstrip=True)], [AddedToken("a ", normalized=False)]):
        tokenizer = unlike(pre_tokenizer=words)
        tokenizer.add_tokens(added)
        assert not takes_pieces(tokenizer), added


@pytest.mark.parametrize("policy", ["truncate", "stride"])
def test_memory_and_time_of_a_long_text_grow_as_it_does(policy: str) -> None:
    tokenizer = reader(family("bert")[1], policy=policy)

    def cost(text: str) -> tuple[float, int]:
        began = time.process_time()
        sample = tokenizer.sample(tokenizer.tokens([text]), [text])
        spent = time.process_time() - began
        assert sum(sample["windows"]) == len(sample["input_ids"])
        return spent, int(sample["input_ids"].nbytes)

    texts = [long_text(words) for words in (40_000, 160_000)]
    cost(texts[0])
    (few, _), (many, _) = (min(cost(text) for _ in range(3)) for text in texts)
    assert many <= 6 * few
    tracemalloc.start()
    peaks = []
    for text in texts:
        tracemalloc.reset_peak()
        cost(text)
        peaks.append(tracemalloc.get_traced_memory()[1] / len(text))
    tracemalloc.stop()
    assert peaks[1] <= 1.2 * peaks[0] + 1 and peaks[1] < 40, "of Python's own memory, for each character"
