"""How a self-test and a ladder read on the terminal."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from edgewright.pipeline.cli.output import table
from edgewright.runtime.selftest import SelfTestRow

if TYPE_CHECKING:  # a device has no exporters' dependencies
    from edgewright.exporters.verdict import Ladder


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def selftest_text(rows: Sequence[SelfTestRow]) -> str:
    """One row per variant, and a sentence that says yes or no."""
    cells = [
        (
            row.variant, "yes" if row.passed else "NO", row.samples, _number(row.relative, ".1e"),
            _number(row.relative_allowed, ".1e"), _number(row.decisions, ".0%"), row.provider or "-",
        )
        for row in rows
    ]  # fmt: skip
    headers = ("variant", "as torch", "samples", "rel. error", "allowed", "decisions", "on")
    lines = [table(headers, cells, right=(2, 3, 4, 5))]
    lines += [f"{row.variant}: {row.reason}" for row in rows if row.reason]
    good = all(row.passed for row in rows)
    lines.append(
        "yes: this device gives torch's answers" if good else "NO: this device does not give torch's answers"
    )
    return "\n".join(lines)


def ladder_text(ladder: "Ladder") -> str:
    """Every rung, and the first bad one named."""
    cells = [
        (
            rung.name, rung.variant, rung.status, _number(rung.figure, ".2e"), _number(rung.tolerance, ".2e"),
            rung.worst_sample, " ".join(part for part in (rung.reason, f"[{rung.node}]" if rung.node else "") if part),
        )
        for rung in ladder.rungs
    ]  # fmt: skip
    lines = [
        table(("rung", "variant", "status", "figure", "allowed", "worst sample", "why"), cells, right=(3, 4))
    ]
    failed = ladder.first_failed
    lines.append(
        f"yes: every rung that runs here holds on {ladder.samples} samples"
        if failed is None
        else f"NO: the first bad rung is {failed.name}"
    )
    return "\n".join(lines)
