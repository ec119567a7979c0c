"""Cells, times, gaps and the grid: each rule on its own."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings, strategies
from numpy.typing import NDArray

from edgewright.runtime.errors import InputError
from edgewright.runtime.series import values as series_values
from edgewright.runtime.series.values import (
    Resampler,
    check_times,
    fill_forward,
    fill_missing,
    normalise,
    resample,
)
from edgewright.runtime.tables.numbers import numbers, parse_number, parse_time, time_numbers
from tests.messages import refused

NAMES = ("a", "b")
MEAN = np.array([7.0, 8.0])
NAN = math.nan


@pytest.mark.parametrize(
    ("cell", "value"),
    [("1", 1.0), (" -2.5e3 ", -2500.0), ("1e400", math.inf), ("inf", math.inf), ("0x1", None)],
)
def test_numbers(cell: str, value: float | None) -> None:
    if value is not None:
        assert parse_number(cell, "here") == value
        return
    with refused(InputError):
        parse_number(cell, "here")


@pytest.mark.parametrize("cell", ["", "  ", "nan", "NaN", "NA", "n/a", "null", "None", "?"])
def test_missing_cells(cell: str) -> None:
    assert math.isnan(parse_number(cell, "here"))


def test_text_in_messages_is_short() -> None:
    with pytest.raises(InputError) as caught:
        parse_number("x" * 500, "here")
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("12.5", 12.5),
        ("1970-01-02", 86400.0),
        ("1970-01-01T00:00:01", 1.0),
        ("1970-01-01 00:00:01.5Z", 1.5),
        ("1970-01-01T01:00:00+01:00", 0.0),
        ("1969-12-31T23:59:59", -1.0),
    ],
)
def test_times(cell: str, value: float) -> None:
    assert parse_time(cell, "here") == value
    assert time_numbers([cell], "here").tolist() == [value]


@pytest.mark.parametrize("cell", ["", "nan", "inf", "noon", "31.12.2026", "2026-02-30", "1_0"])
def test_what_is_no_time(cell: str) -> None:
    with refused(InputError):
        parse_time(cell, "here")


def test_columns_of_times_that_are_none() -> None:
    for cells, message in (
        ("noon", "is str: give a list of times"),
        (5, "is int: give a list of times"),
        ([None], "row 1 is NoneType"),
        ([True], "row 1 is bool"),
        (np.array(["2026-01-01", "NaT"], "datetime64[s]"), "row 2 is empty"),
    ):
        with pytest.raises(InputError, match=message):
            time_numbers(cells, "here")
    with refused(InputError):
        numbers(b"12", "here")


def test_the_clock() -> None:
    regular = np.array([0.0, 10, 20, 30, 40])
    assert check_times(regular, 10.0, "refuse") and check_times(regular, None, "refuse")
    jitter = regular + np.array([0, 0.05, -0.04, 0, 0])
    assert check_times(jitter, 10.0, "refuse")
    gap = np.array([0.0, 10, 30])
    assert not check_times(gap, 10.0, "ignore") and not check_times(gap, 10.0, "resample")
    assert check_times(np.array([20.0]), 10.0, "refuse", before=10.0)
    assert check_times(np.zeros(0), 10.0, "refuse") and check_times(np.zeros(1), 10.0, "refuse")
    for times, before, message in (
        (gap, None, "the step to row 3 is 20 long, training had 10"),
        (np.array([0.0, 10, 10]), None, r"the time 10\.0 in row 3 occurs twice"),
        (np.array([0.0, 10, 5]), None, r"the time 5\.0 in row 3 goes backwards, from 10\.0"),
        (np.array([0.0, NAN]), None, "the time in row 2 is not finite"),
        (np.array([0.0, math.inf]), None, "the time in row 2 is not finite"),
        (np.array([10.0]), 10.0, "in row 1 occurs twice"),
        (np.array([9.0]), 10.0, "in row 1 goes backwards"),
        (np.array([20.0, 25.0]), 10.0, "the step to row 2 is 5 long"),
    ):
        with pytest.raises(InputError, match=message):
            check_times(times, 10.0, "refuse", "x", before)


def test_gaps() -> None:
    values = np.array([[NAN, 1], [2, NAN], [NAN, NAN], [6, 5], [NAN, NAN]])

    def filled(policy: str, times: NDArray[np.float64] | None = None) -> list[list[float]]:
        rows: list[list[float]] = fill_missing(values, policy, NAMES, MEAN, times).tolist()
        return rows

    assert filled("zero") == [[0, 1], [2, 0], [0, 0], [6, 5], [0, 0]]
    assert filled("forward") == [[7, 1], [2, 1], [2, 1], [6, 5], [6, 5]]
    assert filled("interpolate")[:3] == [[2, 1], [2, 1 + 4 / 3], [4, 1 + 8 / 3]]
    assert filled("interpolate", np.array([0.0, 1, 4, 5, 6]))[2] == [5, 1 + 4 * 4 / 5]
    assert filled("interpolate")[4] == [6, 5]
    with refused(InputError):
        fill_missing(values, "refuse", NAMES, MEAN, None, "x")
    with refused(InputError):
        fill_missing(np.array([[1.0, NAN]]), "interpolate", NAMES, MEAN)
    assert np.isnan(values[0, 0]), "what was given is not written to"


@pytest.mark.parametrize("policy", ["refuse", "forward", "interpolate", "zero"])
def test_infinity_is_never_filled(policy: str) -> None:
    with refused(InputError):
        fill_missing(np.array([[NAN, 1.0], [2.0, -math.inf]]), policy, NAMES, MEAN)


def test_large_values_are_not_called_infinite() -> None:
    values = np.full((3, 2), 1e300)
    assert fill_missing(values, "refuse", NAMES, MEAN) is values


def test_filling_goes_on_where_it_stopped() -> None:
    values = np.random.default_rng(0).normal(size=(50, 2))
    values[np.random.default_rng(1).random(values.shape) < 0.5] = NAN
    whole = fill_forward(values, MEAN)
    last, parts = MEAN, []
    for start in range(0, 50, 7):
        parts.append(fill_forward(values[start : start + 7], last))
        last = parts[-1][-1]
    np.testing.assert_array_equal(np.vstack(parts), whole)


def test_the_grid() -> None:
    times = np.array([0.0, 10, 25, 30])
    values = np.array([[0.0], [10], [40], [30]])
    grid, rows = resample(times, values, 10.0)
    assert grid.tolist() == [0, 10, 20, 30] and rows[:, 0].tolist() == [0, 10, 30, 30]
    grid, rows = resample(np.array([5.0, 9.0]), values[:2], 10.0)
    assert grid.tolist() == [5] and rows.tolist() == [[0]]


def test_regular_steps_are_left_as_they_are() -> None:
    """Times that a step does not divide exactly in binary must not lose their last row, nor change a value."""
    for start, step in ((0.0, 0.1), (1.7e9, 0.1), (1e9, 1 / 3), (0.0, 3600.0)):
        times = np.array([start + row * step for row in range(1000)])
        values = np.random.default_rng(0).normal(size=(1000, 2))
        grid, rows = resample(times, values, step)
        assert len(grid) == 1000
        np.testing.assert_allclose(rows, values, atol=1e-4)


@settings(max_examples=60, deadline=None)
@given(
    lengths=strategies.lists(strategies.floats(0.01, 50), min_size=1, max_size=40),
    cuts=strategies.lists(strategies.integers(0, 40), max_size=6),
    step=strategies.sampled_from([0.5, 3.0, 10.0, 77.7]),
)
def test_pieces_change_nothing_about_the_grid(lengths: list[float], cuts: list[int], step: float) -> None:
    times = 1e6 + np.cumsum(lengths)
    values = np.random.default_rng(0).normal(size=(len(times), 2))
    grid, rows = resample(times, values, step)
    piecewise = Resampler(step)
    edges = [0, *sorted(cuts), len(times)]
    parts = [piecewise.push(times[a:b], values[a:b]) for a, b in itertools.pairwise(edges)]
    np.testing.assert_array_equal(np.concatenate([part[0] for part in parts]), grid)
    np.testing.assert_array_equal(np.concatenate([part[1] for part in parts]), rows)
    assert rows.min() >= values.min() - 1e-12 and rows.max() <= values.max() + 1e-12
    assert grid[0] == times[0] and grid[-1] <= times[-1] + 1e-5 * step


def test_a_gap_that_is_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(series_values, "MOST_RESAMPLED", 100)
    resampler = Resampler(1.0)
    resampler.push(np.array([0.0]), np.zeros((1, 1)))
    for time in (200.0, 1e300):
        with refused(InputError):
            resampler.push(np.array([time]), np.zeros((1, 1)))
    assert len(resampler.push(np.array([50.0]), np.zeros((1, 1)))[0]) == 50


def test_scaling() -> None:
    found = normalise(np.array([[1.0, 10.0]]), np.array([0.0, 4.0]), np.array([2.0, 3.0]))
    assert found.dtype == np.float32 and found.tolist() == [[0.5, 2.0]]
    with refused(InputError):
        normalise(np.array([[1e300]]), np.zeros(1), np.ones(1), "x")
