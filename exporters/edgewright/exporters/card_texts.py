"""What a model card says of each task: what the model answers, and how it is called."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from edgewright.runtime.manifest import Manifest

__all__ = ["CARD_TEXTS", "CardText"]


@dataclass(frozen=True)
class CardText:
    """`answers` says what the model answers, `example` is a raw input in Python, `tag` is the hubs' name of the task.

    `piece` is the loop that hands a stream its pieces, where raw inputs of the task can arrive in pieces.
    """

    tag: str
    answers: Callable[[Manifest], str]
    example: str
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


_STEPS = ("row", "sensor")

CARD_TEXTS: Mapping[str, CardText] = {
    "image-classification": CardText("image-classification", _labels, '"photo.jpg"'),
    "sequence-classification": CardText("tabular-classification", _classified_series, '"series.csv"', _STEPS),
    "sequence-regression": CardText("tabular-regression", _values, '"series.csv"', _STEPS),
    "forecasting": CardText("time-series-forecasting", _forecast, '"series.csv"', _STEPS),
    "text-classification": CardText("text-classification", _labels, '"A sentence to be told apart."'),
    "audio-classification": CardText("audio-classification", _sound, '"sound.wav"', ("chunk", "microphone")),
}
"""Task to what its card says."""
