"""`edgewright models`."""

import click

from edgewright.pipeline.cli.options import json_option
from edgewright.pipeline.cli.output import emit, table


@click.command()
@click.argument("pattern", required=False)
@json_option
def command(pattern: str | None, as_json: bool) -> None:
    """List what can be carried, with parameters, input size and the licence of the weights.

    PATTERN is a name or a glob: resnet*, mobilenet_v3_small, timm:*inception*. Without one, torchvision's models are listed.
    """
    from edgewright.pipeline.models import list_models

    entries = list_models(pattern)
    rows = [
        (
            entry.name,
            "-" if entry.parameters is None else f"{entry.parameters / 1e6:.1f} M",
            "-" if entry.input_size is None else str(entry.input_size),
            entry.licence or "-",
        )
        for entry in entries
    ]
    text = table(("model", "parameters", "input", "licence of the weights"), rows, right=(1, 2))
    if pattern is None:
        text += "\n\nand every timm model: edgewright models 'timm:*'"
    emit(entries, as_json, text)
