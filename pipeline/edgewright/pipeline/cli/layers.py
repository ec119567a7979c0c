"""`edgewright layers`."""

import click

from edgewright.pipeline.cli.options import json_option
from edgewright.pipeline.cli.output import emit, table


@click.command()
@click.argument("model")
@click.option(
    "--unfreeze",
    default=None,
    metavar="WHAT",
    help="all, a number of last blocks, or names and globs with commas.",
)
@json_option
def command(model: str, unfreeze: str | None, as_json: bool) -> None:
    """Show every layer of MODEL (a name, or a run): parameters, frozen or trainable, BatchNorm mode."""
    from edgewright.pipeline.stages.inspect import layers_of

    layers = layers_of(model, unfreeze)
    text = table(
        ("layer", "type", "parameters", "state", "BatchNorm"),
        [(row.name, row.type, f"{row.parameters:,}", row.state, row.batchnorm) for row in layers.rows],
        right=(2,),
    )
    text += f"\n\n{layers.model}: {layers.parameters:,} parameters, {layers.trainable:,} trainable"
    emit(layers, as_json, text)
