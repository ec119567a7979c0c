"""Text classification by an encoder on the device: a text or a pair of texts in, labels with probabilities out."""

from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from edgewright.runtime.errors import BundleError
from edgewright.runtime.manifest import TensorSpec
from edgewright.runtime.tasks.base import Feeds
from edgewright.runtime.tasks.classification import LOGITS
from edgewright.runtime.tasks.encoder_task import EncoderTask
from edgewright.runtime.tasks.label_answers import (
    LabelledText,
    MultiLabelText,
    chosen_labels,
    finite,
    label_answers,
    lost_of,
    plain_labels,
    show_labels,
)

__all__ = ["EncoderTextClassification"]


class EncoderTextClassification(EncoderTask):
    """The device half of text classification by an encoder: of one label, of any number, of a pair of texts."""

    name = "text-classification"
    kind = "text classifier"

    def __init__(
        self, processor: Mapping[str, Any], labels: Sequence[str], assets: Mapping[str, bytes] | None = None
    ) -> None:
        self._labels = tuple(labels)
        if not self._labels:
            raise BundleError(
                f"a {self.kind} needs labels, and the bundle has none: get a fresh copy of the bundle"
            )
        super().__init__(processor, assets)

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the classes, in the order of the logits."""
        return self._labels

    def check_settings(self) -> None:
        """A pair has two texts."""
        if self.settings.pair:
            self.parts = ("text", "text_pair")

    def check(self, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> None:
        """Raise `BundleError` unless the graph takes tokens and answers with one logit per label."""
        self.check_inputs(inputs)
        self.check_output(outputs, LOGITS, ("batch", len(self._labels)))

    def decode(
        self, outputs: Feeds, samples: Sequence[Feeds] | None = None
    ) -> list[LabelledText | MultiLabelText]:
        """Logits [batch, labels] to one answer each. Raises `InputError` when a logit is not finite."""
        logits = self._logits(outputs)
        return label_answers(logits, self._labels, self._threshold, lost_of(samples, len(logits)))

    def decisions(self, outputs: Feeds, samples: Sequence[Feeds] | None = None) -> list[Any]:
        """The index of the largest logit of each sample; of several labels, the indices of the chosen ones."""
        return chosen_labels(self._logits(outputs), self._threshold)

    def plain(self, answer: LabelledText | MultiLabelText, top: int = 5) -> dict[str, Any]:
        """The `top` best labels, each with its index and probability."""
        return plain_labels(answer, top)

    def show(self, answer: LabelledText | MultiLabelText, top: int = 1) -> str:
        """The `top` best labels, or all that are chosen, with their probabilities."""
        return show_labels(answer, top)

    @property
    def _threshold(self) -> float | None:
        return self.settings.threshold if self.settings.multi_label else None

    def _logits(self, outputs: Feeds) -> NDArray[Any]:
        return finite(outputs, LOGITS, (None, len(self._labels)))
