"""Order, shares and schedule depend on nothing but their arguments."""

from typing import get_args

import numpy as np
import pytest
import torch

from edgewright.pipeline.recipe.training import Training
from edgewright.pipeline.training.batching import cut, epoch_batches, share
from edgewright.pipeline.training.randomness import derive_seed, generator, seed_torch
from edgewright.pipeline.training.schedule import rate_factor


def test_seeds_tell_purposes_apart() -> None:
    parts = [(0,), (1,), (0, "a"), (0, "b"), (0, "a", 1), (0, "a1"), ("0",), (1, 2), (12,), (2, 1)]
    seeds = {derive_seed(*part) for part in parts}
    assert len(seeds) == len(parts)
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert derive_seed(7, "order", 3) == derive_seed(7, "order", 3)


def test_what_was_drawn_before_does_not_matter() -> None:
    seed_torch(5, "dropout", 1)
    expected = torch.rand(4)
    torch.rand(100)
    seed_torch(5, "dropout", 1)
    assert torch.equal(torch.rand(4), expected)
    assert generator(5, "x").random() == generator(5, "x").random()


def test_an_epoch_sees_every_sample_once() -> None:
    first, second = (np.concatenate(epoch_batches(50, 8, 0, "order", epoch)) for epoch in (0, 1))
    assert sorted(first) == sorted(second) == list(range(50))
    assert not np.array_equal(first, second)


@pytest.mark.parametrize(
    ("count", "sizes"), [(10, [4, 4, 2]), (9, [4, 5]), (8, [4, 4]), (1, [1]), (5, [5]), (3, [3])]
)
def test_no_last_batch_of_one(count: int, sizes: list[int]) -> None:
    assert [len(batch) for batch in epoch_batches(count, 4, 0)] == sizes


def test_batches_of_one_stay_when_asked_for() -> None:
    assert [len(batch) for batch in epoch_batches(3, 1, 0)] == [1, 1, 1]


def test_cut_keeps_the_order() -> None:
    assert [piece.tolist() for piece in cut(np.arange(5), 2)] == [[0, 1], [2, 3], [4]]


@pytest.mark.parametrize("count", range(1, 20))
@pytest.mark.parametrize("world", [1, 2, 3, 8])
def test_shares_divide_a_batch(count: int, world: int) -> None:
    batch = np.arange(count) * 10
    shares = [share(batch, rank, world) for rank in range(world)]
    assert np.array_equal(np.concatenate(shares), batch)
    assert len(shares[0]) > 0
    if count > 1:
        assert 1 not in [len(piece) for piece in shares]
    full = [len(piece) for piece in shares if len(piece)]
    assert max(full) - min(full) <= 1


@pytest.mark.parametrize("schedule", get_args(Training.model_fields["schedule"].annotation))
@pytest.mark.parametrize("steps", [1, 2, 7, 100])
def test_rates_stay_between_zero_and_the_peak(schedule: str, steps: int) -> None:
    factors = [rate_factor(schedule, step, steps) for step in range(steps)]
    assert all(0 < factor <= 1 for factor in factors)


def test_one_cycle_rises_then_falls() -> None:
    factors = [rate_factor("one-cycle", step, 101) for step in range(101)]
    assert factors[0] == pytest.approx(0.04)
    assert factors[25] == pytest.approx(1.0)
    assert factors[100] == pytest.approx(1e-5)
    assert factors[:26] == sorted(factors[:26])
    assert factors[25:] == sorted(factors[25:], reverse=True)


def test_cosine_falls() -> None:
    factors = [rate_factor("cosine", step, 11) for step in range(11)]
    assert factors == sorted(factors, reverse=True)
    assert factors[0] == 1.0
    assert rate_factor("constant", 3, 11) == 1.0
    with pytest.raises(ValueError, match="unknown schedule"):
        rate_factor("triangle", 0, 11)


def test_linear_rises_over_its_warm_up_and_falls_to_nothing() -> None:
    factors = [rate_factor("linear", step, 20, 0.2) for step in range(20)]
    assert factors[:4] == [0.25, 0.5, 0.75, 1.0]
    assert factors[4] == 1.0 and factors[-1] == pytest.approx(1 / 16)
    falls = np.diff(factors[4:])
    assert np.allclose(falls, -1 / 16)
    without = [rate_factor("linear", step, 4, 0.0) for step in range(4)]
    assert without == [1.0, 0.75, 0.5, 0.25]
