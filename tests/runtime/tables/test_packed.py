"""Packed texts are the texts that were added, in whichever way they are asked for."""

import random

import pytest

from edgewright.runtime.tables.packed import PackedTexts

PARTS = (["a", "", "bc"], [""], ["nul \0 within", "x"], ["", ""], ["文", "\0"])
TEXTS = [text for part in PARTS for text in part]


@pytest.fixture
def packed() -> PackedTexts:
    column = PackedTexts()
    for part in PARTS:
        column.add(part)
    return column


def test_texts_in_order(packed: PackedTexts) -> None:
    assert len(packed) == len(TEXTS) and list(packed) == TEXTS and packed == TEXTS
    assert packed != TEXTS[:-1] and packed != [*TEXTS[:-1], "y"] and packed != 3
    assert not PackedTexts() and list(PackedTexts()) == []


def test_single_texts_and_slices(packed: PackedTexts) -> None:
    places = list(range(-len(TEXTS), len(TEXTS)))
    random.Random(0).shuffle(places)
    for place in places:
        assert packed[place] == TEXTS[place]
    for place in (-len(TEXTS) - 1, len(TEXTS)):
        with pytest.raises(IndexError):
            packed[place]
    ends = [None, *range(-len(TEXTS) - 2, len(TEXTS) + 3)]
    for start in ends:
        for stop in ends:
            for step in (None, 2, -1):
                assert packed[start:stop:step] == TEXTS[start:stop:step]
