"""Sequence classification while it is trained."""

from dataclasses import dataclass

from edgewright.pipeline.tasks.classification import SequenceLabels


@dataclass(frozen=True)
class SequenceClassification(SequenceLabels):
    """One label of `classes` for each series."""

    name: str = "sequence-classification"
