"""How a comparison reads on the terminal: one table, and what can be said of which is best."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgewright.pipeline.cli.output import table
from edgewright.pipeline.stages.compare import COMPARISON, Comparison, Row
from edgewright.pipeline.stages.compare_grid import cannot_tell_apart
from edgewright.runtime.bundle.structure import to_plain


def best_row(found: Comparison) -> Row | None:
    """The row with the best mean of the metric over all seeds; None when no cell finished."""
    whole = [row for row in found.rows if row.metric is not None and len(row.scores) == len(found.seeds)]
    return max(whole, key=lambda row: row.metric.mean if row.metric else 0.0, default=None)


def comparison_report(found: Comparison) -> dict[str, Any]:
    """What `--json` prints: the comparison, and which row is best (null when none finished)."""
    best = best_row(found)
    plain: dict[str, Any] = to_plain(found)
    return {**plain, "best": None if best is None else dict(best.choice), "failed": found.failed}


def comparison_text(found: Comparison, out: Path) -> str:
    """One row per cell, the reasons and notes below, then the answer to "which should I use?"."""
    seeds = len(found.seeds)
    streams = any(row.step_us is not None for row in found.rows)
    headers = [
        *found.keys, found.metric_name, *(["95 % interval"] if seeds > 1 else []), "parameters", "train s", "ships",
        "MB", "p50 ms", *(["step us"] if streams else []), *(["status"] if found.failed else []),
    ]  # fmt: skip
    texts = len(found.keys)
    words = {*range(texts), headers.index("ships")} | ({len(headers) - 1} if found.failed else set())
    lines = [
        table(
            headers,
            [_cells(row, found, streams) for row in found.rows],
            right=[column for column in range(len(headers)) if column not in words],
        )
    ]
    told = [
        f"{_named(row)}: {text}"
        for row in found.rows
        for text in ([row.reason] if row.reason else []) + list(row.notes)
    ]
    if told:
        lines += ["", *told]
    lines += ["", *_answer(found), f"runs, bundles and {COMPARISON} are in {out}"]
    return "\n".join(lines)


def _cells(row: Row, found: Comparison, streams: bool) -> Sequence[str]:
    def number(value: float | None, form: str) -> str:
        return "-" if value is None else format(value, form)

    metric = row.metric
    interval = metric.interval if metric is not None else None
    spread = "-" if interval is None else f"{interval[0]:.4f} {interval[1]:.4f}"
    return (
        *row.choice.values(),
        number(metric.mean if metric else None, ".4f"),
        *([spread] if len(found.seeds) > 1 else []),
        number(row.parameters, ",d"),
        number(row.seconds, ".1f"),
        row.ships or "-",
        number(None if row.size_bytes is None else row.size_bytes / 1e6, ".2f"),
        number(row.p50_ms, ".2f"),
        *([number(row.step_us, ".1f")] if streams else []),
        *((["FAILED"] if row.failed else ["ok"]) if found.failed else []),
    )


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
        if row is not best
        and len(row.scores) == len(found.seeds)
        and cannot_tell_apart(best.scores, row.scores)
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
