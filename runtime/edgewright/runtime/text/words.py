"""The words of a text or their parts, and the spans that their tags make."""

import functools
import re
import unicodedata
from collections.abc import Collection, Iterable, Sequence
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

_WHITE = re.compile(r"\s*")

_BEGIN = frozenset("BSU")
_END = frozenset("ELSU")
_PREFIXES = frozenset("BIESLU")


WORDS, PARTS, TOKENS = "words", "parts", "tokens"
UNITS = (WORDS, PARTS, TOKENS)
"""What of a raw text can have a label of its own, from coarse to fine. Words are held together by what stands between
two letters (U.S, AT&T); parts are not, so that whatever a file calls a word is one part or several; of tokens an entity
may also begin or end within a run of letters.
"""


def split_units(text: str, tokens: NDArray[np.integer[Any]], units: str) -> NDArray[np.int32]:
    """The units of a text, int32 [units, 2]: the first character of each and the one behind its last.

    `tokens` are the places of its tokens, [tokens, 2]; what one token shows cannot be told apart and is one unit.
    """
    places = split_words(text, joined=units == WORDS)
    tokens = tokens[tokens[:, 1] > tokens[:, 0]]
    if not len(places) or not len(tokens):
        return places
    if units == TOKENS:
        places = _cut(places, np.unique(tokens[:, 0]))
    order = np.argsort(tokens[:, 0], kind="stable")
    starts, ends = tokens[order, 0], np.maximum.accumulate(tokens[order, 1])
    edges = places[1:, 0]
    before = np.searchsorted(starts, edges, side="left") - 1
    spanned = (before >= 0) & (ends[before] > edges) & (places[:-1, 1] == edges)
    first = np.concatenate(([True], ~spanned))
    last = np.concatenate((~spanned, [True]))
    return np.stack((places[first, 0], places[last, 1]), axis=1)


def split_words(text: str, joined: bool = True) -> NDArray[np.int32]:
    """The words of a text, int32 [words, 2]: the first character of each and the one behind its last.

    A word is a run of letters, digits and marks, where `joined` held together by one of . - ' & / @ _ between two of
    them; any other character that is not white space stands alone, as does each of a script without spaces.
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
        elif (
            not joined
            or kind != _JOINER
            or not solid
            or place + 1 == len(text)
            or _kind(text[place + 1]) != _LETTER
        ):
            _close(found, start, place)
            start, solid = place, False
    _close(found, start, len(text))
    return np.array(found, np.int32).reshape(-1, 2)


def place_words(words: Sequence[str]) -> tuple[str, NDArray[np.int32]]:
    """Words as one text with a space between any two, and their places as `split_words` gives them."""
    ends = np.cumsum([len(word) + 1 for word in words], dtype=np.int64) - 1
    starts = np.concatenate(([0], ends[:-1] + 1))
    return " ".join(words), np.stack((starts, ends), axis=1).astype(np.int32)


def find_words(text: str, words: Sequence[str]) -> NDArray[np.int32] | None:
    """The places of words in their text, as `place_words` gives them; None unless they stand there in order, with
    nothing but white space around them.
    """
    places: list[tuple[int, int]] = []
    end = 0
    for word in words:
        start = _WHITE.match(text, end).end()  # type: ignore[union-attr]  # it matches nothing at all, too
        end = start + len(word)
        if text[start:end] != word:
            return None
        places.append((start, end))
    return None if text[end:].split() else np.array(places, np.int32).reshape(-1, 2)


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


def inside(label: str, labels: Collection[str]) -> str:
    """The label of what goes on in a word that has this one: I-PER for B-PER, where there is such a label."""
    return f"I-{label[2:]}" if label.startswith("B-") and f"I-{label[2:]}" in labels else label


def entity_spans(
    tags: Sequence[str], places: Sequence[Sequence[int]], labels: Collection[str]
) -> list[tuple[int, int, str]]:
    """The spans that the tags of the units at `places` make, see `spans_of`.

    Where a type has no label for what goes on, units that touch belong together: those of "C++" are one LANG if all are
    B-LANG, and there is no I-LANG among the `labels`.
    """
    going = list(tags)
    for place in range(1, len(tags)):
        tag = tags[place]
        touches = places[place][0] == places[place - 1][1]
        if touches and tag.startswith("B-") and tag == tags[place - 1] and inside(tag, labels) == tag:
            going[place] = f"I-{tag[2:]}"
    return spans_of(going)


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


def _cut(places: NDArray[np.int32], starts: NDArray[np.integer[Any]]) -> NDArray[np.int32]:
    """Places that are cut where something starts within them; `starts` ascend."""
    within = np.searchsorted(places[:, 0], starts, side="right") - 1
    inner = starts[(within >= 0) & (starts < places[within, 1])]
    begins = np.union1d(places[:, 0], inner).astype(np.int32)
    ends = places[np.searchsorted(places[:, 0], begins, side="right") - 1, 1]
    ends[:-1] = np.minimum(ends[:-1], begins[1:])
    return np.stack((begins, ends), axis=1)


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
