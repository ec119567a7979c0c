"""Raw inputs in parts that are encoded at once: what is encoded together has to fit into memory."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

_LARGEST = 16 << 20
"""Characters or bytes of raw input that are encoded at once: their tokens take some ten times as much."""


def in_parts(raws: Sequence[Any], count: int) -> Iterator[Sequence[Any]]:
    """Parts of at most `count` raw inputs."""
    for start in range(0, len(raws), count):
        yield raws[start : start + count]


def in_small_parts(raws: Sequence[Any], count: int, rows_each: int) -> Iterator[Sequence[Any]]:
    """Parts of at most `count` rows, of which each input is at least `rows_each`; smaller ones where they are long."""
    count = max(1, count // rows_each)
    start = total = 0
    for place, raw in enumerate(raws):
        size = _size(raw) * rows_each
        if place > start and (place - start >= count or total + size > _LARGEST):
            yield raws[start:place]
            start, total = place, 0
        total += size
    if start < len(raws):
        yield raws[start:]


def _size(raw: Any) -> int:
    if isinstance(raw, Path):
        try:
            return raw.stat().st_size
        except (OSError, ValueError):  # answering it says what is wrong
            return 0
    if isinstance(raw, Mapping):
        return sum(len(value) for value in raw.values() if isinstance(value, (str, bytes)))
    if dataclasses.is_dataclass(raw) and not isinstance(raw, type):
        return sum(len(value) for value in vars(raw).values() if isinstance(value, (str, bytes)))
    return len(raw) if isinstance(raw, (str, bytes)) else 0
