"""Words of a text, the tokens that speak for them, and the spans that tags make."""

import numpy as np
import pytest

from edgewright.runtime.text.words import (
    UNITS,
    entity_spans,
    find_words,
    place_words,
    spans_of,
    split_units,
    split_words,
    word_tokens,
)
from tests.runtime.text.text_corpus import corpus


def words(text: str) -> list[str]:
    return [text[start:end] for start, end in split_words(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" \n\t\u200b", []),
        ("Ada lives in Berlin.", ["Ada", "lives", "in", "Berlin", "."]),
        ("U.S. and AT&T's twenty-one 3.14", ["U.S", ".", "and", "AT&T's", "twenty-one", "3.14"]),
        ("a..b -c d- (e)", ["a", ".", ".", "b", "-", "c", "d", "-", "(", "e", ")"]),
        ("x .y", ["x", ".", "y"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("السلام عليكم", ["السلام", "عليكم"]),
        ("東京に行く", ["東", "京", "に", "行", "く"]),
        ("กิลัง", ["กิ", "ลั", "ง"]),
        ("e\u0301te\u0301", ["e\u0301te\u0301"]),
        ("hi👩🏽‍🚀!", ["hi", "👩", "🏽‍", "🚀", "!"]),
        ("\u0301a", ["\u0301a"]),
        ("한국어 모델", ["한국어", "모델"]),
    ],
)  # fmt: skip
def test_split_words(text: str, expected: list[str]) -> None:
    assert words(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("U.S. and AT&T's", ["U", ".", "S", ".", "and", "AT", "&", "T", "'", "s"]),
        ("C++/F#, 3.14 x_y", ["C", "+", "+", "/", "F", "#", ",", "3", ".", "14", "x", "_", "y"]),
        ("हिन्दी e\u0301te", ["हिन्दी", "e\u0301te"]),
        ("東京 5kg", ["東", "京", "5kg"]),
    ],
)  # fmt: skip
def test_parts_of_words(text: str, expected: list[str]) -> None:
    assert [text[start:end] for start, end in split_words(text, joined=False)] == expected


@pytest.mark.parametrize(
    ("text", "tokens", "units", "expected"),
    [
        ("AT&T 5kg", "AT & T 5 kg", "words", ["AT&T", "5kg"]),
        ("AT&T 5kg", "AT & T 5 kg", "parts", ["AT", "&", "T", "5kg"]),
        ("AT&T 5kg", "AT & T 5 kg", "tokens", ["AT", "&", "T", "5", "kg"]),
        ("in C++.", "in C++ .", "parts", ["in", "C++", "."]),  # one token cannot have two labels
        ("in C++.", "in C ++.", "tokens", ["in", "C", "++."]),
        ("東京に", "東京 に", "words", ["東京", "に"]),
        ("서울에서", "서울 에서", "parts", ["서울에서"]),
        ("서울에서", "서울 에서", "tokens", ["서울", "에서"]),
        ("a b", "", "tokens", ["a", "b"]),
        ("  ", "", "parts", []),
    ],
)  # fmt: skip
def test_units_of_a_text(text: str, tokens: str, units: str, expected: list[str]) -> None:
    places, end = [(-1, -1)], 0
    for token in tokens.split():
        start = text.index(token, end)
        end = start + len(token)
        places.append((start, end))
    found = split_units(text, np.array(places, np.int32), units)
    assert found.dtype == np.int32 and [text[start:end] for start, end in found] == expected


def test_tokens_that_begin_with_their_space_or_share_a_character() -> None:
    tokens = np.array(
        [(0, 2), (2, 6), (6, 7), (6, 7), (7, 9)], np.int32
    )  # "ab", " cde", one emoji in two, "fg"
    found = split_units("ab cde\U0001f680fg", tokens, "tokens")
    assert found.tolist() == [[0, 2], [3, 6], [6, 7], [7, 9]]


@pytest.mark.parametrize("units", UNITS)
def test_units_are_in_order_and_no_token_shows_two_of_a_word(units: str) -> None:
    for text in corpus()[::11]:
        tokens = [(start, min(start + 3, len(text))) for start in range(0, len(text), 3)]
        places = split_units(text, np.array(tokens, np.int32).reshape(-1, 2), units)
        assert (places[:, 1] > places[:, 0]).all() and (places[1:, 0] >= places[:-1, 1]).all()
        touching = places[1:, 0][places[1:, 0] == places[:-1, 1]]
        assert (touching % 3 == 0).all(), "only where a token begins"


def test_words_are_found_in_their_text() -> None:
    found = find_words(" in C++.\n(50%)", ["in", "C++", ".", "(", "50", "%)"])
    assert found is not None and found.tolist() == [[1, 3], [4, 7], [7, 8], [9, 10], [10, 12], [12, 14]]
    for words in (["in", "C"], ["in", "C++"], ["C++", "in"], ["in", "C++", ".", "and"], []):
        assert find_words("in C++.", words) is None
    assert find_words(" ", []) is not None


