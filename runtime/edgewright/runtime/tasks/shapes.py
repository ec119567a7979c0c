"""Checks of a graph's inputs and outputs against what a task needs, and batches of samples of any length."""

from collections.abc import Sequence

import numpy as np

from edgewright.runtime.contracts import Tensors, TensorSpec
from edgewright.runtime.errors import BundleError


def fits(shape: Sequence[int | str], wanted: Sequence[int | str]) -> bool:
    """Whether a graph of this shape takes or gives `wanted`; where either has a name, any size will do."""
    return len(shape) == len(wanted) and all(
        isinstance(axis, str) or isinstance(size, str) or axis == size
        for axis, size in zip(shape, wanted, strict=True)
    )


def check_tensors(
    kind: str, found: Sequence[TensorSpec], wanted: Sequence[TensorSpec], graph: str = "the graph"
) -> None:
    """Raise `BundleError` unless `found` are the `wanted` tensors, in any order; `kind` is "input" or "output"."""
    by_name = {spec.name: spec for spec in found}
    for spec in wanted:
        other = by_name.pop(spec.name, None)
        if other is None or other.dtype != spec.dtype or not fits(other.shape, spec.shape):
            shape = " x ".join(map(str, spec.shape))
            raise BundleError(
                f"{graph} must have an {kind} {spec.name!r} of {shape} {spec.dtype}: "
                "get a fresh copy of the bundle"
            )
    if by_name:
        raise BundleError(
            f"{graph} has an {kind} {next(iter(by_name))!r} that the task does not know: "
            "get a fresh copy of the bundle"
        )


def pad_collate(samples: Sequence[Tensors], inputs: Sequence[TensorSpec]) -> Tensors:
    """Samples to one batch on a new leading axis, each of `inputs` padded with zeros at the end of its time axis.

    Entries of a sample that are no input of the graph are left out. A single sample is not copied.
    """
    if len(samples) == 1:
        return {spec.name: samples[0][spec.name][np.newaxis] for spec in inputs}
    batch: Tensors = {}
    for spec in inputs:
        arrays = [sample[spec.name] for sample in samples]
        if "time" not in spec.shape:
            batch[spec.name] = np.stack(arrays)
            continue
        longest = max(len(array) for array in arrays)
        padded = np.zeros((len(arrays), longest, *arrays[0].shape[1:]), arrays[0].dtype)
        for row, array in enumerate(arrays):
            padded[row, : len(array)] = array
        batch[spec.name] = padded
    return batch
