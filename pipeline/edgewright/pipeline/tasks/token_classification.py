"""Token classification while it is trained: from the raw text, as a device gets it.

What a file says of its words goes to the units that the device finds within their characters, each learnt at the token
that speaks for it; figures are made of the spans of characters that a device answers with.
"""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from edgewright.exporters.reference import Figure, Metric
from edgewright.pipeline.data.samples import Sample, TaggedWords
from edgewright.pipeline.data.text.spacing import closed_up
from edgewright.pipeline.tasks.encoder_rows import EncoderRows, encoder_label_options
from edgewright.pipeline.tasks.label_scores import f1_of
from edgewright.runtime.contracts import Tensors
from edgewright.runtime.errors import DataError
from edgewright.runtime.tasks.base import Task
from edgewright.runtime.tasks.token_classification import TaggedText
from edgewright.runtime.tasks.token_classification import TokenClassification as Tagger
from edgewright.runtime.text.words import inside, spans_of, word_tokens

UNKNOWN = -100
"""The target of a token that answers nothing."""


@dataclass(frozen=True)
class TrueTags:
    """What is true of a text: its entities as (first character, the one behind the last, type), and the label of each
    unit, with the word that it is a part of; -1 for one that belongs to no word.
    """

    entities: frozenset[tuple[int, int, str]]
    tags: tuple[str, ...]
    word: NDArray[np.int64]
    words: int


@dataclass(frozen=True)
class TokenClassification(EncoderRows):
    """A label of `classes` for each unit of a text. Targets of rows are int32 [N, time]; the target of a sample are its
    `TaggedWords`, `TrueTags` what its answer is held against.

    `class_weights` weighs the loss by the label of a word.
    """

    classes: tuple[str, ...]
    processor: Mapping[str, Any] = field(default_factory=dict)
    metric_name: str = "span-f1"
    label_smoothing: float = 0.0
    class_weights: tuple[float, ...] | None = None
    name: str = "token-classification"

    def learnt(self, samples: Sequence[Sample]) -> Sequence[Sample]:
        return closed_up(samples)

    def stack(self, targets: Sequence[Any]) -> NDArray[np.int32]:
        longest = max((len(row) for row in targets), default=0)
        stacked = np.full((len(targets), longest), UNKNOWN, np.int32)
        for place, row in zip(stacked, targets, strict=True):
            place[: len(row)] = row
        return stacked

    def targets(self, sample: Sample, encoded: Tensors, device: Task[Any]) -> Sequence[NDArray[np.int32]]:
        feeds = encoded
        labels = _unit_labels(self._tagged(sample), feeds["words"], self.classes)
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

    def truth(self, sample: Sample, feeds: Tensors) -> TrueTags:
        tagged, units = self._tagged(sample), feeds["words"]
        names = [self.classes[label] for label in tagged.labels]
        places = tagged.places.tolist()
        found = [(places[first][0], places[behind - 1][1], kind) for first, behind, kind in spans_of(names)]
        tags = (
            self.classes[label] if label != UNKNOWN else ""
            for label in _unit_labels(tagged, units, self.classes)
        )
        return TrueTags(frozenset(found), tuple(tags), _words_of(units, tagged.places), len(names))

    def _tagged(self, sample: Sample) -> TaggedWords:
        tagged = sample.target
        if not isinstance(tagged, TaggedWords):
            raise DataError(
                f"{sample.id}: {tagged!r} are no labelled words: give each word its place and a label"
            )
        if len(tagged.labels) != len(tagged.places):
            raise DataError(
                f"{sample.id}: {len(tagged.labels)} labels for {len(tagged.places)} words: give each word one label"
            )
        if len(tagged.labels) and (tagged.labels.min() < 0 or tagged.labels.max() >= len(self.classes)):
            raise DataError(
                f"{sample.id}: a label is none of the {len(self.classes)} that are known: name it"
            )
        return tagged

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

    def _counts(self, answer: TaggedText, truth: TrueTags) -> tuple[int, int, int, int, int]:
        """The spans that were hit, predicted and true, the words labelled right, and all words.

        A word is right if all of its units are. Where labels make no spans, each word counts as one.
        """
        wrong = np.array([one != other for one, other in zip(answer.tags, truth.tags, strict=True)], bool)
        own = truth.word >= 0
        missed = np.bincount(truth.word[own], wrong[own], truth.words) > 0
        shown = np.bincount(truth.word[own], minlength=truth.words) > 0
        right = int((shown & ~missed).sum())
        if not answer.spans:
            return right, truth.words, truth.words, right, truth.words
        found = {(one.start, one.end, one.label) for one in answer.entities}
        return len(found & truth.entities), len(found), len(truth.entities), right, truth.words


def _words_of(units: NDArray[np.int32], words: NDArray[np.int32]) -> NDArray[np.int64]:
    """The word that each unit is a part of, the first of several, int64 [units]; -1 for none."""
    if not len(words):
        return np.full(len(units), -1, np.int64)
    place = np.minimum(np.searchsorted(words[:, 1], units[:, 0], side="right"), len(words) - 1)
    within = (words[place, 0] < units[:, 1]) & (words[place, 1] > units[:, 0])
    return np.where(within, place, -1).astype(np.int64)


def _unit_labels(tagged: TaggedWords, units: NDArray[np.int32], classes: Sequence[str]) -> NDArray[np.int64]:
    """The label of each unit, int64 [units]: that of its word, or what goes on in it; `UNKNOWN` outside of words."""
    word = _words_of(units, tagged.places)
    going_on = np.array([classes.index(inside(name, classes)) for name in classes], np.int64)
    if not len(tagged.labels):
        return np.full(len(units), UNKNOWN, np.int64)
    labels = tagged.labels[word]
    again = np.concatenate(([False], word[1:] == word[:-1])) if len(word) else np.zeros(0, bool)
    return np.where(word < 0, UNKNOWN, np.where(again, going_on[labels], labels))


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
