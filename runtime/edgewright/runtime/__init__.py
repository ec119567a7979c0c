"""Runs a bundle on a device: numpy, Pillow and ONNX Runtime, never torch.

```python
from edgewright.runtime import Engine

Engine("bundle")("photo.jpg").label
```
"""

import importlib
from typing import TYPE_CHECKING, Any

from edgewright.runtime.telemetry import switch_telemetry_off

if TYPE_CHECKING:
    from edgewright.runtime.bundle.opening import Bundle, open_bundle
    from edgewright.runtime.engine import Engine
    from edgewright.runtime.errors import (
        BundleError,
        EdgewrightError,
        InputError,
        MachineError,
        ProviderError,
    )
    from edgewright.runtime.self_test import SelfTestRow, selftest
    from edgewright.runtime.series.settings import Series
    from edgewright.runtime.streams.group import StreamGroup
    from edgewright.runtime.streams.state import StreamState
    from edgewright.runtime.streams.stream import Stream
    from edgewright.runtime.tasks.answers import Answer, FolderAnswers
    from edgewright.runtime.tasks.forecasting import Forecast
    from edgewright.runtime.tasks.labels import Classification, Labels, LabelScore, MultiLabel
    from edgewright.runtime.tasks.question_answering import AnswerSpan, QuestionAnswer
    from edgewright.runtime.tasks.sentence_embedding import Embedding
    from edgewright.runtime.tasks.sequence_regression import Prediction
    from edgewright.runtime.tasks.token_classification import Entity, TaggedText, TaggedWord
    from edgewright.runtime.text.raw import Question, TextPair, Words

__all__ = [
    "Answer",
    "AnswerSpan",
    "Bundle",
    "BundleError",
    "Classification",
    "EdgewrightError",
    "Embedding",
    "Engine",
    "Entity",
    "FolderAnswers",
    "Forecast",
    "InputError",
    "LabelScore",
    "Labels",
    "MachineError",
    "MultiLabel",
    "Prediction",
    "ProviderError",
    "Question",
    "QuestionAnswer",
    "SelfTestRow",
    "Series",
    "Stream",
    "StreamGroup",
    "StreamState",
    "TaggedText",
    "TaggedWord",
    "TextPair",
    "Words",
    "open_bundle",
    "selftest",
]

_HOMES = {
    "Answer": "edgewright.runtime.tasks.answers",
    "AnswerSpan": "edgewright.runtime.tasks.question_answering",
    "Bundle": "edgewright.runtime.bundle.opening",
    "BundleError": "edgewright.runtime.errors",
    "Classification": "edgewright.runtime.tasks.labels",
    "EdgewrightError": "edgewright.runtime.errors",
    "Embedding": "edgewright.runtime.tasks.sentence_embedding",
    "Engine": "edgewright.runtime.engine",
    "Entity": "edgewright.runtime.tasks.token_classification",
    "FolderAnswers": "edgewright.runtime.tasks.answers",
    "Forecast": "edgewright.runtime.tasks.forecasting",
    "InputError": "edgewright.runtime.errors",
    "LabelScore": "edgewright.runtime.tasks.labels",
    "Labels": "edgewright.runtime.tasks.labels",
    "MachineError": "edgewright.runtime.errors",
    "MultiLabel": "edgewright.runtime.tasks.labels",
    "Prediction": "edgewright.runtime.tasks.sequence_regression",
    "ProviderError": "edgewright.runtime.errors",
    "Question": "edgewright.runtime.text.raw",
    "QuestionAnswer": "edgewright.runtime.tasks.question_answering",
    "SelfTestRow": "edgewright.runtime.self_test",
    "Series": "edgewright.runtime.series.settings",
    "Stream": "edgewright.runtime.streams.stream",
    "StreamGroup": "edgewright.runtime.streams.group",
    "StreamState": "edgewright.runtime.streams.state",
    "TaggedText": "edgewright.runtime.tasks.token_classification",
    "TaggedWord": "edgewright.runtime.tasks.token_classification",
    "TextPair": "edgewright.runtime.text.raw",
    "Words": "edgewright.runtime.text.raw",
    "open_bundle": "edgewright.runtime.bundle.opening",
    "selftest": "edgewright.runtime.self_test",
}
"""Public name to the module that it comes from: each is imported when it is asked for, so that a start is quick."""

# Nothing above imports onnxruntime, and no other module of the package is imported before this file has run.
switch_telemetry_off()


if not TYPE_CHECKING:  # which would believe that there is every name

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(importlib.import_module(_HOMES[name]), name)
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
