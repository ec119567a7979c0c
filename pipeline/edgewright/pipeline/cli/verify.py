"""`edgewright verify`: without torch the golden self-test, with a run the whole ladder."""

from pathlib import Path

import click

from edgewright.pipeline.cli.options import bundle_argument, json_option, provider_option
from edgewright.pipeline.cli.output import emit, progress_bars


@click.command()
@bundle_argument
@click.option(
    "--against",
    type=click.Path(path_type=Path),
    default=None,
    metavar="RUN",
    help="The run it came from: climb every rung against torch.",
)
@provider_option
@json_option
def command(bundle: Path, against: Path | None, provider: str, as_json: bool) -> None:
    """Say whether BUNDLE gives torch's answers on this machine. Exit status 1 when it does not."""
    from edgewright.pipeline.cli import verify_text

    if against is None:
        from edgewright.runtime import open_bundle, selftest
        from edgewright.runtime.graphs.proven import best_proven, place_of, proof_of

        opened = open_bundle(bundle)
        rows = selftest(opened, provider=provider)
        passed = all(row.passed for row in rows)
        place = place_of(next((row.provider for row in rows if row.provider), "cpu"))
        variant = best_proven(opened, place)
        proof = proof_of(opened, variant, place)
        report = {"rows": rows, "passed": passed, "auto": {"variant": variant.name, "proven": proof}}
        emit(report, as_json, verify_text.selftest_text(rows, variant.name, proof))
    else:
        from edgewright.pipeline.stages.export import verify_run

        with progress_bars() as progress:
            ladder = verify_run(bundle, against, provider=provider, progress=progress)
        emit(ladder, as_json, verify_text.ladder_text(ladder))
        passed = ladder.first_failed is None
    if not passed:
        click.get_current_context().exit(1)
