"""Token classification while it is trained: a label for each word, learnt at the token that speaks for the word."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from edgewright.exporters.reference import Summed
from edgewright.pipeline.data.samples import Sample
from edgewright.pipeline.tasks.encoder_rows import EncoderRows, encoder_label_options, object_array
from edgewright.pipeline.tasks.label_scores import f1_of
from edgewright.runtime.contracts import Feeds
from edgewright.runtime.errors import DataError
from edgewright.runtime.tasks.base import DeviceTask
from edgewright.runtime.tasks.token_classification import TokenClassification as Tagger
from edgewright.runtime.text.words import spans_of, word_tokens

UNKNOWN = -100
"""The target of a token that answers nothing."""


@dataclass(frozen=True, eq=False)
class TaggedWords:
    """The truth about one sample, and what is needed to read an answer to it: its device task, and what that encoded.

    `labels` is int64 [words], indices into the classes.
    """

    device: Tagger
    feeds: Feeds
    labels: NDArray[np.int64]


@dataclass(frozen=True)
class TokenClassification(EncoderRows):
    """A label of `classes` for each word. Targets of rows are int32 [N, time], those of samples `TaggedWords` [N].

    `class_weights` weighs the loss by the label of a word.
    """

    classes: tuple[str, ...]
    processor: Mapping[str, Any] = field(default_factory=dict)
    metric_name: str = "span-f1"
    label_smoothing: float = 0.0
    class_weights: tuple[float, ...] | None = None
    name: str = "token-classification"

    known = ("span-f1", "accuracy")

    @property
    def every_step(self) -> bool:
        return True

    def stack(self, targets: Sequence[Any]) -> NDArray[np.int32]:
        longest = max((len(row) for row in targets), default=0)
        stacked = np.full((len(targets), longest), UNKNOWN, np.int32)
        for place, row in zip(stacked, targets, strict=True):
            place[: len(row)] = row
        return stacked

    def row_targets(self, sample: Sample, feeds: Feeds, device: DeviceTask) -> Sequence[NDArray[np.int32]]:
        labels = self._labels(sample, feeds)
        windows, offsets = feeds["windows"].tolist(), feeds["offsets"]
        speaking = cast(Tagger, device).word_rows(feeds)
        begin = np.where(speaking >= 0, offsets[speaking, 0], -1)
        rows, first = [], 0
        for size in windows:
            part = offsets[first : first + size]
            row = np.full(size, UNKNOWN, np.int32)
            found = word_tokens(feeds["words"], part, [size])
            # A window that begins within a word shows a token of it that never speaks for the word.
            words = np.flatnonzero((found >= 0) & (part[found, 0] == begin))
            row[found[words]] = labels[words]
            rows.append(row)
            first += size
        return rows

    def sample_target(self, sample: Sample, feeds: Feeds, device: DeviceTask) -> TaggedWords:
        return TaggedWords(cast(Tagger, device), feeds, self._labels(sample, feeds))

    def stack_samples(self, targets: Sequence[Any]) -> NDArray[Any]:
        return object_array(targets)

    def losses(
        self, outputs: torch.Tensor, auxiliary: Mapping[str, torch.Tensor], targets: torch.Tensor
    ) -> torch.Tensor:
        steps = min(outputs.shape[1], targets.shape[1])  # both are padded, each to the longest it has seen
        truth = targets[:, :steps].to(outputs.device).long()
        each = torch.nn.functional.cross_entropy(
            outputs[:, :steps].float().transpose(1, 2),
            truth,
            ignore_index=UNKNOWN,
            label_smoothing=self.label_smoothing,
            reduction="none",
        )
        weights = (truth != UNKNOWN).float()
        if self.class_weights is not None:
            weights = weights * outputs.new_tensor(self.class_weights).float()[truth.clamp(min=0)]
        return (each * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1e-9)

    def weights(self, targets: NDArray[Any]) -> NDArray[np.float32]:
        known = targets != UNKNOWN
        weights = known.astype(np.float32)
        if self.class_weights is not None:
            weights *= np.asarray(self.class_weights, np.float32)[np.maximum(targets, 0)]
        total: NDArray[np.float32] = weights.sum(axis=1)
        return total

    def figures(self, outputs: Feeds, targets: NDArray[Any]) -> dict[str, Any]:
        each = self._each(outputs, targets)
        hits, predicted, true, _, words = each.sum(axis=0)
        return {
            "span-f1": _figure("span-f1", each),
            "accuracy": _figure("accuracy", each),
            "span-precision": float(hits / predicted) if predicted else 0.0,
            "span-recall": float(hits / true) if true else 0.0,
            "spans": int(true),
            "words": int(words),
        }

    def summed(self, name: str | None = None) -> Summed | None:
        wanted = self.checked(name)
        return Summed(self._each, lambda each: _figure(wanted, each))

    def _each(self, outputs: Feeds, targets: NDArray[Any]) -> NDArray[np.float64]:
        """Of each sample the spans that were hit, predicted and true, the words labelled right, and all words."""
        if not len(targets):
            return np.zeros((0, 5))
        first: TaggedWords = targets[0]
        found = []
        answers = first.device.tags(outputs, [target.feeds for target in targets])
        for tags, target in zip(answers, targets, strict=True):
            truth = [self.classes[label] for label in target.labels]
            ours, theirs = set(spans_of(tags)), set(spans_of(truth))
            right = sum(one == other for one, other in zip(tags, truth, strict=True))
            found.append((len(ours & theirs), len(ours), len(theirs), right, len(truth)))
        return np.array(found, np.float64)

    def _labels(self, sample: Sample, feeds: Feeds) -> NDArray[np.int64]:
        labels = np.asarray(sample.target, np.int64)
        if labels.shape != (len(feeds["words"]),):
            raise DataError(
                f"{sample.id}: {labels.size} labels for {len(feeds['words'])} words: give each word one label"
            )
        if len(labels) and (labels.min() < 0 or labels.max() >= len(self.classes)):
            raise DataError(
                f"{sample.id}: a label is none of the {len(self.classes)} that are known: name it"
            )
        return labels


def _figure(name: str, each: NDArray[np.float64]) -> float:
    hits, predicted, true, right, words = each.sum(axis=0)
    if name == "span-f1":
        return f1_of(float(hits), float(predicted), float(true))
    return float(right / words) if words else 1.0


make, options = TokenClassification, encoder_label_options
