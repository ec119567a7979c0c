"""`edgewright models`."""

from typing import TYPE_CHECKING

import click

from edgewright.exporters.table import Column
from edgewright.pipeline.cli.options import json_option
from edgewright.pipeline.cli.output import emit
from edgewright.pipeline.cli.render import table

if TYPE_CHECKING:  # what comes with it is heavy
    from edgewright.pipeline.families import Family
    from edgewright.pipeline.models.entry import ModelEntry


def _parameters(entry: "ModelEntry") -> str:
    return "-" if entry.parameters is None else f"{entry.parameters / 1e6:.1f} M"


def _input(entry: "ModelEntry") -> str:
    return "x".join(str(side) for side in entry.input_size or ()) or _family(entry).reads


def _family(entry: "ModelEntry") -> "Family":
    from edgewright.pipeline.families import family_of_record

    return family_of_record({"library": entry.library})


_COLUMNS: "tuple[Column[ModelEntry], ...]" = (
    Column("model", lambda entry: entry.name),
    Column("parameters", _parameters, right=True),
    Column("input", _input, right=True),
    Column("licence of the weights", lambda entry: entry.licence),
)


@click.command()
@click.argument("pattern", required=False)
@json_option
def command(pattern: str | None, as_json: bool) -> None:
    """List what can be carried, with parameters, input size and the licence of the weights.

    PATTERN is a part of a name or a glob: resnet, 'mobilenet_v*', 'timm:*inception*'. Without one, the recurrent
    cells, the architectures of encoders and torchvision's models are listed. Exit status 1 when nothing matches.
    """

    from edgewright.pipeline.families import list_models

    entries = list_models(pattern)
    text = table(_COLUMNS, entries)
    if pattern is None:
        text += "\n\nand every timm model: edgewright models 'timm:*'"
    for paragraph in dict.fromkeys(filter(None, (_family(entry).listed for entry in entries))):
        text += f"\n\n{paragraph}"
    if entries or as_json:
        emit(entries, as_json, text)
    if not entries:
        from edgewright.runtime.errors import RecipeError

        raise RecipeError(
            f"no model matches {pattern!r}: try a shorter part of its name, or 'timm:*{pattern}*'"
        )
