"""Question answering while it is trained: where an answer starts and ends, in every window that holds all of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from edgewright.exporters.reference import Summed
from edgewright.pipeline.data.samples import Answers, Sample
from edgewright.pipeline.tasks import squad_scores
from edgewright.pipeline.tasks.base import PerSample
from edgewright.pipeline.tasks.encoder_rows import EncoderRows, encoder_options, object_array
from edgewright.runtime.contracts import Feeds
from edgewright.runtime.errors import DataError
from edgewright.runtime.tasks.base import DeviceTask
from edgewright.runtime.tasks.question_answering import END, START
from edgewright.runtime.tasks.question_answering import QuestionAnswering as Answerer


@dataclass(frozen=True, eq=False)
class AskedText:
    """The truth about one question, and what is needed to read an answer to it: its device task, and what that
    encoded.
    """

    device: Answerer
    feeds: Feeds
    answers: Answers


@dataclass(frozen=True)
class QuestionAnswering(EncoderRows):
    """The part of a text that answers a question. Targets of samples are `AskedText` [N].

    Those of rows are int32 [N, 4]: the tokens at which the answer starts and ends, the first token of the text and the
    one behind its last. A window that does not hold the whole answer is to point at its first token, which stands for
    "not here", as BERT was taught SQuAD. No other token outside the text can be an answer: the loss leaves them out.
    """

    classes: tuple[str, ...] = ()
    processor: Mapping[str, Any] = field(default_factory=dict)
    metric_name: str = "f1"
    name: str = "question-answering"

    known = ("f1", "exact-match")
    output = START

    @property
    def every_step(self) -> bool:
        return True

    def stack(self, targets: Sequence[Any]) -> NDArray[np.int32]:
        return np.array(targets, np.int32).reshape(len(targets), 4)

    def row_targets(
        self, sample: Sample, feeds: Feeds, device: DeviceTask
    ) -> Sequence[tuple[int, int, int, int]]:
        answers = _answers(sample)
        windows = feeds["windows"].tolist()
        places: list[tuple[int, int] | None] = [None] * len(windows)
        for text, start in zip(answers.texts, answers.starts, strict=True):
            found = cast(Answerer, device).answers_at(feeds, start, start + len(text))
            places = [one or other for one, other in zip(places, found, strict=True)]
        rows, first = [], 0
        for size, place in zip(windows, places, strict=True):
            inside = np.flatnonzero(feeds["offsets"][first : first + size, 0] >= 0)
            start, end = (0, 0) if place is None else (place[0] - first, place[1] - first)
            rows.append((start, end, int(inside[0]), int(inside[-1]) + 1))
            first += size
        return rows

    def sample_target(self, sample: Sample, feeds: Feeds, device: DeviceTask) -> AskedText:
        return AskedText(cast(Answerer, device), feeds, _answers(sample))

    def stack_samples(self, targets: Sequence[Any]) -> NDArray[Any]:
        return object_array(targets)

    def named(self, outputs: NDArray[np.float32]) -> Feeds:
        return {START: outputs[..., 0], END: outputs[..., 1]}

    def losses(
        self, outputs: torch.Tensor, auxiliary: Mapping[str, torch.Tensor], targets: torch.Tensor
    ) -> torch.Tensor:
        start, end, first, behind = targets.to(outputs.device).long().unsqueeze(2).unbind(dim=1)
        place = torch.arange(outputs.shape[1], device=outputs.device)
        allowed = ((place >= first) & (place < behind)) | (place == 0)
        scores = outputs.float().masked_fill(~allowed.unsqueeze(2), torch.finfo(torch.float32).min)
        # gathered from log-probabilities: scores of padding never come into a sum
        odds = torch.log_softmax(scores, dim=1)
        found = odds[..., 0].gather(1, start) + odds[..., 1].gather(1, end)
        return -0.5 * found.squeeze(1)

    def figures(self, outputs: Feeds, targets: NDArray[Any]) -> dict[str, Any]:
        each = self._each(outputs, targets)
        known = np.array([bool(target.answers.texts) for target in targets], bool)
        figures: dict[str, Any] = {"f1": _mean(each[:, 0]), "exact-match": _mean(each[:, 1])}
        if not known.all():
            figures["answered-f1"] = _mean(each[known, 0])
            figures["unanswerable-accuracy"] = _mean(each[~known, 1])
        return figures

    def per_sample(self, name: str | None = None) -> PerSample | None:
        if self.checked(name) != "exact-match":
            return None
        return lambda outputs, targets: self._each(outputs, targets)[:, 1]

    def summed(self, name: str | None = None) -> Summed | None:
        column = self.known.index(self.checked(name))
        return Summed(self._each, lambda each: _mean(each[:, column]))

    def _each(self, outputs: Feeds, targets: NDArray[Any]) -> NDArray[np.float64]:
        """F1 and exact match of each sample."""
        if not len(targets):
            return np.zeros((0, 2))
        first: AskedText = targets[0]
        answers = first.device.decode(outputs, [target.feeds for target in targets])
        found = [
            (
                squad_scores.f1(answer.text, target.answers.texts),
                squad_scores.exact_match(answer.text, target.answers.texts),
            )
            for answer, target in zip(answers, targets, strict=True)
        ]
        return np.array(found, np.float64)


def _answers(sample: Sample) -> Answers:
    if not isinstance(sample.target, Answers):
        raise DataError(f"{sample.id}: it has no answers: give each question its answers, or an empty list")
    return sample.target


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else 0.0


make, options = QuestionAnswering, encoder_options
