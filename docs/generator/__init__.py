"""The reference pages, made from the code: `python -m docs.generator` writes them, a test holds them to it."""

from collections.abc import Callable

from docs.generator import bundle, commands, errors, python_api, recipe, tasks

PAGES: dict[str, Callable[[], str]] = {
    "recipe.md": recipe.page,
    "tasks.md": tasks.page,
    "commands.md": commands.page,
    "bundle.md": bundle.page,
    "python.md": python_api.page,
    "errors.md": errors.page,
}
"""File below docs/reference to the function that writes it."""
