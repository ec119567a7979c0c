"""What a stage calls while it works, for somebody to draw."""

from collections.abc import Callable
from typing import Protocol


class Progress(Protocol):
    """Called with what is being done, how much is done, and how much there is (0 where that is not known); `note` is
    where in it that is, such as "epoch 3 of 100".
    """

    def __call__(self, what: str, done: int, total: int, note: str = "") -> None: ...


Count = Callable[[int, int], None]
"""Called with how much is done and how much there is, where it is known what is being done."""


def silent(what: str, done: int, total: int, note: str = "") -> None:
    """A `Progress` that nobody draws."""


def in_words(seconds: float) -> str:
    """A time as people say it: "12 s", "3 min 20 s", "2 h 5 min"."""
    whole = max(1, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole % 60 else f"{whole // 60} min"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
