"""One step of many series at once: rows of plain numbers into the step graph's inputs, without a look at each."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from edgewright.runtime.contracts import Tensors
from edgewright.runtime.series.stream import SeriesEncoder

_LARGEST = 3e38
"""Normalised values up to this one are within float32."""

_NO_OVERFLOW = 1e150
"""The square of a number up to this one is within float64."""

_FLOAT64 = np.dtype(np.float64)
_FLOAT32 = np.dtype(np.float32)


def block_writer(fronts: Sequence[SeriesEncoder], feeds: Tensors) -> Callable[[Any], bool]:
    """One step of many series at once, [streams, features] of float32 or float64; `feeds` are the graph's inputs.

    It looks at the fronts once: after anything else has happened to one of them, a new one is needed.
    """
    settings = fronts[0].settings
    if settings.forecast is not None or settings.missing == "forward" or settings.irregular == "resample":
        return _never  # each stream has something of its own to remember
    values = feeds["values"][0]
    shape = values.shape
    scaled, mean, factor = np.empty(shape), np.empty(shape), np.empty(shape)
    limit = np.float64(0.0)
    ready: bool | None = None
    begun = False

    def look() -> bool:
        nonlocal limit
        for row, front in enumerate(fronts):
            if not front.accepts_rows():
                return False
            mean[row], factor[row] = front.scale
        limit = np.clip(_LARGEST / max(factor.max(), 1e-200) - np.abs(mean).max(), 0.0, _NO_OVERFLOW) ** 2
        return True

    def write(piece: Any) -> bool:
        nonlocal ready, begun
        if type(piece) is not np.ndarray or piece.shape != shape:
            return False
        if piece.dtype is not _FLOAT64 and piece.dtype is not _FLOAT32:
            return False
        if ready is None:
            ready = look()
        if not ready:
            return False
        # Where the sum of their squares is less, no value is NaN or infinite, and none becomes too large below. That is
        # quicker than to silence warnings of an overflow; this product, unlike dot, never gives any.
        if not np.vdot(piece, piece) < limit:
            return False
        np.subtract(piece, mean, scaled)
        np.multiply(scaled, factor, scaled)
        values[...] = scaled
        if not begun:
            begun = True
            for front in fronts:
                front.took_row()
        return True

    return write


def _never(piece: Any) -> bool:
    return False
