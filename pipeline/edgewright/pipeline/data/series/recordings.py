"""Recordings: what a table or a file of arrays holds, series by series, before windows are cut.

A recording is checked as the device will check it: times rise, steps are regular or the policy says otherwise, no
value is infinite, and nothing is missing unless the policy says what to do.
"""

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgewright.pipeline.data.samples import Skipped
from edgewright.pipeline.recipe.data import Data
from edgewright.runtime.errors import DataError, InputError
from edgewright.runtime.series.values import check_times, resample


@dataclass(frozen=True)
class Columns:
    """The columns a model works with: its features in their order, its targets, and the column of the classes.

    Of a forecast the targets are the first features.
    """

    features: tuple[str, ...]
    targets: tuple[str, ...] = ()
    label: str | None = None


@dataclass(frozen=True, eq=False)
class Recording:
    """One series.

    Attributes:
        values: float64 [steps, features], NaN where a value is missing.
        times: float64 [steps] or None.
        targets: float64 [steps, targets] of a regression, NaN where nothing is known.
        labels: one class for each step, or a single one for all of them; None for tasks without classes.
    """

    name: str
    values: NDArray[np.float64]
    times: NDArray[np.float64] | None = None
    targets: NDArray[np.float64] | None = None
    labels: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.values)

    @property
    def is_mixed(self) -> bool:
        """Whether each step has a class of its own."""
        return self.labels is not None and len(self.labels) > 1

    def label_at(self, step: int) -> str:
        """The class at a step of a recording that has classes."""
        assert self.labels, f"{self.name} has no classes"
        return self.labels[step if self.is_mixed else 0]


@dataclass(frozen=True)
class Recordings:
    """The recordings of one source, what was left out of it, and sentences for the user."""

    columns: Columns
    series: tuple[Recording, ...]
    skipped: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = ()


@contextlib.contextmanager
def as_data_error(where: str = "") -> Iterator[None]:
    """What the device would refuse inside is a `DataError` of the table or file `where`."""
    try:
        yield
    except InputError as error:
        raise DataError(f"{where}: {error}" if where else str(error)) from None


def trained_step(series: Iterable[Recording], wanted: float | None) -> float | None:
    """The time from step to step: `wanted`, or the median over all recordings; None where there are no times."""
    lengths = [np.diff(one.times) for one in series if one.times is not None and len(one) > 1]
    if not lengths:
        return None
    if wanted is not None:
        return wanted
    median = float(np.median(np.concatenate(lengths)))
    return median if median > 0 else None


def check_recordings(
    found: Recordings, data: Data, where: str, regrid: bool, given_step: float | None = None
) -> tuple[Recordings, float | None]:
    """`found` without what is too short, each series checked, and the step from one row to the next.

    With `regrid`, series of irregular steps are laid on the regular grid where the policy is "resample": windows are
    then cut in steps of equal length.

    Raises `DataError` for values or times that no policy allows.
    """
    step = given_step if given_step is not None else trained_step(found.series, data.step)
    kept: list[Recording] = []
    skipped = list(found.skipped)
    for one in found.series:
        one = _checked_times(one, data, step, where, regrid)
        _check_finite(one, found.columns, where)
        if len(one) < data.min_length:
            skipped.append(
                Skipped(one.name, f"has {in_steps(len(one))}, data.min_length asks for {data.min_length}")
            )
        else:
            kept.append(one)
    notes = list(found.notes)
    notes += _check_missing(kept, found.columns, data.missing, where)
    return replace(found, series=tuple(kept), skipped=tuple(skipped), notes=tuple(notes)), step


def _checked_times(one: Recording, data: Data, step: float | None, where: str, regrid: bool) -> Recording:
    before = one.times
    if before is None:
        return one
    try:
        regular = check_times(before, step, data.irregular, _called(one, where))
        if regular or data.irregular != "resample" or not regrid or step is None:
            return one
        times, values = resample(before, one.values, step)
        if one.targets is not None:
            one = replace(one, targets=resample(before, one.targets, step)[1])
        if one.is_mixed:
            nearest = np.searchsorted(before, times - 1e-6 * step)
            one = replace(one, labels=tuple(one.label_at(min(int(row), len(one) - 1)) for row in nearest))
        return replace(one, times=times, values=values)
    except InputError as error:
        text = str(error)
        if text.endswith("data.irregular: resample"):
            text += ", or ignore (calendar months)"
        elif "sort the rows" in text and data.series is None:
            text += ", or name the column that tells the series apart in data.series"
        raise DataError(text) from None


def _check_finite(one: Recording, columns: Columns, where: str) -> None:
    for values, names in ((one.values, columns.features), (one.targets, columns.targets)):
        if values is not None and np.isinf(values).any():
            row, column = np.argwhere(np.isinf(values))[0]
            raise DataError(
                f"{_called(one, where)}: {names[column]!r} is infinite in row {row + 1}: "
                "correct the value, or leave it empty"
            )


def _check_missing(series: Sequence[Recording], columns: Columns, policy: str, where: str) -> list[str]:
    """Sentences about missing values. Raises `DataError` where the policy is to refuse them."""
    notes = []
    gaps = sum(int(np.isnan(one.values).sum()) for one in series)
    if gaps:
        one = next(one for one in series if np.isnan(one.values).any())
        row, column = np.argwhere(np.isnan(one.values))[0]
        first = f"{columns.features[column]!r} in row {row + 1} of {_called(one, where)}"
        if policy == "refuse":
            raise DataError(
                f"{_count(gaps, 'value is', 'values are')} missing, first {first}: "
                "fill them, or set data.missing to forward, interpolate or zero"
            )
        total = sum(one.values.size for one in series)
        notes.append(f"{gaps} of {total} values are missing (data.missing: {policy}), first {first}")
    unknown = sum(int(np.isnan(one.targets).sum()) for one in series if one.targets is not None)
    if unknown:
        total = sum(one.targets.size for one in series if one.targets is not None)
        notes.append(f"{unknown} of {total} target values are empty: nothing is learnt or judged there")
    return notes


def _called(one: Recording, where: str) -> str:
    # A table of one series gives it its own name, which says nothing new.
    same = one.name in (Path(where).stem, where.rpartition(":")[2])
    return where if same or not one.name else f"{where}, series {one.name!r}"


def in_steps(count: int) -> str:
    """A length as a message says it, such as "1 step"."""
    return _count(count, "step", "steps")


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
