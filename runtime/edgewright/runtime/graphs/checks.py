"""Strict checks of ready tensors: what ONNX Runtime would take silently, or refuse in words nobody
understands.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgewright.runtime.contracts import TensorSpec
from edgewright.runtime.errors import InputError


def all_finite(array: NDArray[Any]) -> bool:
    """Whether an array of floats holds neither NaN nor infinity."""
    # A product with itself takes half the time of a look at each value. It is finite only if all are, but need not be
    # where it overflows.
    if array.itemsize >= 4 and math.isfinite(np.vdot(array, array)):
        return True
    return bool(np.isfinite(array).all())


def check_feeds(
    feeds: Mapping[str, NDArray[Any]], specs: Sequence[TensorSpec], growing: Collection[str] = ()
) -> None:
    """Compare ready tensors with the inputs of a graph; axes of the names `growing` may be empty.

    Raises `InputError` for an unknown or missing name, another dtype or rank, a fixed axis of another size,
    axes of the same name that differ, an empty axis, lengths beyond the sequence, and values that are not finite.
    """
    for name in feeds:
        if all(spec.name != name for spec in specs):
            raise InputError(
                f"the model has no input {name!r}: it takes {', '.join(spec.name for spec in specs)}"
            )
    sizes: dict[str, int] = {}
    for spec in specs:
        if spec.name not in feeds:
            raise InputError(f"the input {spec.name!r} is missing: give an array of {_describe(spec)}")
        _check_tensor(feeds[spec.name], spec, sizes, growing)
    if "lengths" in feeds and "time" in sizes:
        _check_lengths(feeds["lengths"], sizes["time"])


def tensors(specs: Sequence[TensorSpec]) -> str:
    """Tensors as a message names them: "image float32 batchx3x224x224"."""
    return ", ".join(f"{spec.name} {spec.dtype} {'x'.join(map(str, spec.shape))}" for spec in specs)


def _check_lengths(lengths: NDArray[Any], time: int) -> None:
    # The operators read beyond the sequence, or answer for nothing, without a word.
    bad = (lengths < 1) | (lengths > time)
    if bad.any():
        row = int(bad.argmax())
        raise InputError(
            f"lengths[{row}] is {lengths[row]}: give the number of steps that count, 1 to {time}"
        )


def _check_tensor(array: Any, spec: TensorSpec, sizes: dict[str, int], growing: Collection[str]) -> None:
    if not isinstance(array, np.ndarray):
        raise InputError(
            f"the input {spec.name!r} is {type(array).__name__}: give a numpy array of {_describe(spec)}"
        )
    if (
        array.dtype.name != spec.dtype or not array.dtype.isnative
    ):  # onnxruntime misreads the other byte order
        raise InputError(f"the input {spec.name!r} is {array.dtype}: convert it to {spec.dtype}")
    if array.ndim != len(spec.shape):
        raise InputError(f"the input {spec.name!r} is shaped {_shape(array)}: give {_describe(spec)}")
    for axis, size in zip(spec.shape, array.shape, strict=True):
        wanted = sizes.setdefault(axis, size) if isinstance(axis, str) else axis
        if size != wanted:
            raise InputError(f"the input {spec.name!r} is shaped {_shape(array)}: give {_describe(spec)}")
        if size == 0 and axis not in growing:
            raise InputError(f"the input {spec.name!r} is empty ({_shape(array)}): give at least one sample")
    if array.dtype.kind == "f" and not all_finite(array):
        raise InputError(f"the input {spec.name!r} holds NaN or infinity: clean it first")


def _shape(array: NDArray[Any]) -> str:
    return "x".join(map(str, array.shape)) or "a scalar"


def _describe(spec: TensorSpec) -> str:
    return f"{' x '.join(map(str, spec.shape))} {spec.dtype}"
