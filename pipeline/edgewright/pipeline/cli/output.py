"""How results reach the terminal: text or JSON on stdout, messages and progress on stderr."""

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

import click

from edgewright.pipeline.progress import Progress, silent
from edgewright.runtime.bundle.files import canonical_json
from edgewright.runtime.bundle.structure import to_plain
from edgewright.runtime.printable import printable

_LINES = "\n"
"""What a text for the terminal may hold beside what prints; names of others have lost theirs before they got here."""


def message(text: str) -> None:
    """A line for the person, on stderr."""
    click.echo(printable(text, _LINES), err=True)


def emit(value: Any, as_json: bool, text: str) -> None:
    """Print `value` as JSON or `text`, on stdout."""
    click.echo(canonical_json(to_plain(value)) if as_json else printable(text, _LINES), nl=not as_json)


@contextlib.contextmanager
def progress_bars() -> Iterator[Progress]:
    """Yield a `Progress` that draws one bar per kind of work on stderr; it draws nothing when stderr is no terminal."""
    if not sys.stderr.isatty():
        yield silent
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
        tasks: dict[str, Any] = {}

        def update(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total or None)
            bars.update(tasks[what], completed=done, total=total or None)

        yield update
