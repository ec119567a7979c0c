"""The numbers behind a verdict, against published and hand-made values."""

import time

import numpy as np
import pytest

from edgewright.exporters.distance import distance
from edgewright.exporters.judge.statistics import bootstrap_difference, paired_difference
from edgewright.exporters.judge.timing import measure_latency
from edgewright.runtime.contracts import Tensors


def outcome(both: int, only_first: int, only_second: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    first = [True] * both + [True] * only_first + [False] * only_second + [False] * neither
    second = [True] * both + [False] * only_first + [True] * only_second + [False] * neither
    return np.array(first), np.array(second)


def test_newcombe_as_published() -> None:
    found = paired_difference(*outcome(36, 12, 2, 0))  # Newcombe 1998, method 10: 0.0569 to 0.3404
    assert [found.drop, found.low, found.high] == pytest.approx([0.2, 0.0569, 0.3404], abs=1e-4)


@pytest.mark.parametrize("cells", [(1, 1, 97, 1), (16, 15, 1, 1), (0, 0, 0, 5), (0, 5, 0, 0), (95, 0, 0, 5)])
def test_newcombe_stays_in_range_and_turns_with_its_sides(cells: tuple[int, int, int, int]) -> None:
    first, second = outcome(*cells)
    found, turned = paired_difference(first, second), paired_difference(second, first)
    assert found.drop == pytest.approx((cells[1] - cells[2]) / sum(cells))
    assert -1 <= found.low <= found.drop <= found.high <= 1
    assert [turned.low, turned.high] == pytest.approx([-found.high, -found.low])


def test_equal_models_have_an_interval_around_zero_that_shrinks() -> None:
    few, many = (paired_difference(*outcome(count, 0, 0, 0)) for count in (10, 1000))
    assert few.drop == many.drop == 0.0
    assert 0 < many.high < few.high < 0.5 and many.low == pytest.approx(-many.high)


def test_newcombe_covers_the_truth() -> None:
    generator = np.random.default_rng(0)
    covered = 0
    for _ in range(400):
        cell = generator.choice(4, 100, p=[0.85, 0.06, 0.03, 0.06])
        first, second = (cell == 0) | (cell == 1), (cell == 0) | (cell == 2)
        found = paired_difference(first, second)
        covered += found.low <= 0.03 <= found.high
    assert covered / 400 > 0.92


def test_bootstrap_is_paired_and_repeats() -> None:
    generator = np.random.default_rng(1)
    base = generator.standard_normal(200)

    def both(rows: np.ndarray) -> tuple[float, float]:
        return float(base[rows].mean()), float(base[rows].mean() - 0.01)

    found = bootstrap_difference(both, 200)
    assert found == bootstrap_difference(both, 200)
    assert found.drop == pytest.approx(0.01) and found.high - found.low < 1e-9


def test_distances() -> None:
    wanted: list[Tensors] = [{"logits": np.array(row, np.float32)} for row in ([1.0, -4.0], [2.0, 0.0])]
    found: list[Tensors] = [wanted[0], {"logits": np.array([2.5, 0.0], np.float32)}]
    apart = distance(wanted, found)
    assert (apart.max_abs, apart.relative, apart.worst, apart.finite) == (0.5, 0.125, 1, True)
    assert apart.passing_tolerance == pytest.approx(0.5 / 3)
    for ours, theirs in zip(found, wanted, strict=True):
        tolerance = apart.passing_tolerance
        assert np.allclose(ours["logits"], theirs["logits"], rtol=tolerance, atol=tolerance)
    assert apart.sqnr_db == pytest.approx(10 * np.log10(21 / 0.25))
    same = distance(wanted, wanted)
    assert same.sqnr_db is None and same.max_abs == 0.0
    broken = distance(wanted, [{"logits": np.array([1.0, np.nan], np.float32)}, wanted[1]])
    assert not broken.finite and broken.worst == 0


def test_latency_ratios() -> None:
    found = measure_latency(
        {"slow": lambda: time.sleep(0.006), "fast": lambda: time.sleep(0.002)}, seconds=0.2
    )
    assert found["slow"].p50_ms >= 6 and found["slow"].p95_ms >= found["slow"].p50_ms
    assert found["fast"].times_as_fast_as(found["slow"]) > 1.5
    assert len(found["slow"].rounds) == len(found["fast"].rounds) >= 7
