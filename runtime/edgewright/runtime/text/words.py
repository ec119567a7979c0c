"""The words of a text, and the spans that their tags make."""

import functools
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

OUTSIDE = "O"
"""The tag of a word that belongs to nothing."""

_SPACE, _LETTER, _ALONE, _JOINER, _MARK, _OTHER = range(6)

# Scripts that put no space between words: each character is one.
_UNSPACED = (
    (0x0E00, 0x0EFF), (0x0F00, 0x0FFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x3040, 0x30FF), (0x31F0, 0x31FF),
    (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0xFF66, 0xFF9F), (0x20000, 0x323AF),
)  # fmt: skip
_JOINERS = frozenset(".-'’&/@_")
_ZERO_WIDTH_JOINERS = "\u200c\u200d"

_BEGIN = frozenset("BSU")
_END = frozenset("ELSU")
_PREFIXES = frozenset("BIESLU")


def split_words(text: str) -> NDArray[np.int32]:
    """The words of a text, int32 [words, 2]: the first character of each and the one behind its last.

    A word is a run of letters, digits and marks, held together by one of . - ' & / @ between two of them; any other
    character that is not white space stands alone, as does each of a script without spaces.
    """
    found: list[tuple[int, int]] = []
    start = -1  # of the word that may go on
    solid = False  # whether it is made of letters
    for place, kind in enumerate(map(_kind, text)):
        if kind == _MARK and start >= 0:
            continue
        if kind == _SPACE:
            _close(found, start, place)
            start, solid = -1, False
        elif kind in (_LETTER, _MARK):
            if not solid:
                _close(found, start, place)
                start, solid = place, True
        elif kind != _JOINER or not solid or place + 1 == len(text) or _kind(text[place + 1]) != _LETTER:
            _close(found, start, place)
            start, solid = place, False
    _close(found, start, len(text))
    return np.array(found, np.int32).reshape(-1, 2)


def place_words(words: Sequence[str]) -> tuple[str, NDArray[np.int32]]:
    """Words as one text with a space between any two, and their places as `split_words` gives them."""
    ends = np.cumsum([len(word) + 1 for word in words], dtype=np.int64) - 1
    starts = np.concatenate(([0], ends[:-1] + 1))
    return " ".join(words), np.stack((starts, ends), axis=1).astype(np.int32)


def word_tokens(
    words: NDArray[np.integer[Any]], offsets: NDArray[np.integer[Any]], windows: Iterable[int]
) -> NDArray[np.int64]:
    """The token that speaks for each word: its first one, in the window that shows most of what is around it.

    Args:
        words: The places of the words, [words, 2], in ascending order.
        offsets: The places of the tokens of all windows, [tokens, 2]; -1 for those that are not of the text.
        windows: How many tokens each window has.

    Returns:
        int64 [words], a row of `offsets` for each word; -1 for a word that no token shows.
    """
    chosen = np.full(len(words), -1, np.int64)
    rows = np.flatnonzero((offsets[:, 0] >= 0) & (offsets[:, 1] > offsets[:, 0]))
    if not len(words) or not len(rows):
        return chosen
    around = np.concatenate([np.minimum(np.arange(size), np.arange(size)[::-1]) for size in windows])
    starts, ends = offsets[rows, 0], offsets[rows, 1]
    first = np.searchsorted(words[:, 1], starts, side="right")
    count = np.maximum(np.searchsorted(words[:, 0], ends, side="left") - first, 0)
    # A token may show several words: it stands once for each.
    token = np.repeat(np.arange(len(rows)), count)
    word = np.repeat(first - np.cumsum(count) + count, count) + np.arange(len(token))
    begin = np.maximum(starts[token], words[word, 0])
    order = np.lexsort((-around[rows[token]], begin, word))
    word, token = word[order], token[order]
    best = np.ones(len(word), bool)
    best[1:] = word[1:] != word[:-1]
    chosen[word[best]] = rows[token[best]]
    return chosen


def spans_of(tags: Sequence[str]) -> list[tuple[int, int, str]]:
    """The spans that tags make: (first word, the one behind the last, type).

    Tags are those of BIO, or of its forms with E, S, L and U; one without a prefix goes on like I. A tag that goes on
    where nothing of its type stands begins a span, as in the evaluation of CoNLL.
    """
    found: list[tuple[int, int, str]] = []
    start, kind = -1, ""
    for place, tag in enumerate(tags):
        prefix, _, name = tag.partition("-")
        if not name or prefix not in _PREFIXES:
            prefix, name = ("", "") if tag == OUTSIDE else ("I", tag)
        if start >= 0 and (name != kind or prefix in _BEGIN):
            found.append((start, place, kind))
            start = -1
        if not name:
            continue
        if start < 0:
            start, kind = place, name
        if prefix in _END:
            found.append((start, place + 1, kind))
            start = -1
    if start >= 0:
        found.append((start, len(tags), kind))
    return found


def _close(found: list[tuple[int, int]], start: int, stop: int) -> None:
    if start >= 0:
        found.append((start, stop))


@functools.lru_cache(maxsize=1 << 16)
def _kind(character: str) -> int:
    code = ord(character)
    category = unicodedata.category(character)
    if category[0] == "M" or character in _ZERO_WIDTH_JOINERS:
        return _MARK
    if any(low <= code <= high for low, high in _UNSPACED):
        return _ALONE
    if character in _JOINERS:
        return _JOINER
    if category[0] in "LN":
        return _LETTER
    if character.isspace() or category[0] in "CZ":
        return _SPACE
    return _OTHER
