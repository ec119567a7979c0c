"""Audio classification while it is trained."""

from dataclasses import dataclass

from edgewright.pipeline.tasks.classification import SequenceLabels


@dataclass(frozen=True)
class AudioClassification(SequenceLabels):
    """One label of `classes` for each recording."""

    name: str = "audio-classification"
