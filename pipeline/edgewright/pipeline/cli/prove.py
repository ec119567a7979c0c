"""`edgewright prove`: a bundle's variants on a class of CPU that is not here, emulated."""

from pathlib import Path

import click

from edgewright.pipeline.cli.options import bundle_argument, json_option
from edgewright.pipeline.cli.output import emit, progress_bars


@click.command()
@bundle_argument
@click.option(
    "--on",
    type=click.Choice(["x86-64-avx2", "arm64"]),
    default="x86-64-avx2",
    show_default=True,
    help="The class of CPU: x86 without VNNI, or 64-bit Arm.",
)
@click.option(
    "--python",
    default=None,
    metavar="WORDS",
    help="What starts a Python with edgewright there; default: this one under qemu-x86_64 -cpu Haswell.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(1.0, 86400.0),
    default=600.0,
    show_default=True,
    help="Seconds that one variant may take.",
)
@json_option
def command(bundle: Path, on: str, python: str | None, timeout: float, as_json: bool) -> None:
    """Replay BUNDLE's golden samples on a CPU that an emulator stands for, and write into BUNDLE what is proven there.

    `auto` takes on such a CPU what passed. Exit status 1 when a variant does not give torch's answers.
    """
    from edgewright.pipeline.cli.verify_text import proved_text
    from edgewright.pipeline.stages.prove import prove

    with progress_bars() as progress:
        found = prove(bundle, on, python, timeout, progress)
    emit({"on": found.on, "rows": found.rows, "passed": found.passed}, as_json, proved_text(found))
    if not found.passed:
        click.get_current_context().exit(1)
