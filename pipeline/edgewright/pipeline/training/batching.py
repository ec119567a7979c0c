"""Which samples make up which batch, and which process takes which part of it."""

import numpy as np
from numpy.typing import NDArray

from edgewright.pipeline.training.randomness import generator

Indices = NDArray[np.int64]

_POOL = 16
"""Batches whose samples are sorted by length together: padding shrinks to some hundredths, and a batch still
meets other samples in each epoch.
"""


def cut(order: Indices, batch_size: int) -> list[Indices]:
    """`order` in pieces of `batch_size`, the last one shorter."""
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]


def epoch_batches(
    count: int, batch_size: int, *seed: int | str, lengths: NDArray[np.int64] | None = None
) -> list[Indices]:
    """The batches of one epoch over `count` samples, in the order that `seed` decides.

    With `lengths` that differ, samples of about the same length share a batch, and the batches come in random
    order. A last batch of one sample joins the batch before it: BatchNorm cannot train on one sample.
    """
    draws = generator(*seed)
    order = draws.permutation(count).astype(np.int64)
    if lengths is None or count == 0 or lengths.min() == lengths.max():
        return _joined(cut(order, batch_size), batch_size)
    pools = cut(order, batch_size * _POOL)
    ordered = np.concatenate([pool[np.argsort(lengths[pool], kind="stable")] for pool in pools])
    batches = _joined(cut(ordered, batch_size), batch_size)
    return [batches[index] for index in draws.permutation(len(batches))]


def _joined(batches: list[Indices], batch_size: int) -> list[Indices]:
    if len(batches) > 1 and len(batches[-1]) == 1 and batch_size > 1:
        batches[-2:] = [np.concatenate(batches[-2:])]
    return batches


def share(batch: Indices, rank: int, world: int) -> Indices:
    """The part of `batch` that process `rank` of `world` takes: as even as can be, never a single sample of
    several.

    Processes that would get one sample leave theirs to the others, and may get none.
    """
    users = min(world, max(1, len(batch) // 2))
    if rank >= users:
        return batch[:0]
    return batch[len(batch) * rank // users : len(batch) * (rank + 1) // users]
