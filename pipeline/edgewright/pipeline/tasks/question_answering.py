"""Question answering while it is trained: where an answer starts and ends, in every window that holds all of it."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from edgewright.exporters.reference import Figure, Metric, hits
from edgewright.pipeline.data.samples import Answers, Sample
from edgewright.pipeline.tasks import squad_scores
from edgewright.pipeline.tasks.encoder_rows import EncoderRows, encoder_options
from edgewright.pipeline.tasks.figures import mean
from edgewright.runtime.contracts import Tensors
from edgewright.runtime.errors import DataError
from edgewright.runtime.tasks.base import Task
from edgewright.runtime.tasks.question_answering import QuestionAnswer
from edgewright.runtime.tasks.question_answering import QuestionAnswering as Answerer


@dataclass(frozen=True)
class QuestionAnswering(EncoderRows):
    """The part of a text that answers a question; true of a sample is `Answers`.

    Targets of rows are int32 [N, 4]: the tokens at which the answer starts and ends, the first token of the text and
    the one behind its last. A window that does not hold the whole answer is to point at its first token, which says
    "not here", as BERT was taught SQuAD. No other token outside the text can be an answer: the loss leaves them out.
    """

    classes: tuple[str, ...] = ()
    processor: Mapping[str, Any] = field(default_factory=dict)
    metric_name: str = "f1"
    name: str = "question-answering"

    def stack(self, targets: Sequence[Any]) -> NDArray[np.int32]:
        return np.array(targets, np.int32).reshape(len(targets), 4)

    def targets(
        self, sample: Sample, encoded: Tensors, device: Task[Any]
    ) -> Sequence[tuple[int, int, int, int]]:
        answers, feeds = self.truth(sample, encoded), encoded
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

    def truth(self, sample: Sample, feeds: Tensors) -> Answers:
        if not isinstance(sample.target, Answers):
            raise DataError(
                f"{sample.id}: it has no answers: give each question its answers, or an empty list"
            )
        return sample.target

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

    @functools.cached_property
    def figures(self) -> tuple[Figure, ...]:
        return (
            Metric(name="f1", evidence=_f1, figure=mean),
            Metric(name="exact-match", evidence=_exact, figure=mean, outcomes=hits),
            Figure(name="answered-f1", evidence=_told_apart, figure=_of_answered, optional=True),
            Figure(name="unanswerable-accuracy", evidence=_told_apart, figure=_of_others, optional=True),
        )


def _f1(answer: QuestionAnswer, truth: Answers) -> float:
    return squad_scores.f1(answer.text, truth.texts)


def _exact(answer: QuestionAnswer, truth: Answers) -> float:
    return squad_scores.exact_match(answer.text, truth.texts)


def _told_apart(answer: QuestionAnswer, truth: Answers) -> tuple[float, float, bool]:
    """F1, exact match, and whether there is an answer."""
    return _f1(answer, truth), _exact(answer, truth), bool(truth.texts)


def _of_answered(each: NDArray[Any]) -> float | None:
    """F1 of the questions that have an answer; None where all have one."""
    known = each[:, 2] > 0.5
    return None if known.all() else mean(each[known, 0])


def _of_others(each: NDArray[Any]) -> float | None:
    known = each[:, 2] > 0.5
    return None if known.all() else mean(each[~known, 1])


make, options = QuestionAnswering, encoder_options
