"""`edgewright export`."""

from pathlib import Path

import click

from edgewright.pipeline.cli.options import json_option, out_option, provider_option, run_argument, set_option
from edgewright.pipeline.cli.output import progress_bars


@click.command()
@run_argument
@out_option("the bundle", replaced=True)
@click.option(
    "--variants",
    default=None,
    metavar="A,B,...",
    help="Which precisions; default: those of the recipe. E.g. fp32,int8-static.",
)
@set_option
@provider_option
@json_option
def command(
    run: Path, out: Path, variants: str | None, overrides: tuple[str, ...], provider: str, as_json: bool
) -> None:
    """Export RUN in several precisions, judge each against torch, and bundle those that pass."""
    from edgewright.pipeline.cli.verdict_text import conclude
    from edgewright.pipeline.stages.export import export_run

    wanted = None if variants is None else tuple(name.strip() for name in variants.split(",") if name.strip())
    with progress_bars() as progress:
        outcome = export_run(run, out, wanted, provider=provider, progress=progress, overrides=overrides)
    conclude(outcome, run, as_json)
