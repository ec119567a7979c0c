"""What a raw text may be where an encoder reads it: the text, a pair, a question, words; files and their lines."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from edgewright.runtime.bundle.structure import StructureError, parse_json
from edgewright.runtime.errors import InputError
from edgewright.runtime.inputs import Unreadable
from edgewright.runtime.text.decoding import load_text
from edgewright.runtime.text.raw import Question, TextPair, Words
from edgewright.runtime.text.text_rows import ROW_READERS, RowReader, json_input

_BOM = "\ufeff"


def read_parts(raw: Any, names: Sequence[str], columns: Sequence[str] = ()) -> tuple[str, ...]:
    """A raw input as its texts, one for each of `names`; `columns` are other names for them.

    Raises `InputError` for what cannot be read, and for a missing part.
    """
    if isinstance(raw, Unreadable):
        raise InputError(raw.reason)
    if isinstance(raw, Path) and raw.suffix.lower() == ".json":
        raw = _read_json(raw)
    if isinstance(raw, Path) and raw.suffix.lower() in ROW_READERS:
        raise InputError(f"{raw} holds many inputs: give its lines, engine.task.inputs(path) reads them")
    if isinstance(raw, TextPair):
        raw = {names[0]: raw.first, names[-1]: raw.second}
        if len(names) != 2:
            raise InputError("this model reads one text, not two: give a str")
    elif isinstance(raw, Question):
        if tuple(names) != ("question", "context"):
            raise InputError("this model answers no questions: give the text alone")
        raw = {"question": raw.question, "context": raw.context}
    if isinstance(raw, Mapping):
        found = []
        for place, name in enumerate(names):
            keys = [name, *columns[place : place + 1]]
            key = next((key for key in keys if key in raw), None)
            if key is None:
                has = ", ".join(map(str, raw)) or "nothing"
                raise InputError(f"the input has no {keys[-1]!r}, it has {has}: add it")
            found.append(_text(raw[key], str(key)))
        return tuple(found)
    if len(names) != 1:
        called = columns if len(columns) == len(names) else names
        given = ", ".join(f'"{name}": ...' for name in called)
        raise InputError(f"this model reads {' and '.join(called)} together: give {{{given}}}")
    return (_text(raw, "the text"),)


def read_words(raw: Any) -> tuple[str, ...] | None:
    """The words of a raw input that is cut into words; None for any other.

    Raises `InputError` for words that are empty, hold white space, or are no text.
    """
    if isinstance(raw, Path) and raw.suffix.lower() == ".json":
        raw = _read_json(raw)
    if isinstance(raw, Mapping):
        raw = raw.get("tokens", raw.get("words"))
    elif isinstance(raw, Words):
        raw = raw.words
    else:
        return None
    if raw is None:
        return None
    if not isinstance(raw, (list, tuple)):
        raise InputError(f"the words are {type(raw).__name__}: give a list of str")
    words = tuple(_text(word, "a word") for word in raw)
    if not words:
        raise InputError("the input has no words: give at least one")
    for word in words:
        if word.split() != [word]:
            raise InputError(f"the word {word!r} is empty or holds white space: give each word by itself")
    return words


def raw_json(parts: Mapping[str, str | Sequence[str]]) -> bytes:
    """Texts by name as the content of a .json file that is read to the same texts."""
    return json.dumps(parts, ensure_ascii=False, sort_keys=True).encode("utf-8")


def files_with_texts(pair: bool, readers: Mapping[str, RowReader] = ROW_READERS) -> frozenset[str]:
    """Endings of the files that hold texts: .json and, unless they come in pairs, .txt hold one, the others many."""
    return frozenset({*readers, ".json", *(() if pair else (".txt",))})


def file_texts(path: Path, readers: Mapping[str, RowReader] = ROW_READERS) -> Iterable[tuple[str, Any]]:
    """The raw inputs of a file: one, or where it is a table one of each row."""
    reader = readers.get(path.suffix.lower())
    return [(str(path), path)] if reader is None else list(reader(path))


def typed_text(word: str, pair: bool) -> Any:
    """A text as it was typed; pairs are written as JSON."""
    return json_input(word, "the input") if pair and word.lstrip().startswith("{") else word


def _read_json(path: Path) -> Any:
    try:
        value = parse_json(load_text(path))
    except StructureError as error:
        raise InputError(f"{path}: {error}: mend the file") from None
    if not isinstance(value, (dict, str)):
        raise InputError(f"{path} is no object and no text: write {{column: text}}")
    return value


def _text(raw: Any, name: str) -> str:
    if isinstance(raw, str):
        # A text in memory is taken as it is; only a file begins with a byte order mark.
        return load_text(_BOM + raw if raw.startswith(_BOM) else raw)
    if isinstance(raw, (Path, bytes, bytearray)):
        return load_text(raw)
    raise InputError(f"{name} is {type(raw).__name__}: give a str, or the Path of a file")
