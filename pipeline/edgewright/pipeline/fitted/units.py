"""What of a raw text has a label of its own, so that the words of the training part can be told apart in it."""

import numpy as np

from edgewright.pipeline.data.samples import Splits, TaggedWords
from edgewright.pipeline.recipe.recipe import Recipe
from edgewright.runtime.text.words import PARTS, TOKENS, WORDS, split_words

_RARE = 0.01
"""The share of entities that may begin within a run of letters before every token gets a label of its own: parts are
answered more surely, and a typing error makes no rule.
"""


def fit_units(recipe: Recipe, splits: Splits) -> str:
    """One of `UNITS`: a head that is used as it was saved has learnt whole words at their first token. One that is
    trained here learns parts, or tokens where the training part cuts runs of letters into words with different labels.
    """
    if recipe.transfer.mode == "none":
        return WORDS
    entities = hidden = 0
    for sample in splits.train:
        if isinstance(sample.target, TaggedWords):
            names = [splits.classes[label] for label in sample.target.labels]
            begins = np.array([name.startswith("B-") for name in names], bool)
            entities += int(begins.sum()) or len(names)
            hidden += _hidden(str(sample.raw), sample.target.places, names)
    return TOKENS if hidden > _RARE * entities else PARTS


def _hidden(text: str, places: np.ndarray[tuple[int, int], np.dtype[np.int32]], names: list[str]) -> int:
    """How many words begin another span than the word before, within a run of letters."""
    within = [
        int(places[word, 0])
        for word in range(1, len(names))
        if places[word, 0] == places[word - 1, 1]
        and not names[word].startswith("I-")
        and (names[word] != names[word - 1] or names[word].startswith("B-"))
    ]
    if not within:
        return 0
    return len(set(within) - set(split_words(text, joined=False)[:, 0].tolist()))
