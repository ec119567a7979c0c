"""`edgewright layers`."""

import click

from edgewright.pipeline.cli.options import json_option
from edgewright.pipeline.cli.output import emit, table


@click.command()
@click.argument("model")
@click.option("--unfreeze", default=None, metavar="WHAT", help="all, a number of last blocks, or names and globs with commas.")
@json_option
def command(model: str, unfreeze: str | None, as_json: bool) -> None:
    """Show every layer of MODEL (a name, or a run): parameters, frozen or trainable, BatchNorm mode."""
    from edgewright.pipeline.inspection import layers_of

    rows = layers_of(model, unfreeze)
    total = sum(row.parameters for row in rows)
    trainable = sum(row.trainable for row in rows)
    text = table(
        ("layer", "type", "parameters", "state", "BatchNorm"),
        [(row.name, row.type, f"{row.parameters:,}", row.state, row.batchnorm or "") for row in rows],
        right=(2,),
    )
    emit(rows, as_json, f"{text}\n\n{total:,} parameters, {trainable:,} trainable")
