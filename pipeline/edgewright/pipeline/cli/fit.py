"""`edgewright fit`."""

from pathlib import Path

import click

from edgewright.pipeline.cli.options import json_option, out_option, restart_option, set_option
from edgewright.pipeline.cli.output import emit, progress_bars


@click.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@out_option("the run: weights, metrics, curves, checkpoints")
@set_option
@restart_option
@json_option
def command(recipe: Path, out: Path, overrides: tuple[str, ...], restart: bool, as_json: bool) -> None:
    """Train the model of RECIPE on its data. Killed, the same command continues to the same weights."""
    from edgewright.pipeline.cli.fit_text import fit_summary, trained_report
    from edgewright.pipeline.recipe.load import load_recipe
    from edgewright.pipeline.stages.fit import fit_run, leads_processes

    with progress_bars() as progress:
        trained = fit_run(load_recipe(recipe, overrides), out, restart=restart, progress=progress)
    if leads_processes():
        emit(trained_report(trained), as_json, fit_summary(trained, out))
