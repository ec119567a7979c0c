"""How text becomes tokens: the only place in the project where a tokenizer runs."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgewright.runtime.bundle.files import regular_file
from edgewright.runtime.bundle.structure import StructureError, from_plain
from edgewright.runtime.errors import BundleError, InputError, MachineError
from edgewright.runtime.text.pieces import pieces_of, steps_of, takes_pieces

TEXT_SUFFIXES = frozenset({".txt"})
"""Endings of file names, lower case, that a directory of texts is searched for."""

POLICIES = ("truncate", "refuse")
"""What is done about a text of more tokens than the model takes: keep the first ones, or say no."""

_LARGEST_FILE = 64 << 20

_AT_ONCE = 1 << 18
"""Characters of a text that are read together; a longer one is read in pieces."""


_BPE = re.compile(rb'"type"\s*:\s*"BPE"')
_PREFIX = re.compile(rb'"continuing_subword_prefix"\s*:\s*"[^"]')


@dataclass(frozen=True)
class TextSettings:
    """How text becomes tensors; it stands in the manifest as `processor`, the tokenizer beside it as an asset.

    Raises `ValueError` for settings that no text can meet.
    """

    max_tokens: int
    policy: str = "truncate"

    def __post_init__(self) -> None:
        if self.max_tokens < 1:
            raise ValueError(f"max_tokens {self.max_tokens} must be 1 or more")
        if self.policy not in POLICIES:
            raise ValueError(f"policy {self.policy!r} is not one of {', '.join(POLICIES)}")


def text_settings(processor: Mapping[str, Any]) -> TextSettings:
    """The settings from a manifest's `processor`. Raises `BundleError` naming what is wrong."""
    try:
        return from_plain(TextSettings, dict(processor), "processor")
    except (StructureError, ValueError) as error:
        raise BundleError(
            f"the text settings cannot be used: {error}: get a fresh copy of the bundle"
        ) from None


def load_tokenizer(content: bytes) -> Any:
    """The tokenizer of a tokenizer.json, without truncation or padding of its own. Raises `BundleError`."""
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise MachineError(f"tokenizers cannot be used ({error}): pip install tokenizers") from None
    try:
        _check_merges(content)
        tokenizer = Tokenizer.from_str(content.decode("utf-8"))
    except Exception as error:  # it raises plain exceptions
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise BundleError(
            f"tokenizer.json cannot be used ({reason}): get a fresh copy of the bundle"
        ) from None
    _check_unknown(tokenizer)
    _check_template(tokenizer)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _check_merges(content: bytes) -> None:
    """Raise `ValueError` where what is merged is shorter than the prefix of what goes on: the library would panic."""
    if not (
        _BPE.search(content) and _PREFIX.search(content)
    ):  # nearly all: the document is read once, not twice
        return
    model = json.loads(content)["model"]
    prefix = model["continuing_subword_prefix"]
    for merge in model["merges"]:
        first, second = merge.split(" ") if isinstance(merge, str) else merge
        if len(second.encode()) < len(prefix.encode()):
            raise ValueError(f"the merge of {first!r} and {second!r} is shorter than the prefix {prefix!r}")


def _check_unknown(tokenizer: Any) -> None:
    """Raise `BundleError` where there is no token for unknown words: the library would fail at the first of them."""
    model = tokenizer.model
    if type(model).__name__ in ("WordLevel", "WordPiece") and model.token_to_id(model.unk_token) is None:
        raise BundleError(
            f"tokenizer.json cannot be used (its words lack {model.unk_token!r}): get a fresh copy of the bundle"
        )


def _check_template(tokenizer: Any) -> None:
    """Raise `BundleError` for marks around a text that are not known: the library would panic at the first text."""
    for step in steps_of(tokenizer.post_processor):
        if step["type"] != "TemplateProcessing":
            continue
        named = [
            piece["SpecialToken"]["id"]
            for piece in (*step["single"], *step["pair"])
            if "SpecialToken" in piece
        ]
        unknown = [name for name in named if name not in step["special_tokens"]]
        if unknown:
            raise BundleError(
                f"tokenizer.json cannot be used ({unknown[0]!r} is no special token): get a fresh copy of the bundle"
            )


def load_text(raw: Any) -> str:
    """One raw text: a `str` is the text itself, a `Path` the UTF-8 file that holds it, bytes are UTF-8.

    Raises `InputError` for a file that cannot be read, and for bytes that are not UTF-8.
    """
    name = "the text"
    if isinstance(raw, Path):
        name = str(raw)
        regular_file(raw, "a .txt file")
        try:
            if raw.stat().st_size > _LARGEST_FILE:
                raise InputError(f"{raw} is larger than {_LARGEST_FILE >> 20} MiB: split it")
            raw = raw.read_bytes()
        except OSError as error:
            raise InputError(f"{raw} cannot be read ({error.strerror or error}): check the path") from None
    if isinstance(raw, (bytes, bytearray)):
        try:
            raw = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise InputError(f"{name} is not UTF-8 text ({error.reason}): save it as UTF-8") from None
    if not isinstance(raw, str):
        raise InputError(f"cannot read a text from {type(raw).__name__}: give a str, or the Path of a file")
    try:
        raw.encode("utf-8")
    except UnicodeEncodeError:
        raise InputError(f"{name} holds half a character (a lone surrogate): clean it first") from None
    return raw.removeprefix("\ufeff")


def encode_text(text: str, tokenizer: Any, settings: TextSettings) -> NDArray[np.int64]:
    """The tokens of a text, int64 [tokens]. Raises `InputError` for none, and for too many where that is refused."""
    tokens = _ids(text, tokenizer, settings)
    shown = repr(text if len(text) <= 40 else f"{text[:37]}...")
    if not tokens:
        raise InputError(f"the text {shown} holds no token: give at least one word")
    if len(tokens) > settings.max_tokens:
        if settings.policy == "refuse":
            raise InputError(
                f"the text {shown} has {len(tokens)} tokens, the model takes {settings.max_tokens}: shorten it, "
                "or train with text.policy: truncate"
            )
        tokens = tokens[: settings.max_tokens]
    return np.array(tokens, np.int64)


def _ids(text: str, tokenizer: Any, settings: TextSettings) -> list[int]:
    """The tokens of a text; of a long one not many more than are kept, where the others do not count."""
    if len(text) <= _AT_ONCE or tokenizer.post_processor is not None or not takes_pieces(tokenizer):
        whole: list[int] = tokenizer.encode(text).ids
        return whole
    found: list[int] = []
    for _, piece in pieces_of(text):
        found += tokenizer.encode(piece).ids
        if len(found) > settings.max_tokens and settings.policy != "refuse":
            break
    return found
