"""`edgewright convert`: a pickle to safetensors; nothing that the pickle names is run."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgewright.pipeline.cli.options import json_option
from edgewright.pipeline.cli.output import emit

if TYPE_CHECKING:
    from edgewright.pipeline.models.conversion import Converted


@click.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FILE.safetensors",
    help="Where to write; default: beside FILE, under its name.",
)
@click.option("--key", metavar="KEY", help="Which of several sets of weights, e.g. ema or model.state_dict.")
@click.option("--force", is_flag=True, help="Replace the .safetensors file that is there.")
@json_option
def command(files: tuple[Path, ...], out: Path | None, key: str | None, force: bool, as_json: bool) -> None:
    """Write the weights in FILE, which torch.save wrote (.pt, .pth, .bin, .ckpt, .pth.tar), to a .safetensors file.

    A pickle can run code when it is read. This one is read with torch's weights_only in a process of its own, and one
    that holds more than tensors, numbers, texts and a trainer's arguments is refused.

    Of what a trainer saved (state_dict, model, epoch, optimizer, ...) the one large mapping of names to tensors is
    taken, and the rest left out; "module." and "_orig_mod." before all names are stripped, tied tensors written each.
    Several files, the parts of one checkpoint, become one.
    """
    from edgewright.pipeline.models.conversion import convert_pickles

    if out is not None and out.suffix != ".safetensors":
        raise click.BadParameter(f"{out} does not end in .safetensors", param_hint="--out")
    if out is None and len(files) > 1:
        raise click.UsageError("several files become one: name it with --out FILE.safetensors")
    converted = convert_pickles(files, out, key, force)
    emit(converted, as_json, _text(converted))


def _text(converted: "Converted") -> str:
    from edgewright.pipeline.models.pickles import printable, weights_line

    out, keys = Path(converted.out), dict.fromkeys(key for key in converted.keys if key != ".")
    told = [f"{converted.tensors} tensor{'s'[: converted.tensors != 1]} ({converted.values:,} values)"]
    told += [f"from {', '.join(keys)}"] if keys else []
    told += [f"without {' and '.join(converted.stripped)} before their names"] if converted.stripped else []
    told += [f"left out: {_some(converted.left_out)}"] if converted.left_out else []
    encoder = out.name == "model.safetensors" and (out.parent / "config.json").is_file()
    line = f"model: {out.parent}" if encoder else weights_line(out)
    return f"{printable(str(out))}: {', '.join(told)}\nnow write in the recipe: {printable(line)}"


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
