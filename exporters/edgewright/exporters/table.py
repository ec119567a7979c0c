"""A table as its columns, each described once: the terminal and the model card write it each in their own way."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from edgewright.runtime.printable import printable

Row = TypeVar("Row")


@dataclass(frozen=True)
class Column(Generic[Row]):
    """A title, what stands below it for a row, and whether it stands flush `right`, as numbers do."""

    title: str
    value: Callable[[Row], object]
    right: bool = False


def figure(title: str, value: Callable[[Row], float | None], form: str) -> Column[Row]:
    """A column of numbers in the format `form`."""
    return Column(title, lambda row: number(value(row), form), right=True)


def cells(columns: Sequence[Column[Row]], rows: Iterable[Row]) -> list[list[str]]:
    """The titles, then what stands in each row, without what could break a line or steer a terminal."""
    titles = [printable(column.title) for column in columns]
    return [titles, *([printable(str(column.value(row))) for column in columns] for row in rows)]


def number(value: float | None, form: str) -> str:
    """`value` in the format `form`; a dash where there is none."""
    return "-" if value is None else format(value, form)


def interval(ends: tuple[float, float] | None, form: str, between: str = " ") -> str:
    """Both ends in the format `form`; a dash where there is none."""
    return "-" if ends is None else f"{ends[0]:{form}}{between}{ends[1]:{form}}"


def megabytes(size: int | None) -> float | None:
    """Bytes in millions."""
    return None if size is None else size / 1e6
