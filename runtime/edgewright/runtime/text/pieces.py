"""Long texts in pieces that have the same tokens as the whole: a tokenizer takes 160 bytes of memory for each byte.

Texts are cut at a single space between two letters or digits, by tokenizers that look at one word at a time.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

_PIECE = 1 << 14
"""Characters from which on a place to cut is looked for."""

_CUT = re.compile(r"(?<=[^\W_]) (?=[^\W_])")

_NORMALIZERS = frozenset({
    "BertNormalizer", "Lowercase", "NFC", "NFD", "NFKC", "NFKD", "StripAccents", "Precompiled", "Nmt", "Replace",
    "Strip",
})  # fmt: skip
_DIVIDERS = frozenset({"BertPreTokenizer", "Whitespace", "WhitespaceSplit", "ByteLevel", "Metaspace"})
"""Steps that end words at a space, and do the same to a word wherever it stands."""

_PROBES = (
    "The first words, and a number 1 2 3; then It's over  now Ünïcode 文字 end",
    "one two\nthree four\tfive  six . seven , eight (nine) ten-eleven",
)


def takes_pieces(tokenizer: Any) -> bool:
    """Whether a tokenizer finds the same tokens in the pieces of a text as in the whole."""
    return _fits(tokenizer) and all(_same(tokenizer, probe) for probe in _PROBES)


def pieces_of(text: str) -> Iterator[tuple[int, str]]:
    """The pieces of a text in order, each with the number of its first character; a piece begins with the space."""
    start = 0
    while len(text) - start > 2 * _PIECE:
        place = _CUT.search(text, start + _PIECE)
        if place is None:
            break
        yield start, text[start : place.start()]
        start = place.start()
    yield start, text[start:] if start else text


def _fits(tokenizer: Any) -> bool:
    normalizers, dividers = steps_of(tokenizer.normalizer), steps_of(tokenizer.pre_tokenizer)
    return (
        {step["type"] for step in normalizers} <= _NORMALIZERS
        and all(_by_word(step) for step in normalizers)
        and bool(dividers)
        and {step["type"] for step in dividers} <= _DIVIDERS
        and all(step.get("split", True) and step.get("use_regex", True) for step in dividers)
        and not any(map(_straddles, tokenizer.get_added_tokens_decoder().values()))
    )


def _straddles(token: Any) -> bool:
    """Whether an added token may take the space at which a text is cut together with what stands before it."""
    content = str(token.content)
    at_a_word = content[:1].isalnum() or content[-1:].isalnum()
    return re.search(r"\S\s", content) is not None or (at_a_word and bool(token.lstrip or token.rstrip))


def _by_word(step: Mapping[str, Any]) -> bool:
    """Whether a step leaves the single space alone with which a piece begins."""
    if step["type"] == "Strip":
        return not step["strip_left"]
    if step["type"] != "Replace":
        return True
    pattern = step["pattern"].get("Regex", step["pattern"].get("String", " "))
    return " " not in pattern or pattern == " {2,}"


def steps_of(part: Any) -> list[Mapping[str, Any]]:
    """The steps of a part of a tokenizer, as its file has them; none where there is no such part."""
    return [] if part is None else _flat(json.loads(part.__getstate__()))


def _flat(step: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    inner = next(
        (step[name] for name in ("normalizers", "pretokenizers", "processors") if name in step), None
    )
    return [step] if inner is None else [found for one in inner for found in _flat(one)]


def _same(tokenizer: Any, text: str) -> bool:
    """Whether cutting a text at each of its places changes nothing."""
    whole = tokenizer.encode(text, add_special_tokens=False)
    for place in _CUT.finditer(text):
        at = place.start()
        first, second = (tokenizer.encode(part, add_special_tokens=False) for part in (text[:at], text[at:]))
        offsets = [*first.offsets, *((start + at, end + at) for start, end in second.offsets)]
        if first.ids + second.ids != whole.ids or offsets != whole.offsets:
            return False
    return True
