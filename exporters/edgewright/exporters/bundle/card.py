"""The bundle's README: what it is, how far it is to be trusted, how to run it. For a person."""

import re
from collections.abc import Mapping

from edgewright.exporters.verdict import VariantRow, Verdict
from edgewright.runtime.bundle.manifest import Manifest
from edgewright.runtime.tasks.description import Description

_STEP_HEADERS = " us a step | step / torch |"


def model_card(
    manifest: Manifest, description: Description, verdict: Verdict | None, facts: Mapping[str, str]
) -> str:
    """Markdown with the header that model hubs read. The same arguments always give the same text."""
    lines = [
        "---",
        f"license: {_slug(manifest.licence)}",
        f"pipeline_tag: {description.tag}",
        "library_name: onnxruntime",
        "tags: [onnx, edgewright]",
        "---",
        f"# {manifest.model}: {manifest.task.replace('-', ' ')}",
        "",
        description.answers,
        f"Licence of the weights: {manifest.licence}.",
        "",
    ]
    if facts:
        lines += [*(f"- {key}: {value}" for key, value in facts.items()), ""]
    if verdict is not None:
        lines += _verdict(verdict)
    lines += [
        "## Run it",
        "```python",
        "from edgewright.runtime import Engine",
        "",
        'engine = Engine("path/to/this/folder")',
        f"answer = engine({description.example})",
        "```",
        *(_streaming(*description.piece) if manifest.streaming is not None else ()),
        "`edgewright verify path/to/this/folder` replays the golden samples and says whether this device still",
        "gives torch's answers. Needs `pip install 'edgewright[cpu]'` (or `[gpu]`), not torch.",
        "",
        "## Made with",
        ", ".join(f"{name} {version}" for name, version in manifest.versions.items())
        + f"; seed {manifest.seed}.",
        "",
    ]
    return "\n".join(lines)


def _streaming(piece: str, source: str) -> list[str]:
    """How the streaming form is called: steps go in one by one, the state is kept."""
    return [
        "It also streams, and answers while the input arrives:",
        "```python",
        "with engine.stream() as stream:",
        f"    for {piece} in {source}:",
        f"        answer = stream.push({piece})",
        "```",
    ]


def _verdict(verdict: Verdict) -> list[str]:
    steps = any(row.step_p50_us is not None for row in verdict.rows)
    lines = [
        "## Verdict",
        f"Measured against the torch original on {verdict.samples} evaluation samples that neither training nor",
        f"calibration saw. `auto` runs **{verdict.ships}**. A variant passes while it loses at most "
        f"{verdict.budget.max_drop:.2%} of {verdict.metric_name}.",
        "",
        f"| variant | {verdict.metric_name} | drop | 95 % interval | same decision | relative error | MB | ms (median) "
        f"| speed / torch |{_STEP_HEADERS if steps else ''} on | verdict |",
        "|---|---|---|---|---|---|---|---|---|---|---|" + "---|---|" * steps,
        *(_row(row, steps) for row in verdict.rows),
        "",
    ]
    reasons = [f"- {row.name}: {text}" for row in verdict.rows for text in (row.reason, *row.notes) if text]
    return [*lines, *reasons, ""] if reasons else lines


def _row(row: VariantRow, steps: bool) -> str:
    interval = "-" if row.interval is None else f"{row.interval[0]:+.4f} to {row.interval[1]:+.4f}"
    cells = [
        row.name,
        _number(row.metric, ".4f"),
        _number(row.drop, "+.4f"),
        interval,
        _number(row.agreement, ".2%"),
        _number(row.relative, ".1e"),
        "-" if row.size is None else f"{row.size / 1e6:.2f}",
        _number(row.p50_ms, ".2f"),
        _number(row.speed_vs_torch, ".2f"),
        *((_number(row.step_p50_us, ".1f"), _number(row.step_speed_vs_torch, ".2f")) if steps else ()),
        row.provider or "-",
        row.status,
    ]
    return f"| {' | '.join(cells)} |"


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _slug(licence: str) -> str:
    return re.sub(r"[^a-z0-9.]+", "-", licence.lower()).strip("-") or "other"
