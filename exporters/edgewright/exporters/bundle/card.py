"""The bundle's README: what it is, how far it is to be trusted, how to run it. For a person."""

import re
from collections.abc import Iterable, Mapping, Sequence

from edgewright.exporters.bundle.metadata import front_matter
from edgewright.exporters.bundle.origin import UNKNOWN, Origin
from edgewright.exporters.table import Column, Row, cells, figure, interval, megabytes
from edgewright.exporters.verdict import VariantRow, Verdict
from edgewright.runtime.bundle.manifest import Manifest, StreamMemory
from edgewright.runtime.printable import one_line
from edgewright.runtime.tasks.description import Description

_MARKS = {"<": "&lt;", ">": "&gt;", "&": "&amp;", **{mark: f"\\{mark}" for mark in "\\`[]|"}}
_ADDRESS = re.compile(r"(?i)(https?|ftp|www|mailto)([:.])")
"""What makes a link of itself where it stands alone; a comment of nothing keeps it from that."""


def model_card(
    manifest: Manifest,
    description: Description,
    verdict: Verdict | None,
    facts: Mapping[str, str],
    origin: Origin = UNKNOWN,
) -> str:
    """Markdown with the header that model hubs read. The same arguments always give the same text."""
    lines = [
        *front_matter(manifest, description, verdict, origin),
        f"# {in_markdown(manifest.model)}: {in_markdown(manifest.task.replace('-', ' '))}",
        "",
        in_markdown(description.answers),
        f"Licence of the weights: {in_markdown(manifest.licence)}.",
        "",
    ]
    if facts:
        lines += [*(f"- {in_markdown(key)}: {in_markdown(value)}" for key, value in facts.items()), ""]
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
        *(_streaming(description, manifest.stream) if manifest.streams else ()),
        "`edgewright verify path/to/this/folder` replays the golden samples and says whether this device still",
        "gives torch's answers. Needs `pip install 'edgewright[cpu]'` (or `[gpu]`), not torch.",
        "",
        "## Made with",
        ", ".join(
            f"{in_markdown(name)} {in_markdown(version)}" for name, version in manifest.versions.items()
        )
        + f"; seed {manifest.seed}.",
        "",
    ]
    return "\n".join(lines)


def _streaming(description: Description, memory: StreamMemory | None) -> list[str]:
    """How the streaming form is called: pieces go in one by one, what it remembers is kept."""
    piece, source = description.piece
    return [
        "It also streams, and answers while the input arrives:",
        "```python",
        f"with engine.stream({description.stream}) as stream:",
        f"    for {piece} in {source}:",
        f"        answer = stream.push({piece})",
        "        if answer is not None:  # not before there is enough to answer",
        "            print(answer)",
        "```",
        *_remembered(memory),
    ]


def _remembered(memory: StreamMemory | None) -> list[str]:
    if memory is None:
        return []
    if memory.memory == "context":
        said = f"An answer is made of the last {memory.steps} steps."
    else:
        said = (
            "An answer is made of all steps since the stream began: call `stream.reset()` where something new begins. "
            f"Training saw up to {memory.steps} steps."
        )
    if memory.pause is not None:
        said += f" After {memory.pause} quiet steps it begins anew by itself."
    return [said, ""]


def _verdict(verdict: Verdict) -> list[str]:
    lines = [
        "## Verdict",
        f"Measured against the torch original on {verdict.samples} evaluation samples that neither training nor",
        f"calibration saw. `auto` runs **{verdict.ships}**. A variant passes while it loses at most "
        f"{verdict.budget.max_drop:.2%} of {in_markdown(verdict.metric_name)}.",
        "",
        *_table(_verdict_columns(verdict), verdict.rows),
        "",
    ]
    reasons = [
        f"- {in_markdown(row.name)}: {in_markdown(text)}"
        for row in verdict.rows
        for text in (row.reason, *row.notes)
        if text
    ]
    if verdict.stream_reason:
        reasons.append(f"- it does not stream: {in_markdown(verdict.stream_reason)}")
    return [*lines, *reasons, ""] if reasons else lines


def _verdict_columns(verdict: Verdict) -> list[Column[VariantRow]]:
    columns: list[Column[VariantRow]] = [
        Column("variant", lambda row: row.name),
        figure(verdict.metric_name, lambda row: row.metric, ".4f"),
        figure("drop", lambda row: row.drop, "+.4f"),
        Column("95 % interval", lambda row: interval(row.interval, "+.4f", " to ")),
        figure("same decision", lambda row: row.agreement, ".2%"),
        figure("same in a list", lambda row: row.same_in_list, ".2%"),
        figure("relative error", lambda row: row.relative, ".1e"),
        figure("MB", lambda row: megabytes(row.size), ".2f"),
        figure("ms (median)", lambda row: row.p50_ms, ".2f"),
        figure("speed / torch", lambda row: row.speed_vs_torch, ".2f"),
    ]
    if any(row.step_p50_us is not None for row in verdict.rows):
        columns += [
            figure("us a step", lambda row: row.step_p50_us, ".1f"),
            figure("step / torch", lambda row: row.step_speed_vs_torch, ".2f"),
        ]
    if any(row.stream_metric is not None for row in verdict.rows):
        columns.append(figure(f"{verdict.metric_name} by stream", lambda row: row.stream_metric, ".4f"))
    columns += [Column("on", lambda row: row.provider or "-"), Column("verdict", lambda row: row.status)]
    return columns


def _table(columns: Sequence[Column[Row]], rows: Iterable[Row]) -> list[str]:
    titles, *lines = [f"| {' | '.join(map(in_markdown, row))} |" for row in cells(columns, rows)]
    return [titles, f"|{'---|' * len(columns)}", *lines]


def in_markdown(text: str) -> str:
    """A text of others, a label or a path, as a card says it: on one line, and never a tag, a link, a picture, a cell
    or code.
    """
    marked = "".join(_MARKS.get(character, character) for character in one_line(text))
    return _ADDRESS.sub(lambda found: f"{found[1]}<!-- -->{found[2]}", marked)