def test_words_never_overlap_and_miss_nothing_but_white_space() -> None:
    for text in corpus()[::7]:
        places = split_words(text)
        assert places.dtype == np.int32 and (places[:, 1] > places[:, 0]).all()
        assert (places[1:, 0] >= places[:-1, 1]).all()
        left = "".join(
            text[start:end] for start, end in zip([0, *places[:, 1]], [*places[:, 0], len(text)], strict=True)
        )
        assert not any(character.isalnum() for character in left), repr(text)


def test_place_words() -> None:
    text, places = place_words(("EU", "rejects", "."))
    assert text == "EU rejects ." and places.tolist() == [[0, 2], [3, 10], [11, 12]]


def test_the_first_token_speaks_for_a_word() -> None:
    # "unbelievable story": un ##believ ##able story, between two marks
    offsets = np.array([(-1, -1), (0, 2), (2, 8), (8, 12), (13, 18), (-1, -1)], np.int32)
    found = word_tokens(np.array([(0, 12), (13, 18)]), offsets, [6])
    assert found.tolist() == [1, 4]


def test_a_token_with_its_space_and_a_token_of_several_words() -> None:
    offsets = np.array([(0, 3), (3, 6), (6, 8)], np.int32)  # "▁ab", " cd", and "東京"
    places = np.array([(0, 3), (4, 6), (6, 7), (7, 8)])
    assert word_tokens(places, offsets, [3]).tolist() == [0, 1, 2, 2]


def test_words_without_a_token() -> None:
    offsets = np.array([(-1, -1), (4, 6), (6, 6)], np.int32)
    assert word_tokens(np.array([(0, 3), (4, 6), (7, 9)]), offsets, [3]).tolist() == [-1, 1, -1]
    assert word_tokens(np.array([(0, 3)]), np.zeros((0, 2), np.int32), []).tolist() == [-1]
    assert word_tokens(np.zeros((0, 2), np.int32), offsets, [3]).tolist() == []


def test_the_window_that_shows_most_around_a_word_is_chosen() -> None:
    # Two windows of five tokens that share "c" and "d".
    first = [(-1, -1), (0, 1), (2, 3), (4, 5), (6, 7), (-1, -1)]
    second = [(-1, -1), (4, 5), (6, 7), (8, 9), (10, 11), (-1, -1)]
    places = np.array([(0, 1), (2, 3), (4, 5), (6, 7), (8, 9), (10, 11)])
    found = word_tokens(places, np.array(first + second, np.int32), [6, 6])
    assert found.tolist() == [1, 2, 3, 8, 9, 10]


def test_a_window_that_begins_within_a_word_does_not_speak_for_it() -> None:
    windows = [[(-1, -1), (0, 4), (4, 8), (-1, -1)], [(-1, -1), (4, 8), (9, 12), (13, 14), (-1, -1)]]
    found = word_tokens(
        np.array([(0, 8), (9, 12), (13, 14)]), np.array([*windows[0], *windows[1]], np.int32), [4, 5]
    )
    assert found.tolist() == [1, 6, 7]


def test_entities_of_units() -> None:
    places = [(0, 1), (1, 2), (2, 3), (4, 6), (6, 7)]
    tags = ["B-LANG", "B-LANG", "B-LANG", "B-LANG", "O"]
    assert entity_spans(tags, places, ("O", "B-LANG")) == [(0, 3, "LANG"), (3, 4, "LANG")]
    assert len(entity_spans(tags, places, ("O", "B-LANG", "I-LANG"))) == 4, "where I- says what goes on"
    assert entity_spans(["B-A", "B-B", "O"], places[:3], ("O", "B-A", "B-B")) == [(0, 1, "A"), (1, 2, "B")]
    assert entity_spans([], [], ("O",)) == []


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("", []),
        ("O O", []),
        ("B-PER I-PER O B-LOC", [(0, 2, "PER"), (3, 4, "LOC")]),
        ("B-PER B-PER I-PER", [(0, 1, "PER"), (1, 3, "PER")]),
        ("B-PER I-LOC I-LOC", [(0, 1, "PER"), (1, 3, "LOC")]),
        ("O I-PER I-PER", [(1, 3, "PER")]),
        ("I-PER O I-PER", [(0, 1, "PER"), (2, 3, "PER")]),
        ("S-PER B-LOC I-LOC E-LOC S-LOC", [(0, 1, "PER"), (1, 4, "LOC"), (4, 5, "LOC")]),
        ("U-PER B-LOC L-LOC O", [(0, 1, "PER"), (1, 3, "LOC")]),
        ("PER PER O LOC", [(0, 2, "PER"), (3, 4, "LOC")]),
        ("B-per-son I-per-son", [(0, 2, "per-son")]),
    ],
)
def test_spans(tags: str, expected: list[tuple[int, int, str]]) -> None:
    assert spans_of(tags.split()) == expected
