"""What a word on the command line or a folder stands for, where files are raw inputs: one rule for training and device.

Nothing is passed over in silence: what of a folder is no raw input comes as `Unreadable`, with the reason.
"""

import contextlib
import errno
import glob
import os
import re
import shutil
import sys
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from edgewright.runtime.errors import InputError

Named = tuple[str, Any]
"""A raw input and what it is called: its path, and the line where a file holds many."""

_STANDARD_INPUT = frozenset({"-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"})
_JUNK = frozenset({"thumbs.db", "desktop.ini", "__macosx"})
_ENDING = re.compile(
    r"(?i).+\.(bio|bmp|conll|csv|docx?|flac|gif|html?|iob|jpe?g|jsonl?|log|md|mp3|ndjson|npz|ogg|parquet|pdf|png|pq|"
    r"tiff?|tsv|txt|wav|webp|xlsx?|xml|ya?ml)"
)
"""A word that ends like the name of a file; "amazon.com" and "U.S." do not."""

_LONGEST_PATH = 4096


class InputReader(Protocol):
    """What files hold for a task."""

    @property
    def noun(self) -> str:
        """What one raw input is called ("image")."""

    @property
    def suffixes(self) -> Collection[str]:
        """Endings of the names of files with raw inputs, lower case."""

    @property
    def reads_text(self) -> bool:
        """Whether a raw input that is a `str` is the text itself."""

    def inputs_of(self, path: Path) -> Iterable[Named]:
        """The raw inputs of one file."""

    def typed(self, word: str) -> Any:
        """A text as it was typed, as a raw input."""


@dataclass(frozen=True)
class Unreadable:
    """What is no raw input, such as a row that is broken; answering it raises `InputError` with `reason`."""

    reason: str


def is_directory(path: str | Path) -> bool:
    """Whether `path` is a folder; False for a name that no file can have."""
    try:
        return str(path) != "" and Path(path).is_dir()
    except (OSError, ValueError):  # too long, or with a zero in it; whoever opens it says so in better words
        return False


def is_junk(name: str) -> bool:
    """Whether a file or folder of this name is hidden, or what systems leave behind: nobody means it."""
    return name.startswith(".") or name.lower() in _JUNK


def visible_files(folder: Path) -> list[Path]:
    """Every visible file below `folder`, sorted; links are followed, each folder once. Raises `OSError`."""
    found: list[Path] = []
    visited: set[str] = set()

    def fail(error: OSError) -> None:
        raise error  # by itself, os.walk passes over a folder it cannot read

    for directory, folders, files in os.walk(folder, onerror=fail, followlinks=True):
        here = os.path.realpath(directory)
        if here in visited:
            folders.clear()
            continue
        visited.add(here)
        folders[:] = sorted(name for name in folders if not is_junk(name))
        found += [Path(directory) / name for name in files if not is_junk(name)]
    return sorted(found, key=Path.as_posix)


def suffix_reason(path: Path, noun: str, suffixes: Collection[str]) -> str | None:
    """Why a file cannot be used whose name ends in none of `suffixes`; None where it does."""
    if path.suffix.lower() in suffixes:
        return None
    article = "an" if noun[0] in "aeiou" else "a"
    return f"does not end like {article} {noun} ({', '.join(sorted(suffixes))}): rename, convert or remove it"


def folder_inputs(reader: InputReader, folder: Path) -> Iterator[Named]:
    """The raw inputs of a folder's visible files, in the order of their paths."""
    try:
        files = visible_files(folder)
    except OSError as error:
        reason = f"{error.filename or folder} cannot be read ({error.strerror}): check its permissions"
        yield str(folder), Unreadable(reason)
        return
    if not files:
        wanted = ", ".join(sorted(reader.suffixes))
        yield str(folder), Unreadable(f"no {reader.noun} in {folder}: give a folder with {wanted} files")
    for path in files:
        reason = suffix_reason(path, reader.noun, reader.suffixes) or ""
        if reason:
            yield str(path), Unreadable(f"{path} {reason}")
        else:
            yield from reader.inputs_of(path)


def word_inputs(reader: InputReader, word: str, stdin_format: str = "") -> Iterator[Named]:
    """What one word on the command line stands for, file by file.

    A file, a folder, a pattern ("*.png"), "@FILE" for a list of those, "-" for standard input, and where the task reads
    text anything else is the text itself. `stdin_format` is the ending ("csv") of a file that standard input is read
    as; without it, texts are read line by line, others as one file.
    """
    if word in _STANDARD_INPUT or _is_pipe(word):
        yield from _piped(reader, word, stdin_format.lower().removeprefix("."))
        return
    found = list(_on_disk(word))
    if found:
        for path in found:
            yield from folder_inputs(reader, path) if is_directory(path) else reader.inputs_of(path)
    elif word.startswith("@") and _one_word(word):
        yield from _listed(reader, word.removeprefix("@"))
    elif not reader.reads_text:
        yield from reader.inputs_of(Path(word))
    elif _looks_like_a_path(word):
        reason = (
            f"{word!r} looks like the path of a file, and there is none: check the path, or, if it is a text, "
            "give it on standard input, as -"
        )
        yield word, Unreadable(reason)
    else:
        yield word, reader.typed(word)


