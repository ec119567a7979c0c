"""How results reach the terminal: text or JSON on stdout, messages and progress on stderr."""

import contextlib
import logging
import sys
from collections.abc import Iterator
from typing import Any, TextIO

import click

from edgewright.pipeline.progress import Progress, silent
from edgewright.runtime.bundle.files import canonical_json
from edgewright.runtime.bundle.structure import to_plain
from edgewright.runtime.printable import printable, printable_json

_LINES = "\n"
"""What a text for the terminal may hold beside what prints; names of others have lost theirs before they got here."""


def message(text: str) -> None:
    """A line for the person, on stderr."""
    click.echo(printable(text, _LINES), err=True)


def emit(value: Any, as_json: bool, text: str) -> None:
    """Print `value` as JSON or `text`, on stdout."""
    shown = printable_json(canonical_json(to_plain(value))) if as_json else printable(text, _LINES)
    click.echo(shown, nl=not as_json)


@contextlib.contextmanager
def progress_bars() -> Iterator[Progress]:
    """Yield a `Progress` that draws a bar for the work that is under way on stderr, and messages above it; it draws
    nothing when stderr is no terminal.
    """
    if not sys.stderr.isatty():
        yield silent
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars, _messages_to(sys.stderr):
        shown: dict[str, Any] = {}

        def update(what: str, done: int, total: int, note: str = "") -> None:
            if what not in shown:
                for other in (
                    shown.values()
                ):  # however many kinds of work there are, a small terminal has room for one
                    bars.remove_task(other)
                shown.clear()
                shown[what] = bars.add_task(what, total=total or None)
            text = f"{what}, {note}" if note else what
            bars.update(shown[what], description=text, completed=done, total=total or None)

        yield update


@contextlib.contextmanager
def _messages_to(stream: TextIO) -> Iterator[None]:
    """Let messages go to what stderr is while bars are drawn: there they come above the bars, not into them."""
    handlers = [
        handler
        for handler in logging.getLogger("edgewright").handlers
        if isinstance(handler, logging.StreamHandler)
    ]
    before = [handler.setStream(stream) for handler in handlers]
    try:
        yield
    finally:
        for handler, former in zip(handlers, before, strict=True):
            if former is not None:
                handler.setStream(former)
