"""`edgewright layers`."""

from typing import TYPE_CHECKING

import click

from edgewright.exporters.table import Column, figure
from edgewright.pipeline.cli.options import json_option
from edgewright.pipeline.cli.output import emit
from edgewright.pipeline.cli.render import table

if TYPE_CHECKING:  # it imports torch
    from edgewright.pipeline.models.layers import LayerRow

_COLUMNS: "tuple[Column[LayerRow], ...]" = (
    Column("layer", lambda row: row.name),
    Column("type", lambda row: row.type),
    figure("parameters", lambda row: row.parameters, ",d"),
    Column("state", lambda row: row.state),
    Column("BatchNorm", lambda row: row.batchnorm),
)


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
    text = table(_COLUMNS, layers.rows)
    text += f"\n\n{layers.model}: {layers.parameters:,} parameters, {layers.trainable:,} trainable"
    emit(layers, as_json, text)
