"""Tables and CoNLL files as raw inputs of a token classifier, which reads texts as well as words."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from edgewright.runtime.bundle.files import regular_file
from edgewright.runtime.errors import InputError
from edgewright.runtime.inputs import Unreadable
from edgewright.runtime.tables.delimited import read_header
from edgewright.runtime.text.conll import CONLL_SUFFIXES, conll_sentences
from edgewright.runtime.text.raw import Words
from edgewright.runtime.text.text_rows import ROW_READERS, RowReader, table_rows

_WORDS = ("tokens", "words")


def _tagged_table(path: Path) -> Iterator[tuple[str, Any]]:
    """The rows of a table; words that stand in one cell are parted by spaces, as in training."""
    return ((name, _apart(raw)) for name, raw in table_rows(path))


def _apart(raw: Any) -> Any:
    if not isinstance(raw, dict):
        return raw
    # Where there is a text as well, it is what is read in place of an empty cell.
    kept = {name: cell for name, cell in raw.items() if cell != "" or name not in _WORDS or "text" not in raw}
    return {
        name: cell.split() if name in _WORDS and isinstance(cell, str) else cell
        for name, cell in kept.items()
    }


def _sentences(path: Path) -> Iterator[tuple[str, Any]]:
    """The words of each sentence, by the path and its first line; a .tsv may be a table as well."""
    found = False
    try:
        regular_file(path, "a file")
        if path.suffix.lower() == ".tsv" and _is_table(path):
            yield from _tagged_table(path)
            return
        for one in conll_sentences(path):
            found = True
            yield f"{path}:{one.lines[0]}", Words(one.words)
    except (InputError, OSError) as error:
        yield str(path), Unreadable(str(error))
    else:
        if not found:
            yield (
                str(path),
                Unreadable(f"{path} holds no sentence: give lines with a word and its tag"),
            )


def _is_table(path: Path) -> bool:
    """Whether the first line names a column that is read here."""
    try:
        return not {"text", *_WORDS}.isdisjoint(read_header(path).names)
    except InputError:  # no names of columns, such as "-DOCSTART- O O"
        return False


TAGGED_READERS: Mapping[str, RowReader] = {
    **dict.fromkeys(ROW_READERS, _tagged_table),
    **{suffix: _sentences for suffix in CONLL_SUFFIXES if suffix != ".txt"},  # which holds one text
}
"""Ending of the name of a file that holds many inputs of a token classifier, to what reads it."""
