"""The reference pages that are made from the code are those that the code makes now."""

import pytest

from docs.generator import PAGES
from edgewright.pipeline.catalog import TASKS
from edgewright.pipeline.cli.main import COMMANDS
from edgewright.pipeline.recipe.recipe import Recipe
from tests.docs.pages import DOCS


@pytest.mark.parametrize("name", PAGES)
def test_a_generated_page_is_not_stale(name: str) -> None:
    written = (DOCS / "reference" / name).read_text(encoding="utf-8")
    assert written == PAGES[name](), (
        f"docs/reference/{name} is stale: run 'make docs' and commit what it writes"
    )


def test_every_key_of_a_recipe_has_a_row() -> None:
    page = PAGES["recipe.md"]()
    for name, field in Recipe.model_fields.items():
        keys = getattr(field.annotation, "model_fields", None)
        assert f"\n## {name}\n" in page if keys else f"\n| `{name}` |" in page, name
        section = page.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
        for key in keys or ():
            assert f"\n| `{key}` |" in section, f"{name}.{key}"


def test_every_task_and_every_command_stands_there() -> None:
    tasks, commands = PAGES["tasks.md"](), PAGES["commands.md"]()
    for task in TASKS:
        (row,) = [line for line in tasks.splitlines() if line.startswith(f"| `{task}` |") and "](#" in line]
        assert row.count("|") == 4, row
    for name in COMMANDS:
        assert f"\n## edgewright {name}\n\n```text\nUsage: edgewright {name} " in commands
