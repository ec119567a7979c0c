"""`edgewright compare`."""

from pathlib import Path

import click

from edgewright.pipeline.cli.options import (
    json_option,
    out_option,
    provider_option,
    restart_option,
    set_option,
)
from edgewright.pipeline.cli.output import emit, progress_bars


@click.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@click.option(
    "--vary",
    multiple=True,
    required=True,
    metavar="KEY=A,B,...",
    help="A key of the recipe and the values to try, e.g. model=rnn,lstm,gru; several make a grid.",
)
@out_option("the comparison: a run for each cell and seed, a bundle for each cell")
@click.option(
    "--seeds",
    type=click.IntRange(1, 100),
    default=3,
    show_default=True,
    help="How many times to train each cell.",
)
@click.option(
    "--export/--no-export", default=True, help="Also export each cell, for latency and size; default: yes."
)
@set_option
@provider_option
@restart_option
@json_option
def command(
    recipe: Path,
    vary: tuple[str, ...],
    out: Path,
    seeds: int,
    export: bool,
    overrides: tuple[str, ...],
    provider: str,
    restart: bool,
    as_json: bool,
) -> None:
    """Train RECIPE in every combination of what varies, and show what each brings and costs in one table.

    A cell that fails is a row with its reason, and the exit status is then 1. Killed, the same command continues.
    """
    from edgewright.pipeline.cli.compare_text import comparison_report, comparison_text
    from edgewright.pipeline.stages.compare import compare

    with progress_bars() as progress:
        found = compare(recipe, vary, out, seeds, overrides, provider, export, restart, progress)
    emit(comparison_report(found), as_json, comparison_text(found, out))
    if found.failed:
        click.get_current_context().exit(1)
