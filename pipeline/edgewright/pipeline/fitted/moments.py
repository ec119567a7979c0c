"""Mean and standard deviation of columns that are read in pieces."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgewright.runtime.errors import DataError


class Moments:
    """Mean and standard deviation of columns, fed in pieces, without NaN; merged as Chan et al. do (1983)."""

    def __init__(self, columns: int) -> None:
        self.count = np.zeros(columns)
        self.mean = np.zeros(columns)
        self.squares = np.zeros(columns)

    def add(self, values: NDArray[np.float64]) -> None:
        """One piece, [rows, columns]."""
        there = ~np.isnan(values)
        count = there.sum(axis=0)
        some = np.maximum(count, 1)
        total = self.count + count
        share = count / np.maximum(total, 1)
        with np.errstate(over="ignore", invalid="ignore"):  # `result` refuses what is not finite
            mean = np.where(there, values, 0.0).sum(axis=0) / some
            squares = (np.where(there, values - mean, 0.0) ** 2).sum(axis=0)
            difference = mean - self.mean
            self.squares += squares + difference**2 * self.count * share
            self.mean += difference * share
        self.count = total

    def result(
        self, names: Sequence[str] = (), of_what: str = "the training part"
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """mean and std; 1 is the std of a column that does not vary.

        Raises `DataError` for one without any value, and for one with numbers whose squares no float64 holds.
        """

        def name(column: int) -> str:
            return f"the column {names[column]!r}" if names else f"band {column}"

        empty = self.count == 0
        if empty.any():
            raise DataError(
                f"{name(int(empty.argmax()))} has no value in {of_what}: leave it out of data.features, or give more "
                "data"
            )
        endless = ~(np.isfinite(self.mean) & np.isfinite(self.squares))
        if endless.any():
            raise DataError(
                f"{name(int(endless.argmax()))} has numbers in {of_what} that are too large to scale: correct them, or "
                "give it in another unit"
            )
        std = np.sqrt(self.squares / self.count)
        still = std <= 1e-9 * np.maximum(np.abs(self.mean), 1e-300)
        return self.mean, np.where(still, 1.0, std)


def floats(values: Iterable[Any]) -> tuple[float, ...]:
    """Plain floats, as settings hold them."""
    return tuple(float(value) for value in values)
