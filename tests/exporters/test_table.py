"""Names of others in tables and on model cards: they break no line, steer no terminal, and are no markup."""

import dataclasses
import re
from pathlib import Path

import pytest
import yaml

from edgewright.exporters.bundle.card import in_markdown, model_card
from edgewright.exporters.table import Column, cells, figure, interval, megabytes, number
from edgewright.runtime import open_bundle
from edgewright.runtime.tasks import load_task
from edgewright.runtime.tasks.description import ModelFacts
from tests.runtime.small_bundle import make_bundle

HOSTILE = [
    "\x1b[31mred", "\x1b]0;title\x07", "a\nb", "a\r\n---\nlicense: mit", "\u202egnp.exe", "\x9b2J", "\u2066x",
    "<script>alert(1)</script>", "<!-- gone", "a|b", "`code`", "[here](http://x)", "![](http://x/p.png)", "&lt;b&gt;",
    "\\|", "---", "\u2028next",
]  # fmt: skip
"""Labels that somebody may have in a file."""


@pytest.mark.parametrize("name", HOSTILE)
def test_a_cell_is_one_line_that_prints(name: str) -> None:
    titles, row = cells([Column(name, lambda row: row), Column("b", lambda row: 1)], [name])
    assert all(cell.isprintable() for cell in (*titles, *row))


def marks(text: str) -> list[str]:
    """What Markdown reads as the beginning of a tag, a link, code or a cell; comments of nothing part addresses."""
    return re.findall(r"(?<!\\)(?:\\\\)*[<\[`|]", text.replace("<!-- -->", ""))


@pytest.mark.parametrize("name", HOSTILE)
def test_a_card_quotes_a_name_and_nothing_more(name: str, tmp_path: Path) -> None:
    def card_of(text: str) -> str:
        labels = (text, "green", "blue")
        changed = dataclasses.replace(
            manifest, labels=labels, model=text, licence=text, versions={"torch": text}
        )
        task = load_task(changed.task, changed.processor, labels)
        return model_card(changed, task.describe(ModelFacts(changed.graphs)), None, {"Data": text})

    manifest = open_bundle(make_bundle(tmp_path / "bundle")).manifest
    plain, found = card_of("plain"), card_of(name)
    assert len(found.splitlines()) == len(plain.splitlines())
    assert all(character.isprintable() or character == "\n" for character in found)
    _, front, body = found.split("---\n", 2)
    keys = {"license", "license_name", "pipeline_tag", "library_name", "tags"}
    assert yaml.safe_load(front).keys() == keys
    assert isinstance(yaml.safe_load(front)["license"], str)
    assert marks(body) == marks(plain.split("---\n", 2)[2])


def test_what_is_no_markup_stays_as_it_is() -> None:
    assert in_markdown("pixel_0, 3 x 4 px, 95 % (a.b), it's; *") == "pixel_0, 3 x 4 px, 95 % (a.b), it's; *"
    assert in_markdown("a & b|c <i> [x] `y`") == r"a &amp; b\|c &lt;i&gt; \[x\] \`y\`"


def test_a_dash_stands_where_there_is_no_number() -> None:
    columns: list[Column[float | None]] = [Column("a", str), figure("b", lambda row: row, ".2f")]
    assert cells(columns, [1.5, None]) == [["a", "b"], ["1.5", "1.50"], ["None", "-"]]
    assert (number(0.0, "+.1f"), number(None, "+.1f")) == ("+0.0", "-")
    assert (interval((-0.5, 1.0), "+.1f", " to "), interval(None, "+.1f")) == ("-0.5 to +1.0", "-")
    assert (megabytes(0), megabytes(2_500_000), megabytes(None)) == (0.0, 2.5, None)
