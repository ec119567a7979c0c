"""Text classification while it is trained: by a recurrent net, or by an encoder."""

from dataclasses import dataclass
from typing import Any

from edgewright.pipeline.tasks.base import TrainingTask
from edgewright.pipeline.tasks.classification import SequenceLabels


@dataclass(frozen=True)
class TextClassification(SequenceLabels):
    """One label of `classes` for each text, by a recurrent net."""

    name: str = "text-classification"


def text_classification(classes: tuple[str, ...], **options: Any) -> TrainingTask:
    """The training half for `options`: with the `processor` of an encoder it is that of encoders."""
    if "processor" not in options:
        return TextClassification(classes, **options)
    from edgewright.pipeline.tasks import encoder_text_classification as encoders

    if options["processor"]["multi_label"]:
        return encoders.SeveralLabels(classes, **options)
    return encoders.OneLabel(classes, **options)
