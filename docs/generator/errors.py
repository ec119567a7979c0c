"""The page of errors and exit statuses, from the classes of `edgewright.runtime.errors` and the commands' help."""

import inspect
import re
from collections.abc import Iterator

import edgewright.runtime
from docs.generator.commands import programs
from docs.generator.markdown import GENERATED, sentence, table
from edgewright.runtime import errors
from edgewright.runtime.errors import EdgewrightError

_INTRO = """\
# Errors

A message is one line: what is wrong, where, and what to do. On the command line it goes to stderr, behind
`edgewright: `. In Python it is an `EdgewrightError`; those that the device part raises can be imported from
`edgewright.runtime`.

A line that begins with `edgewright: internal error` is a defect of edgewright. `EDGEWRIGHT_DEBUG=1` shows the traceback
behind any line.
"""

_STATUS = """\
## Exit statuses

"""


def page() -> str:
    """The whole page."""
    parts = [GENERATED, _INTRO, table(("class", "when", "imported from `edgewright.runtime`"), _rows())]
    parts += [_STATUS + table(("command", "what its help says of the exit status"), _statuses())]
    parts.append(
        "130: interrupted by Ctrl-C. Nothing that was written before is lost, the same command continues.\n"
    )
    return "\n".join(parts)


def _rows() -> Iterator[tuple[str, str, str]]:
    for name, kind in vars(errors).items():
        if inspect.isclass(kind) and issubclass(kind, EdgewrightError):
            public = "yes" if name in edgewright.runtime.__all__ else ""
            yield f"`{name}`", sentence(kind.__doc__ or ""), public


def _statuses() -> Iterator[tuple[str, str]]:
    for name, command in programs():
        said = re.split(r"(?<=[.:]) ", " ".join((command.help or "").split()))
        found = [text for text in said if re.search(r"exit status|\d .*, \d ", text, re.IGNORECASE)]
        if found:
            yield f"`{name}`", " ".join(found)
