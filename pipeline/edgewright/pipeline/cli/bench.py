"""`edgewright bench`."""

from pathlib import Path

import click

from edgewright.pipeline.cli.options import bundle_argument, json_option, provider_option, threads_option
from edgewright.pipeline.cli.output import emit, table


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
    headers = (
        "variant", "p50 ms", "p95 ms", f"answers/s (batch {batch})", "start ms", "peak MB", "provider", "graph x torch",
        *(("step us", "step x torch") if streams else ()),
    )  # fmt: skip

    def number(value: float | None, form: str) -> str:
        return "-" if value is None else format(value, form)

    cells = [
        (
            row.variant, f"{row.p50_ms:.2f}", f"{row.p95_ms:.2f}", f"{row.throughput:.1f}", f"{row.start_ms:.0f}",
            f"{row.peak_mb:.0f}", row.provider, number(row.ratio_to_torch, ".2f"),
            *((number(row.step_us, ".1f"), number(row.step_ratio_to_torch, ".2f")) if streams else ()),
        )
        for row in rows
    ]  # fmt: skip
    emit(rows, as_json, table(headers, cells, right=(1, 2, 3, 4, 5, 7, 8, 9)))