def _on_disk(word: str) -> Iterator[Path]:
    """The files and folders that a word names: one, or those that match a pattern."""
    if not word or len(word) > _LONGEST_PATH or "\0" in word:
        return
    try:
        if os.path.lexists(word):
            yield Path(word)
        elif glob.has_magic(word) and (_looks_like_a_path(word) or _one_word(word)):
            # Path.glob takes no pattern that begins at the root.
            yield from map(Path, sorted(glob.glob(word, recursive=True)))  # noqa: PTH207
    except OSError:  # a name that no file can have
        return


def _is_pipe(word: str) -> bool:
    """Whether a word names a pipe, such as that of a shell's `<(command)`."""
    try:
        return Path(word).is_fifo()
    except (OSError, ValueError):
        return False


def _one_word(word: str) -> bool:
    return not any(character.isspace() for character in word)


def _looks_like_a_path(word: str) -> bool:
    """Whether a word that names nothing is rather a mistyped path than a text."""
    if len(word) > _LONGEST_PATH or "\0" in word or "://" in word:
        return False
    if _one_word(word) and (_ENDING.fullmatch(word) or word.startswith(("/", "./", "../", "~/"))):
        return True
    if _one_word(word) and word.isascii():  # many a script writes whole sentences without a space
        return "/" in word or os.sep in word
    parent = Path(word).parent
    return parent not in (Path(), Path("/")) and is_directory(parent)


def _listed(reader: InputReader, source: str) -> Iterator[Named]:
    """The inputs of a list: a file, a folder or a pattern on each line."""
    try:
        with _opened(source) as file:
            content = file.read()
        lines = content.decode("utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or getattr(error, "reason", None) or error
        yield f"@{source}", Unreadable(f"the list {source!r} cannot be read ({reason}): check the path")
        return
    words = [line.strip() for line in lines if line.strip()]
    if not words:
        yield f"@{source}", Unreadable(f"the list {source!r} is empty: write a path on each line")
    for word in words:
        if any(True for _ in _on_disk(word)):
            yield from word_inputs(reader, word)
        else:
            yield word, Unreadable(f"{word} does not exist: check the path in the list {source!r}")


@contextlib.contextmanager
def _opened(source: str) -> Iterator[BinaryIO]:
    """Standard input where it is meant, else a file. Raises `OSError`."""
    if source not in _STANDARD_INPUT:
        with Path(source).open("rb") as file:
            yield file
    elif sys.stdin is None:  # so Python says that it is closed
        raise OSError(errno.EBADF, "standard input is closed")
    else:
        yield sys.stdin.buffer


def _piped(reader: InputReader, word: str, form: str) -> Iterator[Named]:
    """The raw inputs that come through standard input or a pipe."""
    name = "-" if word in _STANDARD_INPUT else word
    what = "standard input" if word in _STANDARD_INPUT else word
    try:
        with _opened(word) as file:
            lines = not form and reader.reads_text
            yield from _lines(reader, file, name, what) if lines else _spooled(reader, file, name, what, form)
    except OSError as error:
        yield name, Unreadable(f"{what} cannot be read ({error.strerror or error}): give a file")


def _spooled(reader: InputReader, source: BinaryIO, called: str, what: str, form: str) -> Iterator[Named]:
    """The raw inputs of what a pipe brings, read as one file."""
    suffix = f".{form}" if form else ""
    if form and suffix not in reader.suffixes:
        known = ", ".join(sorted(one.removeprefix(".") for one in reader.suffixes))
        raise InputError(f"standard input cannot be read as {form!r}: choose one of {known}")
    if not suffix and len(reader.suffixes) and ".csv" in reader.suffixes:
        suffix = ".csv"  # of tables, which nothing but the ending tells apart
    import tempfile  # few need it, and it takes some milliseconds

    with tempfile.TemporaryDirectory(prefix="edgewright-") as folder:
        path = Path(folder) / f"input{suffix}"
        with path.open("wb") as file:
            shutil.copyfileobj(source, file, 1 << 20)
        if not path.stat().st_size:
            yield called, Unreadable(f"{what} is empty: give a file's content")
            return
        for name, raw in reader.inputs_of(path):
            if isinstance(raw, Unreadable):
                raw = Unreadable(raw.reason.replace(str(path), what))
            elif raw == path:
                raw = path.read_bytes()  # the file is gone when it is answered
            yield name.replace(str(path), called), raw


def _lines(reader: InputReader, source: BinaryIO, called: str, what: str) -> Iterator[Named]:
    """Every line that is not empty, as a text."""
    number = 0
    for number, line in enumerate(source, 1):
        name = f"{called}:{number}"
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8").strip()
        except UnicodeDecodeError as error:
            yield (
                name,
                Unreadable(f"{what}, line {number} is not UTF-8 text ({error.reason}): mend it"),
            )
            continue
        if text:
            yield name, reader.typed(text)
    if not number:
        yield called, Unreadable(f"{what} is empty: write a text on each line")
