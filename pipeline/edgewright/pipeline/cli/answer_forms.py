"""The forms in which `edgewright predict` writes answers on stdout: for a person, for a program, for a table.

Each is written as answers come, and none holds more than one of them.
"""

import abc
import csv
import io
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import click

from edgewright.runtime import Engine
from edgewright.runtime.bundle.files import canonical_json
from edgewright.runtime.printable import printable, printable_json
from edgewright.runtime.tasks.answers import Answer


@dataclass(frozen=True)
class Answered:
    """An input and what came of it: its answer, or the error that is said of it.

    `columns` are those of the table that the input stood in, `step` how many pieces had been pushed where it was
    streamed, `files` where the files of the answer went.
    """

    name: str
    answer: Answer | None = None
    error: str = ""
    columns: Mapping[str, Any] = field(default_factory=dict)
    step: int | None = None
    files: tuple[str, ...] = ()

    def record(self, top: int) -> dict[str, Any]:
        """As plain JSON values."""
        plain: dict[str, Any] = {"input": self.name}
        if self.step is not None:
            plain["step"] = self.step
        if self.columns:
            plain["columns"] = dict(self.columns)
        if self.answer is None:
            return {**plain, "error": self.error}
        plain |= self.answer.to_json(top)
        return {**plain, "files": list(self.files)} if self.files else plain


class Form(abc.ABC):
    """One form; `top` is how many of ranked things are wanted."""

    def __init__(self, engine: Engine, top: int) -> None:
        self.engine, self.top = engine, top

    @abc.abstractmethod
    def write(self, found: Answered) -> None:
        """Write one input's outcome."""

    def end(self) -> str:
        """What comes behind all answers."""
        return ""


class Lines(Form):
    """A line for each answer, for a person; what failed stands on stderr alone."""

    def write(self, found: Answered) -> None:
        if found.answer is not None:
            name = printable(found.name)
            where = name if found.step is None else f"{name}  step {found.step}"
            click.echo("  ".join((where, found.answer.line(self.top), *found.files)))


class Bare(Form):
    """What is decided and nothing else; an empty line for what failed, so that lines and inputs stay side by side."""

    def write(self, found: Answered) -> None:
        click.echo("" if found.answer is None else found.answer.bare())


class JsonLines(Form):
    """A JSON object on each line."""

    def write(self, found: Answered) -> None:
        click.echo(printable_json(json.dumps(found.record(self.top), ensure_ascii=False, sort_keys=True)))


class Json(Form):
    """One JSON document, the bytes of `canonical_json` of the whole."""

    _begun = False

    def write(self, found: Answered) -> None:
        record = printable_json(canonical_json(found.record(self.top))).rstrip("\n").replace("\n", "\n    ")
        click.echo(("," if self._begun else '{\n  "answers": [') + f"\n    {record}", nl=False)
        self._begun = True

    def end(self) -> str:
        engine = {"provider": self.engine.provider, "variant": self.engine.variant}
        rest = canonical_json(engine).removeprefix("{\n")
        return ("\n  ],\n" if self._begun else '{\n  "answers": [],\n') + rest


class Csv(Form):
    """A table: the input, the columns that it came with, the answer, what went wrong."""

    def __init__(self, engine: Engine, top: int) -> None:
        super().__init__(engine, top)
        self._columns: tuple[str, ...] | None = None
        self._waiting: list[Answered] = []
        """What failed before the first answer has told the columns."""

    def write(self, found: Answered) -> None:
        if self._columns is None and found.answer is None:
            self._waiting.append(found)
            return
        if self._columns is None:
            self._begin(found)
        self._row(found)

    def _begin(self, found: Answered) -> None:
        """The names of the columns, each of which occurs once: those of the answer give way."""
        self._columns = tuple(found.columns)
        names = list(self._columns)
        cells = {} if found.answer is None else found.answer.cells(self.top)
        own = ["input", *([] if found.step is None else ["step"])]
        for name in (*own, *cells, "error"):
            names.append(_free(name, names))
        first, rest = (
            names[len(self._columns) : len(self._columns) + len(own)],
            names[len(self._columns) + len(own) :],
        )
        self._write([*first, *self._columns, *rest])
        self._width = len(cells)
        for earlier in self._waiting:
            self._row(earlier)

    def _row(self, found: Answered) -> None:
        columns = self._columns or ()
        other = [name for name in found.columns if name not in columns]
        error = found.error
        if other and not error:
            error = f"it has the column {other[0]!r}, which the first input has not: its cell is left out"
        cells = [""] * self._width if found.answer is None else list(found.answer.cells(self.top).values())
        step = [] if found.step is None else [found.step]
        self._write([found.name, *step, *(found.columns.get(name, "") for name in columns), *cells, error])

    def _write(self, cells: list[Any]) -> None:
        buffer = io.StringIO()
        csv.writer(buffer, lineterminator="\n").writerow(map(_text, cells))
        _echo_data(buffer.getvalue())

    def end(self) -> str:
        if self._columns is None and self._waiting:
            self._begin(Answered(""))
        return ""


class Own(Form):
    """A form that the task names."""

    def __init__(self, engine: Engine, top: int, form: str) -> None:
        super().__init__(engine, top)
        self._form = form

    def write(self, found: Answered) -> None:
        if found.answer is not None:
            _echo_data(found.answer.written(self._form))


def _echo_data(text: str) -> None:
    """Text for a program, which gets it as it is; on a terminal without what could steer that."""
    click.echo(printable(text, "\n\t") if sys.stdout.isatty() else text, nl=False)


FORMS: Mapping[str, type[Form]] = {"json": Json, "jsonl": JsonLines, "csv": Csv, "label": Bare}
"""The forms that every task has, by the word of `--format`."""


def open_form(name: str, engine: Engine, top: int) -> Form:
    """The form of this name, "" for the lines that a person reads. Raises `click.BadParameter` for one that is not
    known.
    """
    if not name:
        return Lines(engine, top)
    if name in FORMS:
        return FORMS[name](engine, top)
    if name in engine.task.formats:
        return Own(engine, top, name)
    known = ", ".join((*FORMS, *engine.task.formats))
    raise click.BadParameter(f"{name!r} is none of {known}", param_hint="'--format'")


def _free(name: str, taken: list[str]) -> str:
    while name in taken:
        name = f"predicted_{name}"
    return name


def _text(cell: Any) -> str:
    if cell is None:
        return ""
    if isinstance(cell, (str, int, float)):
        return str(cell)
    return json.dumps(cell, ensure_ascii=False)
