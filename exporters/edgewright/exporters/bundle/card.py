"""The bundle's README: what it is, how far it is to be trusted, how to run it. For a person."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from edgewright.exporters.table import Column, Row, cells, figure, interval, megabytes
from edgewright.exporters.verdict import VariantRow, Verdict
from edgewright.runtime.bundle.manifest import Manifest
from edgewright.runtime.text.settings import EncoderTextSettings, encoder_settings, is_encoder


def model_card(manifest: Manifest, verdict: Verdict | None, facts: Mapping[str, str]) -> str:
    """Markdown with the header that model hubs read. The same arguments always give the same text."""
    text = CARD_TEXTS[manifest.task]
    lines = [
        "---",
        f"license: {_slug(manifest.licence)}",
        f"pipeline_tag: {text.tag}",
        "library_name: onnxruntime",
        "tags: [onnx, edgewright]",
        "---",
        f"# {manifest.model}: {manifest.task.replace('-', ' ')}",
        "",
        text.answers(manifest),
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
        f"answer = engine({text.example(manifest)})",
        "```",
        *(_streaming(*text.piece) if manifest.streaming is not None else ()),
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
    lines = [
        "## Verdict",
        f"Measured against the torch original on {verdict.samples} evaluation samples that neither training nor",
        f"calibration saw. `auto` runs **{verdict.ships}**. A variant passes while it loses at most "
        f"{verdict.budget.max_drop:.2%} of {verdict.metric_name}.",
        "",
        *_table(_verdict_columns(verdict), verdict.rows),
        "",
    ]
    reasons = [f"- {row.name}: {text}" for row in verdict.rows for text in (row.reason, *row.notes) if text]
    return [*lines, *reasons, ""] if reasons else lines


def _verdict_columns(verdict: Verdict) -> list[Column[VariantRow]]:
    columns: list[Column[VariantRow]] = [
        Column("variant", lambda row: row.name),
        figure(verdict.metric_name, lambda row: row.metric, ".4f"),
        figure("drop", lambda row: row.drop, "+.4f"),
        Column("95 % interval", lambda row: interval(row.interval, "+.4f", " to ")),
        figure("same decision", lambda row: row.agreement, ".2%"),
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
    columns += [Column("on", lambda row: row.provider or "-"), Column("verdict", lambda row: row.status)]
    return columns


def _table(columns: Sequence[Column[Row]], rows: Iterable[Row]) -> list[str]:
    titles, *lines = [f"| {' | '.join(row)} |" for row in cells(columns, rows)]
    return [titles, f"|{'---|' * len(columns)}", *lines]


def _slug(licence: str) -> str:
    return re.sub(r"[^a-z0-9.]+", "-", licence.lower()).strip("-") or "other"


@dataclass(frozen=True)
class CardText:
    """`answers` says what the model answers, `example` gives a raw input in Python, `tag` is the hubs' name of it all.

    `piece` is the loop that hands a stream its pieces, where raw inputs of the task can arrive in pieces.
    """

    tag: str
    answers: Callable[[Manifest], str]
    example: Callable[[Manifest], str]
    piece: tuple[str, str] = ("", "")


def _labels(manifest: Manifest) -> str:
    return f"Answers with one of {len(manifest.labels)} labels: {shortened(manifest.labels)}."


def _columns(manifest: Manifest) -> str:
    return f"Reads the columns {shortened(manifest.processor['features'])}."


def _classified_series(manifest: Manifest) -> str:
    return f"{_columns(manifest)} {_labels(manifest)}"


def _values(manifest: Manifest) -> str:
    return f"{_columns(manifest)} Answers every step with {shortened(manifest.processor['targets'])}."


def _forecast(manifest: Manifest) -> str:
    forecast = manifest.processor["forecast"]
    known = f" It has to be told {shortened(forecast['known'])} of these steps." if forecast["known"] else ""
    return (
        f"{_columns(manifest)} Answers with the next {forecast['horizon']} steps of "
        f"{shortened(manifest.processor['targets'])}, from the last {forecast['context']}.{known}"
    )


def _sound(manifest: Manifest) -> str:
    return f"Hears sound of {manifest.processor['sample_rate']} Hz. {_labels(manifest)}"


def shortened(names: Sequence[str]) -> str:
    """Names in a row; of many, the first ten."""
    if len(names) <= 12:
        return ", ".join(names)
    return ", ".join(names[:10]) + f" and {len(names) - 10} more (config.json has them all)"


def _read(settings: EncoderTextSettings) -> str:
    """How much of a text the model reads."""
    longer = {
        "truncate": "longer texts are cut, and the answer says by how much",
        "stride": f"longer texts are read in windows that share {settings.stride}",
        "refuse": "longer texts are refused",
    }
    return f"Reads up to {settings.max_tokens} tokens; {longer[settings.policy]}."


def _classified_text(manifest: Manifest) -> str:
    if not is_encoder(manifest.processor):
        return _labels(manifest)
    settings = encoder_settings(manifest.processor)
    said = _labels(manifest)
    if settings.multi_label:
        said = f"Answers with any of {len(manifest.labels)} labels: {shortened(manifest.labels)}."
    return f"{said} {_read(settings)}"


def _text_example(manifest: Manifest) -> str:
    settings = encoder_settings(manifest.processor) if is_encoder(manifest.processor) else None
    if settings is None or not settings.pair:
        return '"A sentence to be told apart."'
    first, second = settings.columns or ("first", "second")
    return f'{{"{first}": "It rains.", "{second}": "The street is wet."}}'


def _entities(manifest: Manifest) -> str:
    kinds = sorted({label.partition("-")[2] for label in manifest.labels if "-" in label})
    read = _read(encoder_settings(manifest.processor))
    return f"Answers with the spans of a text that are {shortened(kinds)}. {read}"


def _answers_questions(manifest: Manifest) -> str:
    settings = encoder_settings(manifest.processor)
    none = settings.question is not None and settings.question.no_answer
    said = "Answers a question with a part of the context"
    return f"{said}{', or says that there is no answer' if none else ''}. {_read(settings)}"


def _vector(manifest: Manifest) -> str:
    settings = encoder_settings(manifest.processor)
    (output,) = manifest.outputs
    length = " of length 1" if settings.normalise else ""
    return f"Answers with a vector of {output.shape[-1]} numbers{length}. {_read(settings)}"


def _zero_shot(manifest: Manifest) -> str:
    settings = encoder_settings(manifest.processor)
    way = (
        "the NLI model" if settings.zero_shot is not None and settings.zero_shot.by == "nli" else "embeddings"
    )
    known = f"; without any it uses {shortened(manifest.labels)}" if manifest.labels else ""
    return f"Answers with one of the labels that are given with the text, by {way}{known}. {_read(settings)}"


def _always(example: str) -> Callable[[Manifest], str]:
    return lambda manifest: example


_SERIES = _always('"series.csv"')
_STEPS = ("row", "sensor")

CARD_TEXTS: Mapping[str, CardText] = {
    "image-classification": CardText("image-classification", _labels, _always('"photo.jpg"')),
    "sequence-classification": CardText("tabular-classification", _classified_series, _SERIES, _STEPS),
    "sequence-regression": CardText("tabular-regression", _values, _SERIES, _STEPS),
    "forecasting": CardText("time-series-forecasting", _forecast, _SERIES, _STEPS),
    "text-classification": CardText("text-classification", _classified_text, _text_example),
    "audio-classification": CardText(
        "audio-classification", _sound, _always('"sound.wav"'), ("chunk", "microphone")
    ),
    "token-classification": CardText(
        "token-classification", _entities, _always('"Ada Lovelace lived in London."')
    ),
    "question-answering": CardText(
        "question-answering",
        _answers_questions,
        _always('{"question": "Where did she live?", "context": "Ada Lovelace lived in London."}'),
    ),
    "sentence-embedding": CardText("sentence-similarity", _vector, _always('"A sentence to be compared."')),
    "zero-shot-classification": CardText(
        "zero-shot-classification", _zero_shot, _always('"The team won.", labels=["sport", "music"]')
    ),
}
"""Task to what its card says."""
