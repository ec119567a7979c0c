"""How a self-test and a ladder read on the terminal."""

from collections.abc import Sequence

from edgewright.exporters.table import Column, figure
from edgewright.exporters.verdict import Ladder, Rung
from edgewright.pipeline.cli.render import table
from edgewright.pipeline.stages.prove import Proved
from edgewright.runtime.bundle.manifest import Proof
from edgewright.runtime.self_test import SelfTestRow

_SELFTEST: tuple[Column[SelfTestRow], ...] = (
    Column("variant", lambda row: row.variant),
    Column("as torch", lambda row: "yes" if row.passed else "NO"),
    figure("samples", lambda row: row.samples, "d"),
    figure("rel. error", lambda row: row.relative, ".1e"),
    figure("allowed", lambda row: row.relative_allowed, ".1e"),
    figure("decisions", lambda row: row.decisions, ".0%"),
    Column("on", lambda row: row.provider or "-"),
)

_LADDER: tuple[Column[Rung], ...] = (
    Column("rung", lambda rung: rung.name),
    Column("variant", lambda rung: rung.variant),
    Column("status", lambda rung: rung.status),
    figure("figure", lambda rung: rung.figure, ".2e"),
    figure("allowed", lambda rung: rung.tolerance, ".2e"),
    Column("worst sample", lambda rung: rung.worst_sample),
    Column("why", lambda rung: " ".join(filter(None, (rung.reason, f"[{rung.node}]" if rung.node else "")))),
)


def selftest_text(rows: Sequence[SelfTestRow], auto: str, proof: Proof) -> str:
    """One row per variant, what `auto` takes, and a sentence that says yes or no."""
    lines = [table(_SELFTEST, rows)]
    lines += [f"{row.variant}: {row.reason}" for row in rows if row.reason]
    lines.append(_auto(rows, auto, proof))
    good = all(row.passed for row in rows)
    lines.append(
        "yes: this device gives torch's answers" if good else "NO: this device does not give torch's answers"
    )
    return "\n".join(lines)


def proved_text(proved: Proved) -> str:
    """One row per variant, and a sentence on what the bundle says from now on."""
    lines = [table(_SELFTEST, proved.rows)]
    lines += [f"{row.variant}: {row.reason}" for row in proved.rows if row.reason]
    passed = ", ".join(row.variant for row in proved.rows if row.passed) or "nothing"
    lines.append(f"the bundle has proven on {proved.on}, emulated: {passed}")
    return "\n".join(lines)


def _auto(rows: Sequence[SelfTestRow], auto: str, proof: Proof) -> str:
    if proof.how != "not":
        return f"auto runs {auto} here: {proof.how} on {proof.on}, onnxruntime {proof.onnxruntime}"
    said = any(row.passed for row in rows)
    lost = ", and the cache could not keep what was found: set EDGEWRIGHT_CACHE to a folder of yours"
    return f"auto runs {auto} here: no variant is proven on {proof.on}{lost if said else ''}"


def ladder_text(ladder: Ladder) -> str:
    """Every rung, and the first bad one named."""
    lines = [table(_LADDER, ladder.rungs)]
    failed = ladder.first_failed
    lines.append(
        f"yes: every rung that runs here holds on {ladder.samples} samples"
        if failed is None
        else f"NO: the first bad rung is {failed.name}"
    )
    return "\n".join(lines)
