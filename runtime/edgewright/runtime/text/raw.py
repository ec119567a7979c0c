"""What a raw text may be beside a string: a pair, a question, words."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TextPair:
    """Two texts that are read together."""

    first: str
    second: str


@dataclass(frozen=True)
class Question:
    """A question and the text that may hold its answer."""

    question: str
    context: str


@dataclass(frozen=True)
class Words:
    """A text that is already cut into words, as in files of the CoNLL form."""

    words: tuple[str, ...]
