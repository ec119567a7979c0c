"""The `edgewright` command: finds a command's file when it is called and turns errors into one line."""

import importlib
import logging
import os
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from edgewright.runtime.bundle.files import explain_os_error
from edgewright.runtime.errors import EdgewrightError, MachineError, no_memory, out_of_memory
from edgewright.runtime.printable import printable

COMMANDS: Mapping[str, str] = {
    "ship": "Fit, export, judge and bundle: the whole way, resumable.",
    "fit": "Train the recipe's model on its data.",
    "export": "Export a run in several precisions, judge them, write the bundle.",
    "prove": "Replay a bundle's golden samples on an emulated CPU, and write down what holds there.",
    "verify": "Replay a bundle's golden samples here; with a run, climb the whole ladder.",
    "compare": "Train a grid of choices and show what each brings and costs.",
    "gradients": "Show how far the gradient reaches back in time, layer by layer.",
    "predict": "Answer raw inputs with a bundle.",
    "bench": "Measure a bundle on this machine.",
    "convert": "Turn a pickle of weights (.pt, .pth, .bin, .ckpt) into safetensors, running nothing in it.",
    "models": "List what can be carried.",
    "layers": "Show every layer: parameters, frozen or trainable, BatchNorm mode.",
    "doctor": "Report versions, CPU features and the providers that really start.",
}

_START = """\
edgewright carries a model from torch to the edge without losing its answers.

Next step: {step}
All commands: edgewright --help
"""


def commands() -> dict[str, tuple[str, str]]:
    """All commands by name, those of tasks behind the others: the "module:attribute" of each, and what it does."""
    from edgewright.pipeline.catalog import TASKS

    own = {name: (f"edgewright.pipeline.cli.{name}:command", told) for name, told in COMMANDS.items()}
    return own | {name: entry for spec in TASKS.values() for name, entry in spec.commands.items()}


class LazyGroup(click.Group):
    """A group that imports a command's file only when that command is needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(commands())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        place, _ = commands().get(cmd_name, ("", ""))
        if not place:
            return None
        module, _, attribute = place.partition(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        from edgewright.runtime.hints import near_names

        if args and not args[0].startswith("-") and args[0] not in commands():
            near = near_names(args[0], commands(), 1)
            hint = f" Did you mean '{near[0]}'?" if near else ""
            ctx.fail(f"No such command '{args[0]}'.{hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        # Click would import every command for its short help; the table above already has it.
        with formatter.section("Commands"):
            formatter.write_dl([(name, told) for name, (_, told) in commands().items()])


def _next_step(folder: Path) -> str:
    recipes = sorted(
        path for pattern in ("*.yaml", "*.yml") for path in folder.glob(pattern) if _looks_like_recipe(path)
    )
    bundles = sorted(path.parent for path in folder.glob("*/edgewright.json"))
    if bundles:
        return f"edgewright predict {bundles[0].name} INPUT"
    if recipes:
        return f"edgewright ship {recipes[0].name} --out bundle/"
    return (
        "write recipe.yaml with three lines (task: image-classification, model: resnet18, data: ./photos),\n"
        "           then run: edgewright ship recipe.yaml --out bundle/"
    )


def _looks_like_recipe(path: Path) -> bool:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            head = file.read(4096)
    except OSError:
        return False
    return any(line.startswith("task:") for line in head.splitlines())


@click.group(
    cls=LazyGroup, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(package_name="edgewright")
@click.pass_context
def command_line(context: click.Context) -> None:
    """Carry a pretrained model from torch to the edge without losing its answers.

    Data goes to stdout, messages to stderr. Exit status: 0 done, 1 something is wrong and said, 2 wrong usage.
    """
    if context.invoked_subcommand is None:
        click.echo(_START.format(step=_next_step(Path.cwd())), nl=False)


def main(arguments: list[str] | None = None) -> Any:
    """Run the command line and exit. Set EDGEWRIGHT_DEBUG=1 to see the traceback behind an error's line."""
    _show_messages()
    try:
        code = command_line.main(args=arguments, prog_name="edgewright", standalone_mode=False)
        # Here and not at the interpreter's exit, so that a full disk behind stdout gets its line too.
        sys.stdout.flush()
    except (click.exceptions.Abort, KeyboardInterrupt):
        click.echo(
            "edgewright: interrupted; nothing written before is lost, the same command continues", err=True
        )
        code = 130
    except SystemExit:
        # Click's own way out when the reader of our stdout went away (edgewright models | head): nothing is wrong.
        code = 0
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except EdgewrightError as error:
        _say(error, *str(error).splitlines())
        code = 1
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.split(".")[0] == "edgewright":
            raise
        _say(
            error,
            f"this command needs the package {error.name!r}: pip install 'edgewright[train]' on a workstation, "
            "'edgewright[cpu]' or 'edgewright[gpu]' on a device",
        )
        code = 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except MemoryError as error:
        _say(error, "not enough memory: use a smaller batch_size or input.size in the recipe")
        code = 1
    except OSError as error:
        _say(error, str(_explain(error)))
        code = 1
    except Exception as error:
        unknown = f"internal error, please report it: {type(error).__name__}: {_first_line(error)}"
        _say(error, str(no_memory("for that")) if out_of_memory(error) else unknown)
        code = 1
    sys.exit(code if isinstance(code, int) else 0)


class _Printable(logging.Formatter):
    """A message as it may reach a terminal, for it may quote a file of others."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


def _show_messages() -> None:
    """What the stages tell goes to stderr, plain; Pillow's remarks about odd files do not."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Printable("%(message)s"))
    logger = logging.getLogger("edgewright")
    logger.handlers = [handler]
    logger.setLevel(logging.INFO)
    warnings.filterwarnings("ignore", module=r"PIL\b")


def _explain(error: OSError) -> MachineError:
    if error.filename is None:
        return MachineError(f"the machine refused: {error.strerror or error}")
    return explain_os_error(error, Path(os.fsdecode(error.filename)))


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else ""


def _say(error: BaseException, *lines: str) -> None:
    if os.environ.get("EDGEWRIGHT_DEBUG"):
        import traceback

        traceback.print_exception(error)
    for line in lines:
        # ours are one line already, and two spaces in them belong to a path that someone may paste
        text = line if isinstance(error, EdgewrightError) else " ".join(line.split())
        click.echo(f"edgewright: {text}", err=True)
