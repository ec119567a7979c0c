"""`edgewright bench`."""

from pathlib import Path

import click

from edgewright.exporters.table import Column, figure
from edgewright.pipeline.cli.options import bundle_argument, json_option, provider_option, threads_option
from edgewright.pipeline.cli.output import emit
from edgewright.pipeline.cli.render import table
from edgewright.pipeline.stages.bench_row import BenchRow


@click.command()
@bundle_argument
@click.option(
    "--against",
    type=click.Path(path_type=Path),
    default=None,
    metavar="RUN",
    help="Also time torch on this run.",
)
@click.option(
    "--variant", default="all", show_default=True, metavar="NAME", help="One variant, auto, or all."
)
@click.option(
    "--seconds",
    type=click.FloatRange(0.1, 600),
    default=3.0,
    show_default=True,
    help="How long to measure each.",
)
@click.option(
    "--batch",
    type=click.IntRange(1, 4096),
    default=8,
    show_default=True,
    help="Batch size of the throughput run.",
)
@provider_option
@threads_option
@json_option
def command(
    bundle: Path,
    against: Path | None,
    variant: str,
    seconds: float,
    batch: int,
    provider: str,
    threads: int | None,
    as_json: bool,
) -> None:
    """Measure BUNDLE here: p50/p95 latency, throughput, memory, provider, ratio to torch when a run is given."""
    from edgewright.pipeline.stages.bench import bench_bundle

    rows = bench_bundle(
        bundle,
        variant=variant,
        seconds=seconds,
        batch=batch,
        provider=provider,
        threads=threads,
        against=against,
    )
    streams = any(row.step_us is not None for row in rows)
    emit(rows, as_json, table(_columns(batch, streams), rows))


def _columns(batch: int, streams: bool) -> list[Column[BenchRow]]:
    columns: list[Column[BenchRow]] = [
        Column("variant", lambda row: row.variant),
        figure("p50 ms", lambda row: row.p50_ms, ".2f"),
        figure("p95 ms", lambda row: row.p95_ms, ".2f"),
        figure(f"answers/s (batch {batch})", lambda row: row.throughput, ".1f"),
        figure("start ms", lambda row: row.start_ms, ".0f"),
        figure("peak MB", lambda row: row.peak_mb, ".0f"),
        Column("provider", lambda row: row.provider),
        figure("graph x torch", lambda row: row.ratio_to_torch, ".2f"),
    ]
    if streams:
        columns += [
            figure("step us", lambda row: row.step_us, ".1f"),
            figure("step x torch", lambda row: row.step_ratio_to_torch, ".2f"),
        ]
    return columns
