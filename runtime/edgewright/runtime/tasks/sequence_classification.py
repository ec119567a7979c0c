"""Sequence classification on the device: a series in, every class with its probability out."""

from collections.abc import Mapping, Sequence
from typing import Any

from edgewright.runtime.bundle.manifest import StreamMemory
from edgewright.runtime.contracts import MODEL, STEP, GraphSpec
from edgewright.runtime.series.stream import SeriesEncoder
from edgewright.runtime.tasks.description import Description, ModelFacts, classifier_config, label_sentence
from edgewright.runtime.tasks.labels import Classification, Classifier, label_names
from edgewright.runtime.tasks.series import SeriesTask


class SequenceClassification(Classifier, SeriesTask[Classification]):
    """The device half of sequence classification; `processor` holds `SeriesSettings` as plain values."""

    name = "sequence-classification"

    def __init__(
        self, processor: Mapping[str, Any], labels: Sequence[str], assets: Mapping[str, bytes] | None = None
    ) -> None:
        SeriesTask.__init__(self, processor)
        self.labels = label_names(labels, "sequence classifier")
        self.signatures = {
            MODEL: GraphSpec(self.whole_inputs(), self.outputs("batch")),
            STEP: GraphSpec(self.step_inputs(), self.outputs("batch")),
        }

    def describe(self, model: ModelFacts) -> Description:
        """Its columns and labels."""
        own = classifier_config(self.labels)
        said = label_sentence(self.labels)
        return self.described("tabular-classification", said, "ForSequenceClassification", own)

    def stream_front(self, series: str = "", memory: StreamMemory | None = None) -> SeriesEncoder:
        """The raw half of a new stream."""
        return SeriesEncoder(self.settings, series, lambda front: self.later())
