"""A tokenizer as the tokenizer.json of a bundle, from which the device reads exactly the same tokenizer."""

import json
from typing import Any

_DIGITS = (17, 18, 19, 20, 16)


def tokenizer_json(tokenizer: Any) -> bytes:
    """The content of a tokenizer.json for a `tokenizers.Tokenizer` (transformers: `tokenizer.backend_tokenizer`).

    The Rust library reads decimal numbers to the last bit but one: the score of a Unigram piece can come back next to
    what it was. Two ways to cut a text that score alike are then decided otherwise. So each score is written in digits
    that are read as exactly the score.
    """
    text: str = tokenizer.to_str()
    document = json.loads(text)
    model = document.get("model", {})
    if model.get("type") != "Unigram":
        return text.encode("utf-8")
    pieces = model["vocab"]
    mark = "vocab"
    while f'"{mark}"' in text:
        mark += "_"
    model["vocab"] = mark
    rows = ",".join(
        f"[{json.dumps(piece, ensure_ascii=False)},{_exactly(float(score))}]" for piece, score in pieces
    )
    written = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    before, after = written.split(f'"{mark}"')
    return f"{before}[{rows}]{after}".encode()


def _exactly(score: float) -> str:
    """Digits that are read as `score`: as a whole number, divided by a power of ten, each step rounded."""
    usual = repr(score)
    if score == 0.0 or not 1e-3 < abs(score) < 1e15:
        return usual
    sign = "-" if score < 0 else ""
    size = abs(score)
    for digits in _DIGITS:
        exponent = digits - len(str(int(size))) if size >= 1.0 else digits
        power = 10**exponent
        nearest = int(size * power) if exponent <= 0 else _scaled(size, power)
        for step in (0, 1, -1, 2, -2, 3, -3):
            # Beyond 2**53 whole numbers share their float: a step is one float further.
            whole = nearest + step * max(1, nearest >> 53)
            if 0 < whole < 1 << 64 and float(whole) / float(power) == size:
                number = str(whole).rjust(exponent + 1, "0")
                return f"{sign}{number[:-exponent]}.{number[-exponent:]}"
    return usual


def _scaled(size: float, power: int) -> int:
    top, bottom = size.as_integer_ratio()
    return (top * power + bottom // 2) // bottom
