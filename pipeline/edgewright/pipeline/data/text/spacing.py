"""Sentences as people write them: without the space that a file of words has before punctuation."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from edgewright.pipeline.data.content import content_of_text
from edgewright.pipeline.data.samples import Sample, TaggedWords

_CLOSING = frozenset(".,;:!?)]}%…»”。、，！？；：）」")
_OPENING = frozenset("([{«“（「")
_JOINED = ("'", "’", "n't", "n’t")


def closed_up(samples: Sequence[Sample]) -> list[Sample]:
    """Every other sentence as it is written, where no file says how the sentences are written.

    To a tokenizer that reads the space with the word after it, as RoBERTa's, "." and " ." are two things, and a device
    meets the first one. What cannot be told from its words (a sentence without punctuation) stays as it is.
    """
    if any(_touch(sample) for sample in samples):
        return list(samples)
    return [_closed_up(sample) if int(sample.content[-1], 16) % 2 else sample for sample in samples]


def _touch(sample: Sample) -> bool:
    tagged = sample.target
    return isinstance(tagged, TaggedWords) and bool((tagged.places[1:, 0] == tagged.places[:-1, 1]).any())


def _closed_up(sample: Sample) -> Sample:
    tagged = sample.target
    if not isinstance(tagged, TaggedWords):
        return sample
    text, places = "", []
    before = ""
    for start, end in tagged.places.tolist():
        word = sample.raw[start:end]
        text += "" if not text or _joins(before, word) else " "
        places.append((len(text), len(text) + len(word)))
        text, before = text + word, word
    changed = TaggedWords(np.array(places, np.int32).reshape(-1, 2), tagged.labels)
    return replace(sample, raw=text, target=changed, content=content_of_text(f"{sample.content} {text}"))


def _joins(before: str, word: str) -> bool:
    """Whether there is no space between two words."""
    return _CLOSING.issuperset(word) or _OPENING.issuperset(before) or word.startswith(_JOINED)
