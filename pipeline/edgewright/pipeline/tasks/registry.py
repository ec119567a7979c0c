"""The training halves by task name. A new task is one file here and one in the runtime."""

import importlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, cast

from edgewright.pipeline.tasks.base import TrainingTask
from edgewright.runtime.errors import RecipeError

TRAINING_TASKS: Mapping[str, str] = MappingProxyType(
    {
        "image-classification": "edgewright.pipeline.tasks.image_classification:ImageClassification",
        "sequence-classification": "edgewright.pipeline.tasks.sequence_classification:SequenceClassification",
        "sequence-regression": "edgewright.pipeline.tasks.sequence_regression:SequenceRegression",
        "forecasting": "edgewright.pipeline.tasks.forecasting:Forecasting",
        "text-classification": "edgewright.pipeline.tasks.text_classification:text_classification",
        "audio-classification": "edgewright.pipeline.tasks.audio_classification:AudioClassification",
        "token-classification": "edgewright.pipeline.tasks.token_classification:TokenClassification",
        "question-answering": "edgewright.pipeline.tasks.question_answering:QuestionAnswering",
        "sentence-embedding": "edgewright.pipeline.tasks.sentence_embedding:SentenceEmbedding",
        "zero-shot-classification": "edgewright.pipeline.tasks.zero_shot_classification:ZeroShotClassification",
    }
)
"""Task name to "module:class", or to "module:function" that chooses the class."""


def make_training_task(name: str, classes: tuple[str, ...], **options: Any) -> TrainingTask:
    """The training half of the task `name`. Raises `RecipeError` for an unknown one."""
    if name not in TRAINING_TASKS:
        raise RecipeError(f"task: unknown task {name!r}: choose from {', '.join(TRAINING_TASKS)}")
    module, _, attribute = TRAINING_TASKS[name].partition(":")
    return cast(TrainingTask, getattr(importlib.import_module(module), attribute)(classes, **options))
