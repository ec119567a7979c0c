"""What the pages tell a reader to type is typed here: tutorials from end to end, and the snippets for a device."""

import re
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.command import Call, Shipped
from tests.docs.pages import DOCS, PAGES, ROOT, blocks_of, calls_in, name_of

FOLLOWED = [page for page in PAGES if any(block.kind == "console" for block in blocks_of(page))]
"""Pages with commands that run in a minute or two; longer ones stand in blocks of plain text."""

REACHED: Mapping[str, Callable[[Mapping[str, Any]], bool]] = {
    "docs/tutorials/images.md": lambda names: len(names["answers"]) == 8,
    "docs/tutorials/series.md": lambda names: len(names["answers"]) == 64,
    "docs/tutorials/text.md": lambda names: names["answers"][1].label == "network",
    "docs/tutorials/control.md": lambda names: max(names["errors"]) < 0.05,
}
"""What has to hold of a page's variables at its end."""

_VARIES = re.compile(r"^(fp32|fp16|int8|int4|---|\.\.\.)|; auto runs |(threads?\(s\))")
"""Lines of a verdict that depend on the machine that judges."""


def masked(line: str) -> str:
    """A line without its numbers and the width of its columns."""
    return " ".join(re.sub(r"[+-]?\d[\d.,e+-]*", "#", line).split())


def check_shown(shown: list[str], printed: str) -> None:
    """What a page shows below a command is what the command prints, but for numbers and what varies."""
    lines = {masked(line) for line in printed.splitlines()}
    for line in shown:
        if line.strip() and not _VARIES.search(line):
            assert masked(line) in lines, f"{line!r} is not printed:\n{printed}"


SLOW = ("docs/tutorials/text.md",)
"""Two minutes on one core, most of them MiniLM's."""


@pytest.mark.parametrize(
    "page",
    [pytest.param(page, marks=[pytest.mark.slow] * (name_of(page) in SLOW)) for page in FOLLOWED],
    ids=name_of,
)
def test_a_page_can_be_followed(
    page: Path, cli: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    modules = set(sys.modules)
    names: dict[str, Any] = {}
    for block in blocks_of(page):
        if block.title:
            (tmp_path / block.title).write_text(block.text, encoding="utf-8")
        elif block.kind == "python":
            exec(compile(block.text, str(page), "exec"), names)
        elif block.kind == "console":
            for words, shown in calls_in(block.text):
                assert words[0] == "edgewright", words
                answer = cli(*words[1:])
                assert answer.code == 0, answer.err + answer.out
                check_shown(shown, answer.err + answer.out)
    for name in set(sys.modules) - modules:
        if (tmp_path / f"{name}.py").exists():
            del sys.modules[name]
    if name_of(page) in REACHED:
        assert REACHED[name_of(page)](names)


def test_every_tutorial_is_followed() -> None:
    assert {name_of(page) for page in DOCS.glob("tutorials/*.md")} == set(REACHED)
    assert set(REACHED) <= {name_of(page) for page in FOLLOWED}


@pytest.mark.parametrize(
    "page",
    [ROOT / "README.md", DOCS / "how-to" / "raspberry-pi.md", DOCS / "reference" / "recipe.md"],
    ids=name_of,
)
def test_snippets_of_python_run(
    page: Path, shipped: Shipped, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(shipped.bundle, tmp_path / "bundle")
    Image.open(tmp_path / "bundle" / "golden" / "0.png").convert("RGB").save(tmp_path / "photo.jpg")
    snippets = [block.text for block in blocks_of(page) if block.kind == "python"]
    assert snippets
    for snippet in snippets:
        exec(compile(snippet, str(page), "exec"), {})
