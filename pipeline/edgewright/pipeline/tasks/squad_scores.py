"""The figures of answered questions as SQuAD defines them: exact match and F1 of normalised answers.

Source: the published evaluation of SQuAD (Rajpurkar et al. 2016 and 2018).
"""

import collections
import re
import string
from collections.abc import Sequence

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = frozenset(string.punctuation)


def normalised(answer: str) -> str:
    """An answer in lower case, without punctuation and articles, with single spaces."""
    text = "".join(character for character in answer.lower() if character not in _PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", text).split())


def exact_match(answer: str, truths: Sequence[str]) -> float:
    """1 where `answer` is one of `truths`, both normalised, or where there are none and it is empty; else 0."""
    if not truths:
        return float(not answer)
    return float(any(normalised(answer) == normalised(truth) for truth in truths))


def f1(answer: str, truths: Sequence[str]) -> float:
    """The F1 of the words of `answer` against those of the truth that it fits best; without truths as `exact_match`.

    Where either has no words left, it is 1 when both have none.
    """
    if not truths:
        return float(not answer)
    return max(_f1(normalised(answer).split(), normalised(truth).split()) for truth in truths)


def _f1(ours: list[str], theirs: list[str]) -> float:
    if not ours or not theirs:
        return float(ours == theirs)
    same = sum((collections.Counter(ours) & collections.Counter(theirs)).values())
    return 2.0 * same / (len(ours) + len(theirs))
