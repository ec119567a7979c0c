"""Options that several commands share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

json_option: Decorator = click.option(
    "--json", "as_json", is_flag=True, help="Print the result as JSON on stdout."
)

set_option: Decorator = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Override one key of the recipe, e.g. training.epochs=3.",
)

provider_option: Decorator = click.option(
    "--provider",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="Where to run; asking for cuda and getting cpu is an error.",
)

variant_option: Decorator = click.option(
    "--variant",
    default="auto",
    show_default=True,
    metavar="NAME",
    help="fp32, fp16, int8-static, ...; auto: the one that ships.",
)

threads_option: Decorator = click.option(
    "--threads",
    type=click.IntRange(1, 1024),
    default=None,
    help="Threads of ONNX Runtime; default: one per core.",
)

restart_option: Decorator = click.option(
    "--restart", is_flag=True, help="Forget what the run directory holds and start anew."
)

bundle_argument: Decorator = click.argument("bundle", type=click.Path(path_type=Path))

run_argument: Decorator = click.argument("run", type=click.Path(path_type=Path))


def _own_folder(context: click.Context, parameter: click.Parameter, value: Path) -> Path:
    """Refuse the folder that this process stands in, and those above: a bundle replaces its whole folder."""
    here, chosen = Path.cwd(), value.resolve()
    if chosen == here or chosen in here.parents:
        raise click.BadParameter(f"{value} is where you are: name a folder of its own, such as bundle/")
    return value


def out_option(what: str, replaced: bool = False) -> Decorator:
    """The required `--out DIR` of a command that writes `what`; `replaced` when it takes the place of the folder."""
    return click.option(
        "--out",
        callback=_own_folder if replaced else None,
        type=click.Path(path_type=Path, file_okay=False),
        required=True,
        metavar="DIR",
        help=f"Where to write {what}.",
    )
