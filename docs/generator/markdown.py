"""Markdown from the code's own words: tables, and docstrings with their sections."""

import inspect
import re
from collections.abc import Iterable, Sequence

GENERATED = "<!-- Made from the code by `make docs`: edit the code, not this page. -->\n"

_SECTIONS = ("Args", "Attributes", "Returns", "Raises", "Yields")
_TITLES = {"Args": "Arguments"}


def cell(text: str) -> str:
    """A text that may stand in a table."""
    return " ".join(text.split()).replace("|", "\\|")


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; a column in which no row has anything is left out."""
    filled = [[cell(text) for text in row] for row in rows]
    kept = [place for place in range(len(heads)) if any(row[place] for row in filled)]
    lines = [[heads[place] for place in kept], ["---"] * len(kept)]
    lines += [[row[place] for place in kept] for row in filled]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def listed(names: Iterable[str]) -> str:
    """Names as code, with commas."""
    return ", ".join(f"`{name}`" for name in names)


def sentence(text: str) -> str:
    """The first paragraph of a docstring, on one line."""
    return " ".join(inspect.cleandoc(text).partition("\n\n")[0].split())


def prose(docstring: str) -> str:
    """A docstring: its paragraphs as they are, its sections (Args, Raises, ...) as lists."""
    lines: list[str] = []
    inside = False
    for line in inspect.cleandoc(docstring).splitlines():
        section = line.removesuffix(":")
        if line.endswith(":") and section in _SECTIONS:
            lines += [f"{_TITLES.get(section, section)}:", ""]
            inside = True
        elif inside and line.strip():
            lines = _into_list(lines, line)
        else:
            inside = inside and not line.strip()
            lines.append(line)
    return "\n".join(lines).rstrip() + "\n"


def _into_list(lines: list[str], line: str) -> list[str]:
    """An entry of a section ("name: what it is"), or the next line of the one before."""
    entry = re.match(r" {4}(\w+): (.*)", line)
    if entry:
        return [*lines, f"- `{entry[1]}`: {entry[2]}"]
    if lines[-1].startswith(("- ", "  ")):
        return [*lines, f"  {line.strip()}"]
    return [*lines, line.strip()]  # a section that is one sentence
