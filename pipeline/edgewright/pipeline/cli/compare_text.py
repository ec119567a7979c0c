"""How a comparison reads on the terminal: one table, and what can be said of which is best."""

from pathlib import Path
from typing import Any

from edgewright.exporters.table import Column, figure, interval, megabytes
from edgewright.pipeline.cli.render import table
from edgewright.pipeline.stages.compare import COMPARISON, Comparison, Row
from edgewright.pipeline.stages.compare_grid import cannot_tell_apart
from edgewright.runtime.bundle.structure import to_plain


def best_row(found: Comparison) -> Row | None:
    """The row with the best mean of the metric over all seeds; None when no cell finished."""
    whole = [row for row in found.rows if row.metric is not None and _finished(row, found)]
    return max(whole, key=lambda row: row.metric.mean if row.metric else 0.0, default=None)


def _finished(row: Row, found: Comparison) -> bool:
    """Whether a cell has a score of every seed."""
    return len(row.scores) == len(found.seeds)


def comparison_report(found: Comparison) -> dict[str, Any]:
    """What `--json` prints: the comparison, and which row is best (null when none finished)."""
    best = best_row(found)
    plain: dict[str, Any] = to_plain(found)
    return {**plain, "best": None if best is None else dict(best.choice), "failed": found.failed}


def comparison_text(found: Comparison, out: Path) -> str:
    """One row per cell, the reasons and notes below, then the answer to "which should I use?"."""
    lines = [table(_columns(found), found.rows)]
    told = [
        f"{_named(row)}: {text}"
        for row in found.rows
        for text in ([row.reason] if row.reason else []) + list(row.notes)
    ]
    if told:
        lines += ["", *told]
    lines += ["", *_answer(found), f"runs, bundles and {COMPARISON} are in {out}"]
    return "\n".join(lines)


def _columns(found: Comparison) -> list[Column[Row]]:
    columns = [_choice(key) for key in found.keys]
    columns.append(figure(found.metric_name, lambda row: row.metric.mean if row.metric else None, ".4f"))
    if len(found.seeds) > 1:
        columns.append(Column("95 % interval", _interval, right=True))
    columns += [
        figure("parameters", lambda row: row.parameters, ",d"),
        figure("train s", lambda row: row.seconds, ".1f"),
        Column("ships", lambda row: row.ships or "-"),
        figure("MB", lambda row: megabytes(row.size_bytes), ".2f"),
        figure("p50 ms", lambda row: row.p50_ms, ".2f"),
    ]
    if any(row.step_us is not None for row in found.rows):
        columns.append(figure("step us", lambda row: row.step_us, ".1f"))
    if found.failed:
        columns.append(Column("status", lambda row: "FAILED" if row.failed else "ok"))
    return columns


def _choice(key: str) -> Column[Row]:
    return Column(key, lambda row: row.choice[key])


def _interval(row: Row) -> str:
    return interval(row.metric.interval if row.metric is not None else None, ".4f")


def _named(row: Row) -> str:
    return " ".join(f"{key}={value}" for key, value in row.choice.items())


def _answer(found: Comparison) -> list[str]:
    best = best_row(found)
    if best is None or best.metric is None:
        return ["no cell finished with every seed: nothing can be said of which is best"]
    seeds = f"{len(found.seeds)} seeds" if len(found.seeds) > 1 else "one seed"
    lines = [f"best {found.metric_name} over {seeds}: {_named(best)}"]
    level = [
        row
        for row in found.rows
        if row is not best and _finished(row, found) and cannot_tell_apart(best.scores, row.scores)
    ]
    if level:
        lines.append(f"not told apart from it by {seeds}: {', '.join(_named(row) for row in level)}")
        able = [row for row in (best, *level) if not row.failed]
        for what, figures in (
            ("smallest", [(row.size_bytes, row) for row in able]),
            ("fastest whole", [(row.p50_ms, row) for row in able]),
            ("fastest step", [(row.step_us, row) for row in able]),
        ):
            known = [(value, row) for value, row in figures if value is not None]
            if known:
                lines.append(f"of these the {what}: {_named(min(known, key=lambda pair: pair[0])[1])}")
    if len(found.seeds) == 1 and len(found.rows) > 1:
        lines.append("one seed does not tell how much is luck: add --seeds 3")
    return lines
