"""Files of the CoNLL form, the only place where they are read: a word and its tag on each line."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from edgewright.runtime.errors import InputError

CONLL_SUFFIXES: Mapping[str, str] = dict.fromkeys((".conll", ".bio", ".iob", ".txt", ".tsv"), "conll")
"""Ending of the name of a file of sentences, lower case, to its form; a .tsv has no header here."""

_BETWEEN = re.compile(r"[ \t]+")
_COMMENT = re.compile(r"#\s*([\w.]+)\s*=\s*(.*)")
_DOCUMENT = "-DOCSTART-"


@dataclass(frozen=True)
class Sentence:
    """The words of a sentence, their tags, the line of each, and its text where a comment "# text = ..." has it."""

    words: tuple[str, ...]
    tags: tuple[str, ...]
    lines: tuple[int, ...]
    text: str = ""


def conll_sentences(path: Path) -> Iterator[Sentence]:
    """Each sentence: the first and the last column, sentences parted by empty lines.

    Raises `InputError` naming the line.
    """
    found: list[tuple[str, str, int]] = []
    text = ""
    for number, line in enumerate(_lines(path), 1):
        comment = _COMMENT.match(line)
        if comment is not None:
            text = comment[2].strip() if comment[1] == "text" else text
            continue
        cells = _cells(line)
        if not line.strip() or cells[0] == _DOCUMENT:
            if found:
                yield _sentence(found, text)
            found, text = [], ""
            continue
        if len(cells) < 2 or not cells[0] or not cells[-1]:
            raise InputError(
                f"{path.name}, line {number} has {'one column' if len(cells) < 2 else 'an empty cell'}: "
                "write a word and its tag, with white space between them"
            )
        found.append((cells[0], cells[-1], number))
    if found:
        yield _sentence(found, text)


def _sentence(found: list[tuple[str, str, int]], text: str) -> Sentence:
    words, tags, lines = zip(*found, strict=True)
    return Sentence(words, tags, lines, text)


def _cells(line: str) -> list[str]:
    if "\t" in line:
        return [cell.strip(" ") for cell in line.split("\t")]
    return _BETWEEN.split(line.strip(" "))


def _lines(path: Path) -> Iterator[str]:
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    yield line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
                except UnicodeDecodeError as error:
                    raise InputError(
                        f"{path.name}, line {number} is not UTF-8 text ({error.reason}): save the file as UTF-8"
                    ) from None
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror or error}): check the file") from None
