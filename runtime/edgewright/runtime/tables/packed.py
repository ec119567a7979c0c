"""A column of texts in little more memory than its characters take: a list of short texts takes ten times as much."""

import bisect
import itertools
from collections.abc import Iterator, Sequence
from typing import overload

_SEPARATOR = "\0"


class PackedTexts(Sequence[str]):
    """Texts that only grow in number; those added together are one `str`, cut apart when they are asked for.

    Made for reading in order, all of them, slices, or one by one: those that were cut apart last are kept.
    """

    def __init__(self) -> None:
        self._parts: list[str | list[str]] = []
        self._ends: list[int] = []
        """How many texts there are up to each part."""
        self._last: tuple[int, list[str]] = (-1, [])
        """The number of the part that a text was last taken of, and its texts."""

    def add(self, texts: Sequence[str]) -> None:
        """Add texts at the end, at least one."""
        packed = _SEPARATOR.join(texts)
        whole = packed.count(_SEPARATOR) == len(texts) - 1  # else some have one within
        self._parts.append(packed if whole else list(texts))
        self._ends.append(len(self) + len(texts))

    def parts(self) -> Iterator[tuple[int, list[str]]]:
        """The texts that were added together, with the number of the first."""
        start = 0
        for part, end in zip(self._parts, self._ends, strict=True):
            yield start, _apart(part)
            start = end

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __iter__(self) -> Iterator[str]:
        for _, texts in self.parts():
            yield from texts

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> list[str]: ...

    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            return self._between(start, stop)[::step] if step > 0 else list(self)[index]
        place = range(len(self))[index]
        number, texts = self._last
        wanted = bisect.bisect_right(self._ends, place)
        if number != wanted:
            texts = _apart(self._parts[wanted])
            self._last = (wanted, texts)
        return texts[place - self._ends[wanted]]  # from the end: below zero

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, (PackedTexts, list)):
            return NotImplemented
        return len(self) == len(other) and all(map(str.__eq__, self, other))

    __hash__ = None  # type: ignore[assignment]

    def _between(self, start: int, stop: int) -> list[str]:
        first = bisect.bisect_right(self._ends, start)
        begin = self._ends[first - 1] if first else 0
        found: list[str] = []
        for part in itertools.islice(self._parts, first, None):
            if begin + len(found) >= stop:
                break
            found += _apart(part)
        return found[start - begin : max(stop - begin, 0)]


def _apart(part: str | list[str]) -> list[str]:
    return part.split(_SEPARATOR) if isinstance(part, str) else part
