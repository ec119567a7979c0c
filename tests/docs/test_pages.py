"""What the written pages promise: links and anchors lead somewhere, recipes load, commands and messages exist."""

import re
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
import yaml

from docs.generator import PAGES as GENERATED
from edgewright.exporters.judge.statistics import paired_difference
from edgewright.pipeline.cli.main import COMMANDS, command_line
from edgewright.pipeline.recipe.load import load_recipe
from edgewright.runtime.tasks import TASKS, options_of
from tests.docs.pages import DOCS, PAGES, ROOT, Block, blocks_of, commands_of, name_of

by_page = pytest.mark.parametrize("page", PAGES, ids=name_of)
RECIPES = [(page, block) for page in PAGES for block in blocks_of(page) if block.kind == "yaml"]


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@by_page
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        other = page if not path else (page.parent / path).resolve()
        assert other.exists(), f"{target}: no such file"
        assert not anchor or anchor in anchors(other), f"{target}: no such heading"
        assert page.parent == ROOT or other.is_relative_to(DOCS), f"{target}: outside of docs/"


@by_page
def test_commands_exist_with_their_options(page: Path) -> None:
    for words in commands_of(page):
        name = words[1]
        if name.startswith("-"):
            continue
        assert name in COMMANDS, words
        command = command_line.get_command(click.Context(command_line), name)
        assert command is not None
        options = [parameter.opts + parameter.secondary_opts for parameter in command.params]
        known = {"--help", *(option.flag for task in TASKS for option in options_of(task))}.union(*options)
        assert {word.split("=")[0] for word in words if word.startswith("--")} <= known, words


@by_page
def test_make_targets_exist(page: Path) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    written = re.findall(r"(?:^|`)make ([a-z]+)", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert set(written) <= set(re.findall(r"^([a-z]+):", makefile, flags=re.MULTILINE))


@pytest.mark.parametrize(
    ("page", "block"), RECIPES, ids=[f"{name_of(page)}-{at}" for at, (page, _) in enumerate(RECIPES)]
)
def test_recipes_load(page: Path, block: Block, tmp_path: Path) -> None:
    source = re.search(r"\./([\w.-]+)", str(yaml.safe_load(block.text)["data"]))
    if source is not None:
        (tmp_path / source[1]).touch()
    (tmp_path / "resnet18.safetensors").touch()
    (tmp_path / "recipe.yaml").write_text(block.text, encoding="utf-8")
    assert load_recipe(tmp_path / "recipe.yaml").model


def test_recipes_are_shown_for_images_series_text_and_control() -> None:
    shown = {yaml.safe_load(block.text)["task"] for _, block in RECIPES}
    assert shown >= {
        "image-classification", "sequence-classification", "sequence-regression", "forecasting", "text-classification",
    }  # fmt: skip


def test_the_readme_is_short_and_shows_the_two_commands() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 150
    first_screen = "\n".join(text.splitlines()[:25])
    assert "make demo" in first_screen and "make test" in first_screen


def test_every_page_is_in_the_navigation() -> None:
    class Loader(yaml.SafeLoader):
        """Of the configuration, which has no tags of its own."""

    def files(entry: Any) -> list[str]:
        if isinstance(entry, str):
            return [entry]
        values = entry.values() if isinstance(entry, dict) else entry
        assert not isinstance(values, str)
        return [file for value in values for file in files(value)]

    nav = files(yaml.load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"), Loader)["nav"])
    assert sorted(nav) == sorted(page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md"))
    assert {f"reference/{name}" for name in GENERATED} <= set(nav)


def test_the_start_page_links_to_every_page() -> None:
    text = (DOCS / "index.md").read_text(encoding="utf-8")
    for page in DOCS.rglob("*.md"):
        assert page.name == "index.md" or f"]({page.relative_to(DOCS).as_posix()})" in text, page


def test_the_reasons_of_a_failed_variant_are_said_by_the_exporters() -> None:
    headings = re.findall(
        r'^### "(.*)"$',
        (DOCS / "how-to" / "variant-failed.md").read_text(encoding="utf-8"),
        flags=re.MULTILINE,
    )
    sources = "\n".join(file.read_text(encoding="utf-8") for file in (ROOT / "exporters").rglob("*.py"))
    assert len(headings) >= 8
    for heading in headings:
        assert heading in sources, heading


def test_the_advice_against_vanishing_gradients_is_that_of_the_command() -> None:
    text = (DOCS / "how-to" / "gradients.md").read_text(encoding="utf-8")
    source = (ROOT / "pipeline/edgewright/pipeline/training/gradients.py").read_text(encoding="utf-8")
    for advice in re.findall(r'"((?:network|training|model)[\w.]*: [^",]+)', source):
        assert advice.split(": ")[0] in text, advice


def test_the_table_of_samples_is_what_the_statistics_say() -> None:
    text = (DOCS / "explanation" / "verdict.md").read_text(encoding="utf-8")
    rows = re.findall(
        r"^\| (\d+) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$", text, flags=re.MULTILINE
    )
    assert len(rows) == 5
    for count, *reach in rows:
        for accuracy, written in zip((0.8, 0.9, 0.95, 0.98), reach, strict=True):
            right = np.arange(int(count)) < round(accuracy * int(count))
            assert f"{paired_difference(right, right).high:.4f}" == written


def test_the_measurements_of_the_readme_are_those_of_the_page() -> None:
    page = (DOCS / "reference" / "measurements.md").read_text(encoding="utf-8")
    short = (ROOT / "README.md").read_text(encoding="utf-8").partition("## How fast and small")[2]
    figures = re.findall(r"(\d+\.\d\d) x|1/(\d+\.\d)", short.partition("## Read on")[0])
    assert len(figures) >= 12
    for ratio, share in figures:
        assert (f"{ratio} x" if ratio else f"1/{share}") in page or ratio == "0.98", (ratio, share)
    assert "0.983 x" in page
