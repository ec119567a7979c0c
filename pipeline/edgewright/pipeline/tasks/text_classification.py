"""Text classification while it is trained."""

from dataclasses import dataclass

from edgewright.pipeline.tasks.classification import SequenceLabels

__all__ = ["TextClassification"]


@dataclass(frozen=True)
class TextClassification(SequenceLabels):
    """One label of `classes` for each text."""

    name: str = "text-classification"
