"""Sequence classification on the device: a series in, every class with its probability out."""

from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from edgewright.runtime.contracts import GraphSpec, TensorSpec
from edgewright.runtime.series.late import LateAnswer, late
from edgewright.runtime.series.stream import SeriesEncoder
from edgewright.runtime.tasks.description import Description, ModelFacts, classifier_config, label_sentence
from edgewright.runtime.tasks.labels import LOGITS, Classification, Classifier
from edgewright.runtime.tasks.series import SeriesTask
from edgewright.runtime.tasks.shapes import check_tensors

_Late = late(Classification)


class SequenceClassification(Classifier, SeriesTask):
    """The device half of sequence classification; `processor` holds `SeriesSettings` as plain values."""

    name = "sequence-classification"
    kind = "sequence classifier"

    def __init__(
        self, processor: Mapping[str, Any], labels: Sequence[str], assets: Mapping[str, bytes] | None = None
    ) -> None:
        SeriesTask.__init__(self, processor)
        Classifier.__init__(self, labels)

    def describe(self, model: ModelFacts) -> Description:
        """Its columns and labels."""
        own = classifier_config("SequenceClassification", self.labels)
        return self.described("tabular-classification", label_sentence(self.labels), own)

    def check(self, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> None:
        """Raise `BundleError` unless the graph takes these series and answers with one logit per label."""
        check_tensors("input", inputs, self._tensors)
        self.check_logits(outputs)

    def check_step(self, streaming: GraphSpec) -> None:
        """Raise `BundleError` unless the step graph takes these steps and answers with one logit per label."""
        self.check_step_inputs(streaming)
        self.check_logits(streaming.outputs)

    def stream_front(self, series: str = "") -> SeriesEncoder:
        """The raw half of a new stream."""
        return SeriesEncoder(self.settings, series, lambda front: LateAnswer(_Late, self._one, self._all))

    def _one(self, outputs: NDArray[Any]) -> Classification:
        return self._all(outputs)[0]

    def _all(self, outputs: NDArray[Any]) -> list[Classification]:
        return self.decode({LOGITS: outputs})
