"""How a verdict reads on the terminal, and the exit status that follows from it."""

import shlex
from pathlib import Path
from typing import Any

import click

from edgewright.exporters.table import Column, figure, interval, megabytes
from edgewright.exporters.verdict import VariantRow, Verdict
from edgewright.pipeline.cli.output import emit, message
from edgewright.pipeline.cli.render import table
from edgewright.pipeline.cli.training_text import baseline_of, training_lines
from edgewright.pipeline.stages.export import Outcome
from edgewright.runtime.printable import printable


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
        click.echo(
            f"\n{printable(str(outcome.bundle))} holds {', '.join(verdict.ranking)}; auto runs {verdict.ships}"
        )
        click.echo(f"next: edgewright predict {printable(shlex.quote(str(outcome.bundle)))} INPUT")
    if outcome.bundle is not None and outcome.failed_demands:
        message(
            f"edgewright: {', '.join(outcome.failed_demands)} failed and is not in the bundle: "
            "raise budget.max_drop, or list variants without it"
        )
    if not outcome.passed:
        click.get_current_context().exit(1)


def verdict_table(verdict: Verdict) -> str:
    """One row per variant, then the reasons and the ladder."""
    lines = [
        f"judged against torch on {verdict.samples} evaluation samples, {verdict.threads} thread(s)",
        "",
        table(_columns(verdict), verdict.rows),
    ]
    texts = [f"{row.name}: {text}" for row in verdict.rows for text in (row.reason, *row.notes) if text]
    if texts:
        lines += ["", *texts]
    if verdict.stream_reason:
        lines += ["", f"the streaming form is left out: {verdict.stream_reason}"]
    if verdict.ladder is not None:
        failed = verdict.ladder.first_failed
        if failed is None:
            lines += ["", "ladder: every rung that runs here holds"]
        else:
            where = f" at {failed.node}" if failed.node else ""
            subject = f" ({failed.variant})" if failed.variant else ""
            lines += ["", f"ladder: first bad rung is {failed.name}{subject}{where}: {failed.reason}"]
    return "\n".join(lines)


def _columns(verdict: Verdict) -> list[Column[VariantRow]]:
    columns: list[Column[VariantRow]] = [
        Column("variant", lambda row: row.name),
        Column("verdict", lambda row: row.status),
        figure(verdict.metric_name, lambda row: row.metric, ".4f"),
        figure("drop", lambda row: row.drop, "+.4f"),
        Column("95 % interval", lambda row: interval(row.interval, "+.4f"), right=True),
        figure("agree", lambda row: row.agreement, ".4f"),
        figure("in lists", lambda row: row.same_in_list, ".4f"),
        figure("rel. error", lambda row: row.relative, ".1e"),
        figure("passes at", lambda row: row.passing_tolerance, ".1e"),
        figure("SQNR dB", lambda row: row.sqnr_db, ".1f"),
        figure("MB", lambda row: megabytes(row.size), ".2f"),
        figure("p50 ms", lambda row: row.p50_ms, ".2f"),
        figure("p95 ms", lambda row: row.p95_ms, ".2f"),
        figure("x torch", lambda row: row.speed_vs_torch, ".2f"),
    ]
    if any(row.step_p50_us is not None for row in verdict.rows):
        columns += [
            figure("step us", lambda row: row.step_p50_us, ".1f"),
            figure("step x torch", lambda row: row.step_speed_vs_torch, ".2f"),
        ]
    if any(row.stream_metric is not None for row in verdict.rows):
        columns.append(figure("by stream", lambda row: row.stream_metric, ".4f"))
    return [*columns, Column("on", lambda row: row.provider or "-")]
