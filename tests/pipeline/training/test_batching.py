"""Batches of one epoch: every sample once, alike in length where lengths differ, decided by the seed alone."""

import numpy as np
import pytest

from edgewright.pipeline.training.batching import cut, epoch_batches, share

LENGTHS = np.random.default_rng(0).integers(1, 1000, 1001).astype(np.int64)


@pytest.mark.parametrize("count", [1, 2, 31, 32, 33, 64, 65, 1001])
@pytest.mark.parametrize("by_length", [True, False])
def test_every_sample_comes_once(count: int, by_length: bool) -> None:
    lengths = LENGTHS[:count] if by_length else None
    batches = epoch_batches(count, 32, 7, "order", 0, lengths=lengths)
    assert sorted(np.concatenate(batches).tolist()) == list(range(count))
    assert all(1 < len(batch) <= 33 for batch in batches) or count == 1
    assert len(batches) == len(epoch_batches(count, 32, "count")), "as many steps as without lengths"


def test_lengths_are_alike_within_a_batch_and_batches_come_in_any_order() -> None:
    batches = epoch_batches(1001, 32, 7, "order", 0, lengths=LENGTHS)
    plain = epoch_batches(1001, 32, 7, "order", 0)

    def padding(batches: list[np.ndarray[tuple[int, ...], np.dtype[np.int64]]]) -> float:
        whole = sum(len(batch) * LENGTHS[batch].max() for batch in batches)
        return float(1 - LENGTHS.sum() / whole)

    assert padding(plain) > 0.4
    assert padding(batches) < 0.08
    longest = [int(LENGTHS[batch].max()) for batch in batches]
    assert longest != sorted(longest)


def test_the_seed_decides_and_epochs_differ() -> None:
    def made(*seed: int | str) -> list[list[int]]:
        return [batch.tolist() for batch in epoch_batches(1001, 32, *seed, lengths=LENGTHS)]

    assert made(7, "order", 0) == made(7, "order", 0)
    assert made(7, "order", 0) != made(7, "order", 1)
    assert {frozenset(batch) for batch in made(7, "order", 0)}.isdisjoint(
        frozenset(batch) for batch in made(7, "order", 1)
    )


def test_lengths_that_are_all_the_same_change_nothing() -> None:
    same = np.full(1001, 9, np.int64)
    ours, plain = (epoch_batches(1001, 32, 7, lengths=lengths) for lengths in (same, None))
    assert all(np.array_equal(one, other) for one, other in zip(ours, plain, strict=True))


def test_two_processes_share_a_batch() -> None:
    for batch in cut(np.arange(70), 32):
        parts = [share(batch, rank, 2) for rank in range(2)]
        assert np.array_equal(np.concatenate(parts), batch)
        assert all(len(part) != 1 for part in parts)
