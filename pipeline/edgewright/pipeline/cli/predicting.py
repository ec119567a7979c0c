"""The work of `edgewright predict`: which inputs, answers in order, one bad input never hides the others."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from edgewright.pipeline.cli.output import message
from edgewright.runtime import Engine
from edgewright.runtime.bundle.files import canonical_json, write_bytes
from edgewright.runtime.errors import InputError
from edgewright.runtime.printable import printable
from edgewright.runtime.tasks.answers import Answer
from edgewright.runtime.tasks.base import Task

_UNSAFE = re.compile(r"[^\w.-]+")
_LONGEST = 100
"""Letters of a file's name: an input may be a whole text."""


def expand_inputs(task: Task[Any], words: Sequence[str]) -> list[tuple[str, Any]]:
    """A name and a raw input for everything that the words stand for, in a stable order.

    A word that stands for nothing stays in the list: answering it then says what is wrong with it.
    """
    found: list[tuple[str, Any]] = []
    for word in words:
        try:
            found += task.inputs(word)
        except InputError:
            found.append((word, Path(word) if task.reads_text else word))  # not the name as a text
    return found


def predict_inputs(
    engine: Engine,
    words: Sequence[str],
    top: int,
    as_json: bool,
    options: Mapping[str, Any] | None = None,
    folder: Path | None = None,
) -> int:
    """Print an answer for each input and return how many could not be answered.

    `options` are those of the task, `folder` is where the files of answers go.
    """
    asked = dict(options or {})
    engine.prepare(**asked)
    out = _Output(engine, top, as_json, folder)
    named = expand_inputs(engine.task, words)
    size = engine.batch_size
    for start in range(0, len(named), size):
        for name, answer, error in _answers(engine, named[start : start + size], asked):
            if error is None:
                out.answer(name, answer)
            else:
                out.failure(name, error)
    out.close()
    return out.failed


def stream_inputs(
    engine: Engine,
    words: Sequence[str],
    top: int,
    as_json: bool,
    options: Mapping[str, Any] | None = None,
    folder: Path | None = None,
) -> int:
    """Push each input piece by piece, as it would arrive, print the answer after each; return how many inputs failed.

    A piece is a step of a series, or a tenth of a second of sound. An input that fails midway keeps the answers so far.
    """
    out = _Output(engine, top, as_json, folder)
    named = expand_inputs(engine.task, words)
    with engine.stream(**(options or {})) as stream:
        for name, raw in named:
            stream.reset()
            answered = False
            try:
                for number, piece in enumerate(engine.task.pieces(raw), 1):
                    answer = stream.push(piece)
                    if answer is not None:
                        answered = True
                        out.answer(name, answer, number)
                if not answered:
                    raise InputError(f"{name} is too short for an answer: give a longer one")
            except InputError as error:
                out.failure(name, str(error))
    out.close()
    return out.failed


def _answers(
    engine: Engine, named: Sequence[tuple[str, Any]], options: Mapping[str, Any]
) -> Iterator[tuple[str, Any, str | None]]:
    try:
        answers = engine([raw for _, raw in named], **options)
    except InputError:
        # Some input of this chunk is bad: find it by answering one at a time.
        for name, raw in named:
            try:
                yield name, engine(raw, **options), None
            except InputError as error:
                yield name, None, str(error)
        return
    for (name, _), answer in zip(named, answers, strict=True):
        yield name, answer, None


class _Output:
    """Answers as lines on stdout as they come, or as one JSON document at the end; failures on stderr; the files of
    answers in a folder, where there is one.
    """

    def __init__(self, engine: Engine, top: int, as_json: bool, folder: Path | None) -> None:
        self._engine, self._top, self._as_json, self._folder = engine, top, as_json, folder
        self._records: list[dict[str, Any]] = []
        self._last: dict[str, int] = {}
        """The last number that a name got which was taken."""
        self.failed = 0

    def answer(self, name: str, answer: Answer, step: int | None = None) -> None:
        """One answer to the input `name`, after `step` pieces where it was streamed."""
        files = self._write(name, answer, step)
        if self._as_json:
            place = {"input": name} if step is None else {"input": name, "step": step}
            more = {"files": files} if files else {}
            self._records.append({**place, **answer.to_json(self._top), **more})
        else:
            where = printable(name) if step is None else f"{printable(name)}  step {step}"
            click.echo("  ".join((where, answer.line(self._top), *files)))

    def _write(self, name: str, answer: Answer, step: int | None) -> list[str]:
        """Write the files of an answer beside what is there already; returns their paths."""
        if self._folder is None:
            return []
        path, line = _place(name)
        numbers = [line[-_LONGEST:]] if line else []
        numbers += [] if step is None else [str(step)]
        stem = "-".join((_cut(_UNSAFE.sub("_", Path(path).stem)) or "answer", *numbers))
        found = []
        for suffix, content in answer.files().items():
            self._folder.mkdir(parents=True, exist_ok=True)
            free = self._free(self._folder, stem, suffix)
            write_bytes(free, content)
            found.append(str(free))
        return found

    def _free(self, folder: Path, stem: str, suffix: str) -> Path:
        """A path that nothing has: an input may lie in the same folder, and may have the same name as another one."""
        name = stem + suffix
        path = folder / name
        while path.exists():
            self._last[name] = self._last.get(name, 1) + 1
            path = folder / f"{stem}-{self._last[name]}{suffix}"
        return path

    def failure(self, name: str, error: str) -> None:
        """What is wrong with the input `name`."""
        self.failed += 1
        message(f"edgewright: {_placed(name, error)}")
        self._records.append({"input": name, "error": error})

    def close(self) -> None:
        """Print the JSON document, where one was asked for."""
        if self._as_json:
            engine = self._engine
            answers = {"variant": engine.variant, "provider": engine.provider, "answers": self._records}
            click.echo(canonical_json(answers), nl=False)


def _cut(name: str) -> str:
    """A name of at most `_LONGEST` bytes, for a file system's sake."""
    return name.encode("utf-8", "replace")[:_LONGEST].decode("utf-8", "ignore")


def _place(name: str) -> tuple[str, str]:
    """The file of an input and the number of its line, which is empty where it is a whole file or no file."""
    path, _, line = name.rpartition(":")
    return (path, line) if path and line.isdigit() else (name, "")


def _placed(name: str, error: str) -> str:
    """The error, behind the line of a file that it is about unless it says that itself."""
    path, line = _place(name)
    return f"{name}: {error}" if line and path not in error else error
