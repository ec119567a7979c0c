"""Question answering on the device: a question and a text in, the part of the text that answers it out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgewright.runtime.contracts import Tensors
from edgewright.runtime.errors import BundleError
from edgewright.runtime.printable import one_line
from edgewright.runtime.tasks.answers import Answer, lost_note
from edgewright.runtime.tasks.description import Description, ModelFacts
from edgewright.runtime.tasks.labels import finite
from edgewright.runtime.tasks.windowed import EncoderTask
from edgewright.runtime.text.settings import QuestionSettings

START = "start_logits"
END = "end_logits"

_CANDIDATES = 5
_SEARCHED = 20
"""The best spans of each window that are looked at: windows share tokens, so that many are the same."""


@dataclass(frozen=True)
class AnswerSpan:
    """A part of the text, characters `start` to `end` (behind the last), and how probable it is as the answer."""

    text: str
    start: int
    end: int
    probability: float


@dataclass(frozen=True)
class QuestionAnswer(Answer):
    """The answer to one question: characters `start` to `end` of the text.

    Where the text holds no answer, `text` is empty and both are -1. `candidates` are the best spans, whatever was
    decided; `lost` is the number of tokens of the text that were cut off and not read.
    """

    text: str
    start: int
    end: int
    probability: float
    candidates: tuple[AnswerSpan, ...]
    lost: int = 0

    @property
    def answered(self) -> bool:
        """Whether the text holds an answer."""
        return self.start >= 0

    def to_json(self, top: int = 5) -> dict[str, Any]:
        """The answer, and the `top` best spans."""
        plain: dict[str, Any] = {
            "answer": self.text,
            "start": self.start,
            "end": self.end,
            "probability": self.probability,
            "candidates": [dict(vars(span)) for span in self.candidates[:top]],
        }
        return {**plain, "lost": self.lost} if self.lost else plain

    def bare(self) -> str:
        """The answer; nothing where the text holds none."""
        return one_line(self.text)

    def cells(self, top: int = 1) -> dict[str, str | float | int | None]:
        """The answer, its place and its probability."""
        return {"answer": self.text, "start": self.start, "end": self.end, "probability": self.probability}

    def line(self, top: int = 1) -> str:
        """The answer with its probability, and others where more than one is wanted."""
        shown = [] if self.answered else [f"no answer {self.probability:.1%}"]
        spans = self.candidates[: top - len(shown)]
        shown += [f"{one_line(span.text)} {span.probability:.1%}" for span in spans]
        return "  ".join(shown) + lost_note(self.lost)


class QuestionAnswering(EncoderTask[QuestionAnswer]):
    """The device half of question answering; a long text is read in windows, each with the question before it."""

    name = "question-answering"
    kind = "question answerer"
    text_names = ("question", "context")
    places = True
    cut = 1

    def __init__(
        self, processor: Mapping[str, Any], labels: Sequence[str], assets: Mapping[str, bytes] | None = None
    ) -> None:
        super().__init__(processor, assets)
        self._question = self.settings.question or QuestionSettings()
        self.signatures = self.reads(**{START: ("batch", "time"), END: ("batch", "time")})

    def check_settings(self) -> None:
        """The end of the text is what gives way."""
        if self.settings.truncation_side != "right":
            raise BundleError(
                "question answering cuts the end of a text (truncation_side: right): get a fresh bundle"
            )

    def describe(self, model: ModelFacts) -> Description:
        """Whether a question may have no answer."""
        none = ", or says that there is no answer" if self._question.no_answer else ""
        said = f"Answers a question with a part of the context{none}."
        example = '{"question": "Where did she live?", "context": "Ada Lovelace lived in London."}'
        return self.described(self.name, said, example, "ForQuestionAnswering")

    def answers_at(self, sample: Tensors, start: int, end: int) -> list[tuple[int, int] | None]:
        """Where the characters `start` to `end` of the text stand, for each window of a sample: its first and last
        token, counted over all windows; None for a window that does not hold all of them.
        """
        offsets = sample["offsets"]
        found: list[tuple[int, int] | None] = []
        for first, behind in _contexts(sample):
            starts, ends = offsets[first:behind, 0], offsets[first:behind, 1]
            left = int(np.searchsorted(ends, start, side="right"))
            right = int(np.searchsorted(starts, end, side="left")) - 1
            # A window that begins or ends within the answer shows only a part of it.
            whole = (
                left <= right
                and (starts[left] <= start or left > 0 or _blank(sample, start, int(starts[0])))
                and (ends[right] >= end or right + 1 < len(ends) or _blank(sample, int(ends[-1]), end))
            )
            found.append((first + left, first + right) if whole else None)
        return found

    def decode(self, outputs: Tensors, sample: Tensors) -> QuestionAnswer:
        """Logits [time] to the answer. Raises `InputError` when a logit is not finite."""
        shape = (int(sample["lengths"]),)
        start, end = (finite(outputs, name, shape).astype(np.float64) for name in (START, END))
        return self._answer(start, end, sample)

    def decision(self, answer: QuestionAnswer) -> str:
        """The answer, empty where there is none."""
        return answer.text

    def _answer(
        self, start: NDArray[np.float64], end: NDArray[np.float64], sample: Tensors
    ) -> QuestionAnswer:
        text = sample["text"].tobytes().decode("utf-8")
        contexts = _contexts(sample)
        scores, firsts, lasts = _best_spans(start, end, contexts, self._question.max_answer_tokens)
        inside = np.concatenate([np.arange(*context) for context in contexts])
        firsts_of = np.cumsum(sample["windows"]) - sample["windows"]
        if self._question.no_answer:
            inside = np.concatenate((inside, firsts_of))
        scale = _log_sum(start[inside]) + _log_sum(end[inside])
        candidates: dict[tuple[int, int], AnswerSpan] = {}
        offsets = sample["offsets"]
        for score, first, last in zip(scores, firsts, lasts, strict=True):
            left, right = int(offsets[first, 0]), int(offsets[last, 1])
            shown = text[left:right]
            left += len(shown) - len(shown.lstrip())
            shown = shown.strip()
            place = left, left + len(shown)
            if shown and place not in candidates:
                candidates[place] = AnswerSpan(shown, *place, float(np.exp(score - scale)))
            if len(candidates) == _CANDIDATES:
                break
        lost = int(sample["lost"])
        spans = tuple(candidates.values())
        nothing = float((start[firsts_of] + end[firsts_of]).min())
        none = self._question.no_answer and nothing - scores[0] > self._question.null_threshold
        if none or not spans:
            odds = _log_sum(start[firsts_of]) + _log_sum(end[firsts_of]) - scale
            odds = float(np.exp(odds)) if self._question.no_answer else 0.0
            return QuestionAnswer("", -1, -1, odds, spans, lost)
        best = spans[0]
        return QuestionAnswer(best.text, best.start, best.end, best.probability, spans, lost)


def _contexts(sample: Tensors) -> list[tuple[int, int]]:
    """The tokens of the text in each window: the first, and the one behind the last."""
    inside = sample["offsets"][:, 0] >= 0
    found, first = [], 0
    for size in sample["windows"].tolist():
        rows = np.flatnonzero(inside[first : first + size])
        found.append((first + int(rows[0]), first + int(rows[-1]) + 1))
        first += size
    return found


def _best_spans(
    start: NDArray[np.float64], end: NDArray[np.float64], contexts: Sequence[tuple[int, int]], longest: int
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """The scores of the best spans, in descending order, with the first and the last token of each."""
    scores, firsts, lasts = [], [], []
    for first, behind in contexts:
        size = behind - first
        reach = min(longest, size)
        sums = np.full((reach, size), -np.inf)
        for more in range(reach):
            sums[more, : size - more] = start[first : behind - more] + end[first + more : behind]
        count = min(_SEARCHED, size)  # every token alone is a span: there are at least so many
        best = np.argpartition(-sums, count - 1, axis=None)[:count]
        length, place = np.unravel_index(best, sums.shape)
        scores.append(sums[length, place])
        firsts.append(first + place)
        lasts.append(first + place + length)
    every = np.concatenate(scores), np.concatenate(firsts), np.concatenate(lasts)
    order = np.lexsort((every[2], every[1], -every[0]))
    return every[0][order], every[1][order], every[2][order]


def _log_sum(values: NDArray[np.float64]) -> float:
    largest = values.max()
    return float(largest + np.log(np.exp(values - largest).sum()))


def _blank(sample: Tensors, start: int, end: int) -> bool:
    return not sample["text"].tobytes().decode("utf-8")[start:end].strip()
