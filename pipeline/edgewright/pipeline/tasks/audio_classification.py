"""Audio classification while it is trained."""

from dataclasses import dataclass

from edgewright.pipeline.tasks.classification import Classification, label_options


@dataclass(frozen=True)
class AudioClassification(Classification):
    """One label of `classes` for each recording."""

    name: str = "audio-classification"


make, options = AudioClassification, label_options
