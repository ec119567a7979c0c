"""How a verdict reads on the terminal, and the exit status that follows from it."""

import shlex
from pathlib import Path
from typing import Any

import click

from edgewright.exporters.verdict import VariantRow, Verdict
from edgewright.pipeline.cli.output import emit, message, table
from edgewright.pipeline.cli.training_text import baseline_of, training_lines
from edgewright.pipeline.stages.export import Outcome


def conclude(outcome: Outcome, run_dir: Path, as_json: bool) -> None:
    """Print the verdict on a run and leave with status 1 when nothing ships or a variant that was demanded failed."""
    verdict = outcome.verdict
    report: dict[str, Any] = {
        "bundle": None if outcome.bundle is None else str(outcome.bundle),
        "passed": outcome.passed,
        "failed_demands": outcome.failed_demands,
        "verdict": verdict.summary(),
    }
    if (baseline := baseline_of(run_dir)) is not None:
        report["baseline"] = baseline
    told = training_lines(run_dir)
    emit(report, as_json, "\n".join([verdict_table(verdict), *(("", *told) if told else ())]))
    if outcome.bundle is None:
        message(f"edgewright: nothing ships: {verdict.reason}")
    elif not as_json:
        click.echo(f"\n{outcome.bundle} holds {', '.join(verdict.ranking)}; auto runs {verdict.ships}")
        click.echo(f"next: edgewright predict {shlex.quote(str(outcome.bundle))} INPUT")
    if outcome.bundle is not None and outcome.failed_demands:
        message(
            f"edgewright: {', '.join(outcome.failed_demands)} failed and is not in the bundle: "
            "raise budget.max_drop, or list variants without it"
        )
    if not outcome.passed:
        click.get_current_context().exit(1)


def verdict_table(verdict: Verdict) -> str:
    """One row per variant, then the reasons and the ladder."""
    streams = any(row.step_p50_us is not None for row in verdict.rows)
    headers = (
        "variant", "verdict", verdict.metric_name, "drop", "95 % interval", "agree", "rel. error", "passes at",
        "SQNR dB", "MB", "p50 ms", "p95 ms", "x torch", *(("step us", "step x torch") if streams else ()), "on",
    )  # fmt: skip
    rows = [_cells(row, streams) for row in verdict.rows]
    lines = [
        f"judged against torch on {verdict.samples} evaluation samples, {verdict.threads} thread(s)",
        "",
        table(headers, rows, right=range(2, len(headers) - 1)),
    ]
    texts = [f"{row.name}: {text}" for row in verdict.rows for text in (row.reason, *row.notes) if text]
    if texts:
        lines += ["", *texts]
    if verdict.ladder is not None:
        failed = verdict.ladder.first_failed
        if failed is None:
            lines += ["", "ladder: every rung that runs here holds"]
        else:
            where = f" at {failed.node}" if failed.node else ""
            subject = f" ({failed.variant})" if failed.variant else ""
            lines += ["", f"ladder: first bad rung is {failed.name}{subject}{where}: {failed.reason}"]
    return "\n".join(lines)


def _cells(row: VariantRow, streams: bool) -> tuple[str, ...]:
    def number(value: float | None, form: str) -> str:
        return "-" if value is None else format(value, form)

    interval = "-" if row.interval is None else f"{row.interval[0]:+.4f} {row.interval[1]:+.4f}"
    return (
        row.name,
        row.status,
        number(row.metric, ".4f"),
        number(row.drop, "+.4f"),
        interval,
        number(row.agreement, ".4f"),
        number(row.relative, ".1e"),
        number(row.passing_tolerance, ".1e"),
        number(row.sqnr_db, ".1f"),
        "-" if row.size is None else f"{row.size / 1e6:.2f}",
        number(row.p50_ms, ".2f"),
        number(row.p95_ms, ".2f"),
        number(row.speed_vs_torch, ".2f"),
        *((number(row.step_p50_us, ".1f"), number(row.step_speed_vs_torch, ".2f")) if streams else ()),
        row.provider or "-",
    )
