"""Sequence classification while it is trained."""

from dataclasses import dataclass

from edgewright.pipeline.tasks.classification import Classification, label_options


@dataclass(frozen=True)
class SequenceClassification(Classification):
    """One label of `classes` for each series."""

    name: str = "sequence-classification"


make, options = SequenceClassification, label_options
