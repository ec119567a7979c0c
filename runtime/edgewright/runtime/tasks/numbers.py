"""What the tasks that answer with numbers share: an output in normalised units to one in the user's."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgewright.runtime.checks import all_finite
from edgewright.runtime.errors import BundleError, InputError
from edgewright.runtime.tasks.base import Feeds

__all__ = ["PREDICTION", "no_decisions", "predicted", "same_numbers", "to_units"]

PREDICTION = "prediction"


def predicted(outputs: Feeds, names: Sequence[str], axes: int = 3) -> NDArray[Any]:
    """The output [batch, ..., targets]. Raises `BundleError` for another shape, `InputError` where it is not finite."""
    values = outputs[PREDICTION]
    if values.ndim != axes or values.shape[-1] != len(names):
        shape = "x".join(map(str, values.shape))
        raise BundleError(f"the graph gave {shape} {PREDICTION} for {len(names)} targets: get a fresh bundle")
    if not all_finite(values):
        raise InputError(
            "the model's answer is not finite (NaN or infinity): use the fp32 variant, or another input"
        )
    return values


def to_units(
    values: NDArray[Any], mean: NDArray[np.float64], std: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Normalised values [..., targets] in the user's units, float64."""
    result: NDArray[np.float64] = values * std
    result += mean
    return result


def same_numbers(left: NDArray[np.float64] | None, right: NDArray[np.float64] | None) -> bool:
    """Whether two arrays are equal, or both are not there."""
    return left is right if left is None or right is None else np.array_equal(left, right)


def no_decisions(outputs: Feeds) -> list[Any]:
    """An empty list for each row: numbers alone decide nothing."""
    return [[] for _ in next(iter(outputs.values()))]
