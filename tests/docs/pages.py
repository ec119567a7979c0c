"""The written pages as tests read them: fenced blocks in their order, and the commands in them."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
DOCS = ROOT / "docs"

PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md")))
TUTORIALS = sorted((DOCS / "tutorials").glob("*.md"))

_FENCE = re.compile(r'^```(\w*)(?: title="([^"]+)")?\n(.*?)^```$', flags=re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, the name of the file that it is (or nothing), and its text."""

    kind: str
    title: str
    text: str


def blocks_of(page: Path) -> list[Block]:
    """Every fenced block of a page, in order."""
    return [Block(*found) for found in _FENCE.findall(page.read_text(encoding="utf-8"))]


def name_of(page: Path) -> str:
    """What a test about a page is called by."""
    return page.relative_to(ROOT).as_posix()


def calls_in(text: str) -> list[tuple[list[str], list[str]]]:
    """Every `$ command` of a console block, as words, with the lines that are shown below it."""
    found: list[tuple[list[str], list[str]]] = []
    for line in text.replace("\\\n", "").splitlines():
        if line.startswith("$ "):
            found.append((shlex.split(line[2:]), []))
        elif found:
            found[-1][1].append(line)
    return found


def commands_of(page: Path) -> list[list[str]]:
    """Every `edgewright ...` of a page: in blocks, behind a prompt or not, and between backticks."""
    text = page.read_text(encoding="utf-8")
    fenced = "\n".join(block.text for block in blocks_of(page)).replace("\\\n", " ")
    lines = re.findall(r"^(?:\$ )?(edgewright .*)$", fenced, flags=re.MULTILINE)
    lines += re.findall(r"`(edgewright [^`\n]*)`", text)
    return [shlex.split(line.replace("[", "").replace("]", ""), comments=True) for line in lines]
