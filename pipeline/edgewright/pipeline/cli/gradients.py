"""`edgewright gradients`."""

from pathlib import Path

import click

from edgewright.pipeline.cli.options import json_option, run_argument
from edgewright.pipeline.cli.output import emit


@click.command()
@run_argument
@click.option("--all", "every", is_flag=True, help="Every epoch that was measured, not only first and last.")
@json_option
def command(run: Path, every: bool, as_json: bool) -> None:
    """Show the gradient that reached each time step while RUN trained, layer by layer, and what to try.

    RUN is a folder that `edgewright fit` wrote for a recurrent model.
    """
    from edgewright.pipeline.cli.gradients_text import gradients_text
    from edgewright.pipeline.training.gradient_curves import read_gradients

    measured = read_gradients(run)
    emit({"epochs": measured}, as_json, gradients_text(measured, every))
