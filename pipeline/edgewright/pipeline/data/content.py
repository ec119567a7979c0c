"""Raw inputs of encoders, so that two of them compare unopened."""

import json
from typing import Any

from edgewright.runtime.bundle.files import sha256_of_bytes
from edgewright.runtime.text.raw import Question, TextPair, Words


def content_of_text(text: str) -> str:
    """Hex SHA-256 of a text."""
    return sha256_of_bytes(text.encode(errors="surrogatepass"))


def content_of_raw(raw: str | TextPair | Words | Question) -> str:
    """Hex SHA-256 of a raw input."""
    return content_of_text(raw) if isinstance(raw, str) else content_of_text(_plain(raw))


def content_with(raw: str | TextPair | Words | Question, target: Any) -> str:
    """Hex SHA-256 of a raw input and of its target, plain JSON values: what is no single class may be altered alone."""
    return content_of_text(json.dumps([_plain(raw), target]))


def _plain(raw: str | TextPair | Words | Question) -> str:
    parts: list[Any]
    if isinstance(raw, str):
        parts = [raw]
    elif isinstance(raw, TextPair):
        parts = [raw.first, raw.second]
    elif isinstance(raw, Words):
        parts = ["words", list(raw.words)]
    else:
        parts = ["question", raw.question, raw.context]
    return json.dumps(parts)
