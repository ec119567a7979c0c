"""`edgewright ship`."""

from pathlib import Path

import click

from edgewright.pipeline.cli.options import (
    json_option,
    out_option,
    provider_option,
    restart_option,
    set_option,
)
from edgewright.pipeline.cli.output import progress_bars


@click.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@out_option("the bundle", replaced=True)
@click.option(
    "--run",
    "run_dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=None,
    metavar="DIR",
    help="Where training lives; default: beside the bundle, with .run added to its name.",
)
@set_option
@provider_option
@restart_option
@json_option
def command(
    recipe: Path,
    out: Path,
    run_dir: Path | None,
    overrides: tuple[str, ...],
    provider: str,
    restart: bool,
    as_json: bool,
) -> None:
    """Fit RECIPE's model, export it, make variants, judge them and write the bundle.

    Interrupt it or kill it whenever you like: the same command continues where it was.
    """
    from edgewright.pipeline.cli.verdict_text import conclude
    from edgewright.pipeline.stages.export import ship

    if run_dir is None:
        named = out.resolve() if out.name == ".." else out
        run_dir = named.with_name(f"{named.name}.run")
    with progress_bars() as progress:
        outcome = ship(recipe, out, run_dir, overrides, provider=provider, restart=restart, progress=progress)
    conclude(outcome, run_dir, as_json)
