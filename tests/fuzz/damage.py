"""Ways to damage what is valid: bytes, texts, JSON, and whole folders."""

import json
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

_NUMBERS = (
    0,
    1,
    -1,
    2,
    3,
    7,
    127,
    128,
    255,
    256,
    32767,
    65535,
    65536,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**63 - 1,
)
_PIECES = (
    b"\0", b"\xff" * 4, b"\n", b"\r", b'"', b",", b";", b"\t", b"{", b"}", b"[", b"]", b":", b"nan", b"1e999", b"-",
    b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\xc0\x80", b"null", b"%s", b"../", b"0" * 40, b"9" * 400, b"\\u0000",
    b"\x1b[31m",
)  # fmt: skip
WORDS = (
    "", " ", "\t", "\n", "a", "A", "é", "文", "\u202e", "\u200b", "\u0301", "\ufeff", "\0", "\x1b[2J", "'", '"', "\\",
    "%", "nan", "inf", "-inf", "None", "null", "true", "True", "01", "1e5", "1e999", "-0", "0x10", "1_000", "1,5",
    "2024-01-31", "2024-13-45", "9" * 30, "9" * 400, "1" * 5000, "x" * 3000, "a b", "../x", "/etc/passwd", "C:\\x", "#",
    "-DOCSTART-", "=", "{", "[", "]", "<script>", "{{x}}", "$(x)", "😀",
)  # fmt: skip


def damaged(random: Random, content: bytes, most: int = 6) -> bytes:
    """Bytes with a few flips, other numbers, cuts, repeats and foreign pieces."""
    found = bytearray(content)
    for _ in range(random.randint(1, most)):
        random.choice(_DAMAGES)(random, found)
    return bytes(found)


def _flip(random: Random, content: bytearray) -> None:
    if content:
        content[random.randrange(len(content))] ^= 1 << random.randrange(8)


def _byte(random: Random, content: bytearray) -> None:
    if content:
        content[random.randrange(len(content))] = random.choice(
            (0, 1, 127, 128, 254, 255, random.randrange(256))
        )


def _number(random: Random, content: bytearray) -> None:
    kind = random.choice(("<H", ">H", "<I", ">I", "<Q", ">Q"))
    size = struct.calcsize(kind)
    if len(content) >= size:
        # More often in front, where headers stand.
        place = random.randrange(len(content) - size + 1)
        place = min(place, random.randrange(len(content) - size + 1))
        content[place : place + size] = struct.pack(kind, random.choice(_NUMBERS) % (1 << 8 * size))


def _cut(random: Random, content: bytearray) -> None:
    start, stop = _slice(random, content)
    del content[start:stop]


def _repeat(random: Random, content: bytearray) -> None:
    start, stop = _slice(random, content)
    content[stop:stop] = content[start:stop] * random.choice((1, 1, 2, 20))


def _insert(random: Random, content: bytearray) -> None:
    place = random.randint(0, len(content))
    content[place:place] = random.choice((random.choice(_PIECES), random.randbytes(random.randint(1, 8))))


def _truncate(random: Random, content: bytearray) -> None:
    del content[random.randint(0, len(content)) :]


def _exchange(random: Random, content: bytearray) -> None:
    first, second = sorted((_slice(random, content), _slice(random, content)))
    if first[1] <= second[0]:
        left, right = content[slice(*first)], content[slice(*second)]
        content[slice(*second)] = left
        content[slice(*first)] = right


def _slice(random: Random, content: bytearray) -> tuple[int, int]:
    start = random.randint(0, len(content))
    return start, min(len(content), start + random.choice((1, 2, 4, 8, 32, 200)))


_DAMAGES: Sequence[Callable[[Random, bytearray], None]] = (
    _flip, _flip, _flip, _byte, _byte, _number, _number, _number, _cut, _repeat, _insert, _insert, _truncate, _exchange,
)  # fmt: skip


def odd_number(random: Random) -> Any:
    """A number that few expect; some are no numbers of JSON."""
    whole = random.choice(_NUMBERS)
    return random.choice(
        (
            whole,
            -whole,
            whole + 0.5,
            1e308,
            -1e308,
            5e-324,
            1e39,
            -0.0,
            10**19,
            10**400,
            float("nan"),
            float("inf"),
        )
    )


def odd_value(random: Random, depth: int = 0) -> Any:
    """Any value of JSON, the odd ones more often."""
    kind = random.randrange(8 if depth < 3 else 5)
    if kind < 2:
        return odd_number(random)
    if kind < 4:
        return random.choice(WORDS)
    if kind == 4:
        return random.choice((None, True, False, "\ud800"))
    if kind == 5:
        return [odd_value(random, depth + 1) for _ in range(random.randrange(4))]
    if kind == 6:
        return {random.choice(WORDS): odd_value(random, depth + 1) for _ in range(random.randrange(3))}
    deep: Any = []
    for _ in range(random.choice((5, 400))):
        deep = [deep]
    return deep


def other_json(random: Random, document: Any, most: int = 3) -> Any:
    """A document with other values, names, lengths or order in a few places; it is not altered itself."""
    document = json.loads(json.dumps(document))
    for _ in range(random.randint(1, most)):
        document = _other(random, document)
    return document


def _other(random: Random, document: Any) -> Any:
    holders = [place for place in _holders(document) if place]
    if not holders or random.random() < 0.02:
        return odd_value(random)
    holder = random.choice(holders)
    key = random.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
    way = random.randrange(7)
    if way == 0:
        del holder[key]
    elif way == 1 and isinstance(holder, dict):
        holder[random.choice(WORDS) if random.random() < 0.5 else f"{key}{random.choice(WORDS)}"] = holder[
            key
        ]
    elif way == 1:
        holder += holder[:50] * random.choice((1, 1, 3))
    elif way == 2:  # swap
        other = random.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
        holder[key], holder[other] = holder[other], holder[key]
    elif way == 3 and isinstance(holder[key], (int, float)) and not isinstance(holder[key], bool):
        holder[key] = random.choice((holder[key] * -1, holder[key] * 1000, holder[key] + 1, str(holder[key])))
    elif way == 4:
        holder[key] = random.choice(([holder[key]], {"x": holder[key]}, str(holder[key])))
    else:
        holder[key] = odd_value(random)
    return document


def _holders(value: Any) -> list[Any]:
    """Every list and object of a document."""
    found, waiting = [], [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, (dict, list)):
            found.append(one)
            waiting += one.values() if isinstance(one, dict) else one
    return found


def json_bytes(random: Random, document: Any) -> bytes:
    """A document as text that is JSON, mostly."""
    try:
        text = json.dumps(document, ensure_ascii=random.random() < 0.5)
    except RecursionError:
        text = "[" * 5000
    content = text.encode("utf-8", "surrogatepass")
    return damaged(random, content, 2) if random.random() < 0.2 else content


def other_text(random: Random, text: str, words: Sequence[str] = WORDS, most: int = 5) -> str:
    """A text with foreign words, cut, repeated and exchanged lines and cells."""
    for _ in range(random.randint(1, most)):
        place, end = sorted((random.randint(0, len(text)), random.randint(0, len(text))))
        end = min(end, place + random.choice((0, 1, 5, 40)))
        way = random.randrange(4)
        if way == 0:
            text = text[:place] + text[end:]
        elif way == 1:
            text = text[:end] + text[place:]
        elif way == 2:
            lines = text.splitlines(keepends=True)
            random.shuffle(lines)
            text = "".join(lines)
        else:
            text = text[:place] + random.choice(words) + text[end:]
    return text


def write(path: Path, content: bytes) -> Path:
    """Write a file and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path
