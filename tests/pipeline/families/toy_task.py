"""Both halves of a task that is the classification of images by another name."""

from dataclasses import dataclass

from edgewright.pipeline.tasks.image_classification import ImageClassification, options
from edgewright.runtime.tasks.image_classification import ImageClassification as DeviceTask

__all__ = ["DeviceTask", "Toy", "make", "options"]


@dataclass(frozen=True)
class Toy(ImageClassification):
    """One label for each picture."""

    name: str = "toy-classification"


make = Toy
