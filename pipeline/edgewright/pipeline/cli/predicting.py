"""The work of `edgewright predict`: which inputs, answers in order, one bad input never hides the others."""

import re
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import click

from edgewright.pipeline.cli.answer_forms import Answered, Form, open_form
from edgewright.pipeline.cli.output import message
from edgewright.runtime import Engine
from edgewright.runtime.bundle.files import write_bytes
from edgewright.runtime.errors import InputError, MachineError
from edgewright.runtime.inputs import Unreadable
from edgewright.runtime.tasks.answers import Answer

_UNSAFE = re.compile(r"[^\w.-]+")
_LONGEST = 100
"""Letters of a file's name: an input may be a whole text."""

_EVERY_SECONDS = 1.0


@dataclass(frozen=True)
class Request:
    """What `edgewright predict` is asked for.

    `options` are those of the task, `form` a word of `--format`, `folder` is where the files of answers go,
    `stdin_format` what standard input holds.
    """

    words: Sequence[str]
    top: int = 1
    form: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    folder: Path | None = None
    stdin_format: str = ""


def predict_inputs(engine: Engine, request: Request) -> int:
    """Print an answer for each input as it comes and return how many could not be answered."""
    output = _Output(open_form(request.form, engine, request.top), request.folder)
    engine.prepare(**request.options)
    columns: deque[Mapping[str, Any]] = deque()

    def remembered() -> Iterator[tuple[str, Any]]:
        for name, raw in _named(engine, request):
            columns.append(raw if isinstance(raw, Mapping) else {})
            yield name, raw

    with output:
        for name, answer in engine.each(remembered(), **request.options):
            if isinstance(answer, InputError):
                output.failure(name, str(answer), columns.popleft())
            else:
                output.answer(name, answer, columns.popleft())
    return output.failed


def stream_inputs(engine: Engine, request: Request) -> int:
    """Push each input piece by piece, as it would arrive, print the answer after each; return how many inputs failed.

    A piece is a step of a series, or a tenth of a second of sound. An input that fails midway keeps the answers so far.
    """
    output = _Output(open_form(request.form, engine, request.top), request.folder)
    with engine.stream(**request.options) as stream, output:
        for name, raw in _named(engine, request):
            stream.reset()
            answered = False
            try:
                if isinstance(raw, Unreadable):
                    raise InputError(raw.reason)
                for number, piece in enumerate(engine.task.pieces(raw), 1):
                    answer = stream.push(piece)
                    if answer is not None:
                        answered = True
                        output.answer(name, answer, step=number)
                if not answered:
                    raise InputError(f"{name} is too short for an answer: give a longer one")
            except InputError as error:
                output.failure(name, str(error))
    return output.failed


def _named(engine: Engine, request: Request) -> Iterator[tuple[str, Any]]:
    """A name and a raw input for everything that the words stand for, file by file."""
    for word in request.words:
        yield from engine.task.inputs(word, request.stdin_format)


class _Output:
    """Answers on stdout in a form, failures on stderr, the files of answers in a folder, where there is one."""

    def __init__(self, form: Form, folder: Path | None) -> None:
        self._form, self._folder = form, folder
        self._last: dict[str, int] = {}
        """The last number that a name got which was taken."""
        self.failed = self._done = 0
        self._counts = sys.stderr.isatty() and not sys.stdout.isatty()
        self._told = time.monotonic()

    def answer(
        self, name: str, answer: Answer, columns: Mapping[str, Any] | None = None, step: int | None = None
    ) -> None:
        """One answer to the input `name`, after `step` pieces where it was streamed."""
        files = self._write(name, answer, step)
        self._form.write(Answered(name, answer, "", columns or {}, step, tuple(files)))
        self._count()

    def failure(self, name: str, error: str, columns: Mapping[str, Any] | None = None) -> None:
        """What is wrong with the input `name`."""
        self.failed += 1
        message(f"edgewright: {_placed(name, error)}")
        self._form.write(Answered(name, None, error, columns or {}))
        self._count()

    def _count(self) -> None:
        """How far it is, for who looks at stderr while answers go elsewhere."""
        self._done += 1
        if self._counts and time.monotonic() - self._told > _EVERY_SECONDS:
            self._told = time.monotonic()
            click.echo(f"\r{self._done} answered", nl=False, err=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write the end, also where a run of the model failed once something is written, so that it is whole."""
        if error is None or (self._done and isinstance(error, MachineError)):
            click.echo(self._form.end(), nl=False)
        if self._counts and self._done:
            click.echo(f"\r{self._done} inputs, {self.failed} without an answer", err=True)

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
