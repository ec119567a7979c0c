"""`edgewright doctor`."""

import click

from edgewright.pipeline.cli.options import json_option
from edgewright.pipeline.cli.output import emit


@click.command()
@click.option(
    "--hub/--no-hub", default=True, help="Also try to reach the model hubs (a few seconds when offline)."
)
@json_option
def command(hub: bool, as_json: bool) -> None:
    """Report versions, CPU features that matter, and the providers that really start."""
    from edgewright.pipeline.stages.doctor import examine, report_text

    findings = examine(try_hub=hub)
    emit(findings, as_json, report_text(findings))
