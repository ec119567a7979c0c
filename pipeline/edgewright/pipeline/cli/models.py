"""`edgewright models`."""

import click

from edgewright.pipeline.cli.options import json_option
from edgewright.pipeline.cli.output import emit, table


@click.command()
@click.argument("pattern", required=False)
@json_option
def command(pattern: str | None, as_json: bool) -> None:
    """List what can be carried, with parameters, input size and the licence of the weights.

    PATTERN is a part of a name or a glob: resnet, 'mobilenet_v*', 'timm:*inception*'. Without one, the recurrent
    cells, the architectures of encoders and torchvision's models are listed. Exit status 1 when nothing matches.
    """
    from edgewright.pipeline.families import family_of_record, list_models

    entries = list_models(pattern)
    families = [family_of_record({"library": entry.library}) for entry in entries]
    rows = [
        (
            entry.name,
            "-" if entry.parameters is None else f"{entry.parameters / 1e6:.1f} M",
            "x".join(str(side) for side in entry.input_size or ()) or family.reads,
            entry.licence,
        )
        for entry, family in zip(entries, families, strict=True)
    ]
    text = table(("model", "parameters", "input", "licence of the weights"), rows, right=(1, 2))
    if pattern is None:
        text += "\n\nand every timm model: edgewright models 'timm:*'"
    for paragraph in dict.fromkeys(family.listed for family in families if family.listed):
        text += f"\n\n{paragraph}"
    if entries or as_json:
        emit(entries, as_json, text)
    if not entries:
        from edgewright.runtime.errors import RecipeError

        raise RecipeError(
            f"no model matches {pattern!r}: try a shorter part of its name, or 'timm:*{pattern}*'"
        )
