"""The name that somebody may have meant."""

import difflib
from collections.abc import Iterable


def did_you_mean(word: object, known: Iterable[str], most: int = 3) -> str:
    """ " (did you mean 'x'?)" when something near `word` is known, at most `most` of them, else the empty string."""
    near = difflib.get_close_matches(str(word), list(known), n=most, cutoff=0.6)
    return f" (did you mean {' or '.join(repr(name) for name in near)}?)" if near else ""
