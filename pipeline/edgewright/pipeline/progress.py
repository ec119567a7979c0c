"""What a stage calls while it works, for somebody to draw."""

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much is done, and how much there is (0 where that is not known)."""

Count = Callable[[int, int], None]
"""Called with how much is done and how much there is, where it is known what is being done."""


def silent(what: str, done: int, total: int) -> None:
    """A `Progress` that nobody draws."""
