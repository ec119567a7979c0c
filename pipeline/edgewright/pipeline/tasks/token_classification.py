"""Token classification while it is trained: a label for each word, learnt at the token that speaks for the word."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from edgewright.exporters.reference import Figure, Metric
from edgewright.pipeline.data.samples import Sample
from edgewright.pipeline.tasks.encoder_rows import EncoderRows, encoder_label_options
from edgewright.pipeline.tasks.label_scores import f1_of
from edgewright.runtime.contracts import Tensors
from edgewright.runtime.errors import DataError
from edgewright.runtime.tasks.base import Task
from edgewright.runtime.tasks.token_classification import TaggedText
from edgewright.runtime.tasks.token_classification import TokenClassification as Tagger
from edgewright.runtime.text.words import spans_of, word_tokens

UNKNOWN = -100
"""The target of a token that answers nothing."""


@dataclass(frozen=True)
class TokenClassification(EncoderRows):
    """A label of `classes` for each word. Targets of rows are int32 [N, time]; true of a sample is int64 [words].

    `class_weights` weighs the loss by the label of a word.
    """

    classes: tuple[str, ...]
    processor: Mapping[str, Any] = field(default_factory=dict)
    metric_name: str = "span-f1"
    label_smoothing: float = 0.0
    class_weights: tuple[float, ...] | None = None
    name: str = "token-classification"

    def stack(self, targets: Sequence[Any]) -> NDArray[np.int32]:
        longest = max((len(row) for row in targets), default=0)
        stacked = np.full((len(targets), longest), UNKNOWN, np.int32)
        for place, row in zip(stacked, targets, strict=True):
            place[: len(row)] = row
        return stacked

    def targets(self, sample: Sample, encoded: Tensors, device: Task[Any]) -> Sequence[NDArray[np.int32]]:
        labels, feeds = self.truth(sample, encoded), encoded
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

    def truth(self, sample: Sample, feeds: Tensors) -> NDArray[np.int64]:
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

    @functools.cached_property
    def figures(self) -> tuple[Figure, ...]:
        counts = self._counts
        return (
            Metric(name="span-f1", evidence=counts, figure=_span_f1),
            Metric(name="accuracy", evidence=counts, figure=_accuracy),
            Figure(name="span-precision", evidence=counts, figure=lambda each: _share(each, 0, 1)),
            Figure(name="span-recall", evidence=counts, figure=lambda each: _share(each, 0, 2)),
            Figure(name="spans", evidence=counts, figure=lambda each: int(each[:, 2].sum())),
            Figure(name="words", evidence=counts, figure=lambda each: int(each[:, 4].sum())),
        )

    def _counts(self, answer: TaggedText, truth: NDArray[np.int64]) -> tuple[int, int, int, int, int]:
        """The spans that were hit, predicted and true, the words labelled right, and all words."""
        true = [self.classes[label] for label in truth]
        ours, theirs = set(spans_of(answer.tags)), set(spans_of(true))
        right = sum(one == other for one, other in zip(answer.tags, true, strict=True))
        return len(ours & theirs), len(ours), len(theirs), right, len(true)


def _span_f1(each: NDArray[Any]) -> float:
    found, predicted, true, _, _ = each.sum(axis=0).tolist()
    return f1_of(found, predicted, true)


def _accuracy(each: NDArray[Any]) -> float:
    _, _, _, right, words = each.sum(axis=0).tolist()
    return float(right / words) if words else 1.0


def _share(each: NDArray[Any], part: int, whole: int) -> float:
    sums = each.sum(axis=0)
    return float(sums[part] / sums[whole]) if sums[whole] else 0.0


make, options = TokenClassification, encoder_label_options
