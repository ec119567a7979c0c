"""The name that somebody may have meant."""

import difflib
from collections.abc import Iterable


def near_names(word: object, known: Iterable[str], most: int = 3, cutoff: float = 0.6) -> list[str]:
    """What is known and written like `word`, the nearest first, each once; `cutoff` is how like, from 0 to 1."""
    return list(dict.fromkeys(difflib.get_close_matches(str(word), list(known), n=most, cutoff=cutoff)))


def did_you_mean(word: object, known: Iterable[str], most: int = 3) -> str:
    """ " (did you mean 'x'?)" when something near `word` is known, at most `most` of them, else the empty string."""
    near = near_names(word, known, most)
    return f" (did you mean {' or '.join(map(repr, near))}?)" if near else ""
