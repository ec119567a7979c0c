"""Streams of series: gaps, clocks, scales of their own, forecasts; as in the whole series."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgewright.runtime import Series
from edgewright.runtime.errors import InputError
from tests.messages import refused
from tests.runtime.recurrent_bundle import FORECAST, Case, case, forecast_series, series_values
from tests.runtime.recurrent_graphs import Net
from tests.runtime.streams.stream_helpers import engine_of, regression_with, scaled_engine, timed


@pytest.mark.parametrize("missing", ["forward", "zero"])
def test_gaps_are_filled_as_in_the_whole_series(tmp_path: Path, missing: str) -> None:
    engine = regression_with(tmp_path, missing=missing)
    values = series_values(30)
    values[np.random.default_rng(1).random(values.shape) < 0.3] = np.nan
    values[0, 1] = np.nan
    expected = engine(values).values
    with engine.stream() as stream:
        found = [stream.push(row).last for row in values]
        np.testing.assert_allclose(found, expected, rtol=1e-5)
        stream.reset()
        blocks = [
            answer for start in range(0, 30, 7) for answer in stream.push_all(values[start : start + 7])
        ]
    np.testing.assert_allclose([answer.last for answer in blocks], expected, rtol=1e-5)


def test_a_gap_that_is_interpolated_needs_the_next_value(tmp_path: Path) -> None:
    engine = regression_with(tmp_path, missing="interpolate")
    values = series_values(5)
    expected = engine(values).values
    with engine.stream() as stream:
        stream.push(values[:2])
        with refused(InputError):
            stream.push(np.array([1.0, np.nan, 3.0]))
        np.testing.assert_allclose(stream.push(values[2:]).last, expected[-1], rtol=1e-5)


def test_times_are_watched(tmp_path: Path) -> None:
    engine = regression_with(tmp_path, step=10.0)
    values = series_values(4)
    expected = engine(values).values
    with engine.stream() as stream:
        stream.push(timed(values[:1], np.array([100.0])))
        for time, message in (
            (100.0, "occurs twice"),
            (90.0, "goes backwards"),
            (115.0, "is 15 long, training had 10"),
            (np.nan, "is not finite"),
        ):
            with pytest.raises(InputError, match=message):
                stream.push(timed(values[1:2], np.array([time])))
        with refused(InputError):
            stream.push(values[1])
        answer = stream.push(timed(values[1:2], np.array([110.05])))
        np.testing.assert_allclose(answer.last, expected[1], rtol=1e-5)
        stream.reset()
        stream.push(values[0])
        stream.push(values[1])
        with refused(InputError):
            stream.push(timed(values[2:3], np.array([120.0])))
        np.testing.assert_allclose(stream.push(values[2]).last, expected[2], rtol=1e-5)


@pytest.mark.parametrize("size", [1, 2, 7, 50])
def test_irregular_steps_are_resampled_as_in_the_whole_series(tmp_path: Path, size: int) -> None:
    engine = regression_with(tmp_path, step=10.0, irregular="resample")
    random = np.random.default_rng(3)
    times = 1e9 + np.cumsum(random.uniform(0.5, 35.0, 50))
    values = series_values(50)
    expected = engine(timed(values, times)).values
    with engine.stream() as stream:
        found: list[Any] = []
        for start in range(0, 50, size):
            part = slice(start, start + size)
            found += stream.push_all(timed(values[part], times[part]))
    np.testing.assert_array_equal(np.array([answer.last for answer in found]).shape, expected.shape)
    np.testing.assert_allclose([answer.last for answer in found], expected, rtol=1e-5)


def test_a_step_that_completes_nothing_answers_nothing(tmp_path: Path) -> None:
    engine = regression_with(tmp_path, step=10.0, irregular="resample")
    values = series_values(3)
    with engine.stream() as stream:
        assert stream.push(timed(values[:1], np.array([0.0]))) is not None
        assert stream.push(timed(values[1:2], np.array([4.0]))) is None
        assert len(stream.push_all(timed(values[2:], np.array([31.0])))) == 3


def test_a_gap_of_years_is_not_filled(tmp_path: Path) -> None:
    engine = regression_with(tmp_path, step=1e-3, irregular="resample")
    values = series_values(2)
    with engine.stream() as stream:
        stream.push(timed(values[:1], np.array([0.0])))
        with refused(InputError):
            stream.push(timed(values[1:], np.array([1e9])))
        assert stream.push(timed(values[1:], np.array([0.001]))) is not None


def test_each_series_has_its_own_scale(tmp_path: Path) -> None:
    engine = scaled_engine(tmp_path)
    values = series_values(6)
    wholes = {name: engine(Series(values, name=name)).values for name in "ab"}
    assert not np.allclose(wholes["a"], wholes["b"])
    together = engine([Series(values[:3], name="b"), Series(values, name="a")])
    np.testing.assert_allclose(together[1].values, wholes["a"], rtol=1e-6)
    for name, whole in wholes.items():
        with engine.stream(name) as stream:
            np.testing.assert_allclose([stream.push(row).last for row in values], whole, rtol=1e-5)
    with engine.stream() as stream:
        kept = [stream.push(Series(values[:1], name="a"))]
        kept += [stream.push(row) for row in values[1:]]
        with refused(InputError):
            stream.push(Series(values[:1], name="b"))
        stream.reset()
        other = stream.push(Series(values[:1], name="b"))
    np.testing.assert_allclose([answer.last for answer in kept], wholes["a"], rtol=1e-5)
    np.testing.assert_allclose(other.last, wholes["b"][0], rtol=1e-5)


def test_unseen_series(tmp_path: Path) -> None:
    engine = scaled_engine(tmp_path / "refuse")
    row = series_values(1)[0]
    for begin in (lambda: engine.stream("c"), lambda: engine.streams(2, ["a", "c"])):
        with refused(InputError):
            begin()
    stream = engine.stream()
    with refused(InputError):
        stream.push(row)
    with refused(InputError):
        stream.push(Series(row[np.newaxis], name="c"))
    assert stream.push(Series(row[np.newaxis], name="b")) is not None
    free = scaled_engine(tmp_path / "global", unseen="global")
    expected = free(Series(row[np.newaxis], name="c"))
    assert free.stream().push(row) == free.stream("c").push(row) == expected


def test_a_forecast_begins_with_its_context(tmp_path: Path) -> None:
    engine = engine_of(tmp_path, case("forecasting"))
    series = forecast_series(6)
    pieces = list(engine.task.pieces(series))
    with engine.stream() as stream:
        answers = [stream.push(piece) for piece in pieces]
        assert answers[:5] == [None] * 5 and answers[5] == engine(series)
        assert answers[5].times is not None
        np.testing.assert_array_equal(answers[5].times, 1e9 + 60.0 * np.arange(6, 10))
        stream.reset()
        assert stream.push_all(series) == [engine(series)]
        with refused(InputError):
            stream.push(series_values(1))


@pytest.mark.parametrize("anchor", ["seasonal", "last", "none"])
def test_forecasts_step_by_step(tmp_path: Path, anchor: str) -> None:
    """The stream carries what was before the context as well; the graph over all steps is what it equals."""
    assert FORECAST.forecast is not None
    forecast = dataclasses.replace(FORECAST.forecast, anchor=anchor, known=(), known_mean=(), known_std=())
    settings = dataclasses.replace(FORECAST, forecast=forecast)
    net = Net(3, 8, 2, horizon=4)
    engine = engine_of(tmp_path, Case("forecasting", settings, net, (), ()))
    values = series_values(40)
    longest = dataclasses.replace(forecast, context=40)
    whole = engine_of(
        tmp_path / "whole",
        Case("forecasting", dataclasses.replace(settings, forecast=longest), net, (), ()),
    )
    with engine.stream() as quick, engine.stream() as slow:
        rows = [quick.push(row) for row in values]
        blocks = [answer for start in range(0, 40, 9) for answer in slow.push_all(values[start : start + 9])]
    assert rows[:5] == [None] * 5 and len(blocks) == 35
    np.testing.assert_allclose(
        [answer.values for answer in rows[5:]], [answer.values for answer in blocks], rtol=1e-5
    )
    np.testing.assert_allclose(rows[-1].values, whole(values).values, rtol=1e-5)
    np.testing.assert_allclose(rows[5].values, engine(values[:6]).values, rtol=1e-5)


def test_known_columns_by_name(tmp_path: Path) -> None:
    engine = engine_of(tmp_path, case("forecasting"))
    series = forecast_series(6)
    assert series.known is not None
    ahead = np.concatenate((series.values[:, 2], series.known[:, 0]))
    with engine.stream() as stream:
        for step in range(6):
            answer = stream.push(
                {
                    "heat": series.values[step, 0],
                    "load": [series.values[step, 1]],
                    "speed": ahead[step : step + 5],
                    "when": [1e9 + 60 * step],
                }
            )
    assert answer == engine(series)


def test_values_beyond_every_scale(tmp_path: Path) -> None:
    engine = regression_with(tmp_path, std=(1e-3, 1e-3, 1e-3))
    values = series_values(3) / 1000
    expected = engine(values).values
    huge = np.array([1.0, 1.7e308, 1.0])
    group = engine.streams(2)
    with engine.stream() as stream:
        for row, whole in zip(values, expected, strict=True):
            np.testing.assert_allclose(stream.push(row).last, whole, rtol=1e-5)
            np.testing.assert_allclose(group.push(np.array([row, row]))[1].last, whole, rtol=1e-5)
            with refused(InputError):
                stream.push(huge)
            with refused(InputError):
                group.push(np.array([row, huge]))
