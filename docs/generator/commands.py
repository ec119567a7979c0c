"""The page of commands: what `--help` prints, for every program that the project installs."""

import importlib
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click

from docs.generator.markdown import GENERATED

_PROJECT = Path(__file__).parent.parent.parent / "pyproject.toml"
_WIDTH = 100

_INTRO = """\
# Commands

What each command prints with `--help`. Data goes to stdout and messages to stderr; `--json` prints the same as JSON.
[Errors](errors.md) has the exit statuses.
"""


def page() -> str:
    """The whole page."""
    parts = [GENERATED, _INTRO]
    for name, command in programs():
        parts += [f"## {name}\n", _help(command, name)]
    return "\n".join(parts)


def programs() -> Iterator[tuple[str, click.Command]]:
    """Every command with all words of its name: those of [project.scripts], and what is below a group."""
    scripts = tomllib.loads(_PROJECT.read_text(encoding="utf-8"))["project"]["scripts"]
    for name, where in scripts.items():
        module = importlib.import_module(where.partition(":")[0])
        found = [value for value in vars(module).values() if isinstance(value, click.Command)]
        yield from _below(name, found[0])


def _below(name: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    yield name, command
    if isinstance(command, click.Group):
        context = click.Context(command, info_name=name)
        for inner in command.list_commands(context):
            found = command.get_command(context, inner)
            assert found is not None, inner
            yield from _below(f"{name} {inner}", found)


def _help(command: click.Command, name: str) -> str:
    context = click.Context(
        command,
        info_name=name,
        terminal_width=_WIDTH,
        max_content_width=_WIDTH,
        help_option_names=["-h", "--help"],
    )
    return f"```text\n{command.get_help(context)}\n```\n"
