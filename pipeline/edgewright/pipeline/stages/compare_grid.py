"""What `--vary` means: one key of a recipe, and the values to try."""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from edgewright.runtime.bundle.files import sha256_of_bytes
from edgewright.runtime.errors import RecipeError

_FIXED = {
    "task": "figures of different tasks cannot stand in one column: compare them one at a time",
    "training.metric": "figures of different metrics cannot stand in one column: name one with --set",
    "training.seed": "every cell is trained with several seeds: say how many with --seeds",
}
_CLOSING = {"[": "]", "{": "}", "(": ")"}
_LONGEST_NAME = 80


@dataclass(frozen=True)
class Choice:
    """One varied key with its values, as they were written."""

    key: str
    values: tuple[str, ...]


def parse_choices(vary: Sequence[str]) -> tuple[Choice, ...]:
    """Read "key=value,value,..." of each `--vary`. Raises `RecipeError` for what cannot be varied."""
    choices: list[Choice] = []
    for text in vary:
        key, sign, values = (part.strip() for part in text.partition("="))
        if not sign or not key:
            raise RecipeError(
                f"--vary {text}: write it as key=value,value, for example --vary model=rnn,lstm,gru"
            )
        if key in _FIXED:
            raise RecipeError(f"--vary {key}: {_FIXED[key]}")
        if any(choice.key == key for choice in choices):
            raise RecipeError(f"--vary {key} is given twice: write all its values after one")
        parts = tuple(_split(values, text))
        if len(set(parts)) != len(parts):
            raise RecipeError(f"--vary {text}: a value stands there twice: remove one")
        choices.append(Choice(key, parts))
    if not choices:
        raise RecipeError("nothing is varied: add for example --vary model=rnn,lstm,gru")
    return tuple(choices)


def _split(values: str, text: str) -> Iterator[str]:
    """The values between the commas that stand outside of brackets and quotes."""
    open_brackets: list[str] = []
    quote = ""
    value = ""
    for character in values:
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character in _CLOSING:
            open_brackets.append(_CLOSING[character])
        elif open_brackets and character == open_brackets[-1]:
            open_brackets.pop()
        elif character == "," and not open_brackets:
            yield _checked(value, text)
            value = ""
            continue
        value += character
    if quote or open_brackets:
        missing = quote or open_brackets[-1]
        raise RecipeError(f"--vary {text}: the closing {missing} is missing: add it, or quote the value")
    yield _checked(value, text)


def _checked(value: str, text: str) -> str:
    if not value.strip():
        raise RecipeError(f"--vary {text}: a value is empty: write key=value,value without a comma too many")
    return value.strip()


def folder_name(settings: Sequence[str]) -> str:
    """The name of a cell's folder: its settings where a file system takes them, made unique by a digest where not."""
    written = ",".join(settings)
    plain = re.sub(r"[^A-Za-z0-9=.,_-]", "_", written)
    if plain == written and len(plain) <= _LONGEST_NAME:
        return plain
    return f"{plain[:_LONGEST_NAME]}-{sha256_of_bytes(written.encode())[:8]}"


_CONFIDENCE = 0.95


@dataclass(frozen=True)
class Spread:
    """A mean with its 95 % interval by Student's t; None where a single value says nothing of how sure it is."""

    mean: float
    interval: tuple[float, float] | None


def spread_of(values: Sequence[float], most: float = math.inf, least: float = -math.inf) -> Spread:
    """The mean of `values`, one for each seed, and its 95 % interval, cut off at `least` and `most`, which no value
    can pass.
    """
    count = len(values)
    mean = math.fsum(values) / count
    if count < 2 or not all(map(math.isfinite, values)):
        return Spread(mean, None)
    from scipy.stats import t

    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (count - 1))
    reach = float(t.ppf(0.5 + _CONFIDENCE / 2, count - 1)) * deviation / math.sqrt(count)
    return Spread(mean, (max(mean - reach, least), min(mean + reach, most)))


def cannot_tell_apart(best: Sequence[float], other: Sequence[float]) -> bool:
    """Whether the paired differences of two cells over the same seeds leave open which is better.

    With a single seed only equal figures do.
    """
    differences = [ours - theirs for ours, theirs in zip(best, other, strict=True)]
    found = spread_of(differences)
    if found.interval is None:
        return found.mean == 0.0
    return found.interval[0] <= 0.0 <= found.interval[1]
