"""The tasks a device knows: one file each, found by the name that stands in the manifest."""

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

from edgewright.runtime.errors import BundleError
from edgewright.runtime.hints import near_names
from edgewright.runtime.options import Option
from edgewright.runtime.tasks.base import Task

__all__ = ["TASKS", "load_task", "options_of"]

TASKS: dict[str, str] = {
    "image-classification": "edgewright.runtime.tasks.image_classification:ImageClassification",
    "sequence-classification": "edgewright.runtime.tasks.sequence_classification:SequenceClassification",
    "sequence-regression": "edgewright.runtime.tasks.sequence_regression:SequenceRegression",
    "forecasting": "edgewright.runtime.tasks.forecasting:Forecasting",
    "text-classification": "edgewright.runtime.tasks.text_classification:text_classification",
    "audio-classification": "edgewright.runtime.tasks.audio_classification:AudioClassification",
    "token-classification": "edgewright.runtime.tasks.token_classification:TokenClassification",
    "question-answering": "edgewright.runtime.tasks.question_answering:QuestionAnswering",
    "sentence-embedding": "edgewright.runtime.tasks.sentence_embedding:SentenceEmbedding",
    "zero-shot-classification": "edgewright.runtime.tasks.zero_shot_classification:ZeroShotClassification",
}
"""Name of a task to "module:class". A new task is one entry here and one file beside this one."""


def load_task(
    name: str, processor: Mapping[str, Any], labels: Sequence[str], assets: Mapping[str, bytes] | None = None
) -> Task[Any]:
    """Build the device half of the task `name`; `assets` holds the content of each asset by its role.

    Raises `BundleError` for an unknown name or settings that cannot be used.
    """
    if name not in TASKS:
        near = near_names(name, TASKS, 1)
        hint = f"did you mean {near[0]}?" if near else f"it knows {', '.join(TASKS)}"
        raise BundleError(
            f"this edgewright does not know the task {name!r} ({hint}): update edgewright on this machine"
        )
    module, _, attribute = TASKS[name].partition(":")
    build = getattr(importlib.import_module(module), attribute)
    task: Task[Any] = build(processor, tuple(labels), dict(assets or {}))
    return task


def options_of(name: str) -> tuple[Option, ...]:
    """The options that the task `name` declares; none for an unknown one."""
    if name not in TASKS:
        return ()
    module, _, attribute = TASKS[name].partition(":")
    declared: tuple[Option, ...] = getattr(getattr(importlib.import_module(module), attribute), "options", ())
    return declared
