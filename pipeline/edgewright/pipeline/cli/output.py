"""How results reach the terminal: aligned tables or JSON on stdout, messages and progress on stderr."""

import contextlib
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import click

from edgewright.pipeline.progress import Progress, silent
from edgewright.runtime.bundle.files import canonical_json
from edgewright.runtime.bundle.structure import to_plain


def message(text: str) -> None:
    """A line for the person, on stderr."""
    click.echo(text, err=True)


def emit(value: Any, as_json: bool, text: str) -> None:
    """Print `value` as JSON or `text`, on stdout."""
    click.echo(canonical_json(to_plain(value)) if as_json else text, nl=not as_json)


def table(headers: Sequence[str], rows: Sequence[Sequence[object]], right: Sequence[int] = ()) -> str:
    """Plain aligned columns; the columns whose indices are in `right` are flush right."""
    cells = [[str(cell) for cell in row] for row in (headers, *rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(headers))]
    lines = [
        "  ".join(
            cell.rjust(width) if index in right else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


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
