"""Cutting: windows side by side or overlapping, parts that follow each other, and no window over an edge."""

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgewright.pipeline.data.samples import SPLITS
from edgewright.pipeline.data.series.recordings import Columns, Recording
from edgewright.pipeline.data.series.windows import (
    forecast_samples,
    forecast_spans,
    parts_in_time,
    spans,
    window_samples,
)
from edgewright.pipeline.recipe.data import Data
from edgewright.pipeline.recipe.series import Forecast

SHARES = {"validation": 0.1, "calibration": 0.0, "evaluation": 0.2}


def data(**keys: Any) -> Data:
    return Data(source="x", **keys)


def recording(steps: int = 12, labels: str | None = None, **changes: Any) -> Recording:
    values = np.arange(steps * 2, dtype=np.float64).reshape(steps, 2)
    return Recording("s", values, labels=None if labels is None else tuple(labels), **changes)


COLUMNS = Columns(("a", "b"), ("t",))


@given(
    st.integers(0, 500),
    st.fixed_dictionaries({name: st.floats(0, 0.3) for name in SPLITS[1:]}),
    st.integers(1, 40),
    st.integers(1, 40),
)
def test_parts_follow_each_other_and_cover_everything(
    length: int, shares: dict[str, float], least: int, later: int
) -> None:
    parts = parts_in_time(length, shares, least, later)
    if parts is None:
        wanted = [max(round(share * length), later) for share in shares.values() if share > 0]
        assert length - sum(wanted) < least
        return
    assert list(parts) == [name for name in SPLITS if name in parts], "in the order of time"
    assert list(parts) == ["train", *(name for name in SPLITS[1:] if shares[name] > 0)]
    edges = [0, *itertools.chain.from_iterable(parts.values()), length]
    assert edges[0::2] == edges[1::2], "no step is lost, none is in two parts"
    for name, (start, stop) in parts.items():
        assert stop - start >= (least if name == "train" else later)


def test_shares_of_a_long_series_are_kept() -> None:
    assert parts_in_time(1000, SHARES, 10, 10) == {
        "train": (0, 700),
        "validation": (700, 800),
        "evaluation": (800, 1000),
    }
    assert parts_in_time(60, SHARES, 20, 20) == {
        "train": (0, 20),
        "validation": (20, 40),
        "evaluation": (40, 60),
    }
    assert parts_in_time(59, SHARES, 20, 20) is None


def test_windows_of_a_part() -> None:
    assert spans((3, 13), None, None) == [(3, 13)]
    assert spans((3, 13), 4, None) == [(3, 7), (7, 11)]
    assert spans((3, 13), 4, 2) == [(3, 7), (5, 9), (7, 11), (9, 13)]
    assert spans((3, 13), 11, None) == [] and spans((3, 3), None, None) == []


@given(st.integers(0, 60), st.integers(0, 60), st.integers(1, 8), st.integers(1, 8), st.integers(1, 9))
def test_no_window_of_a_forecast_leaves_its_part(
    start: int, length: int, context: int, horizon: int, stride: int
) -> None:
    stop = start + length
    strict = Forecast(context=context, horizon=horizon)
    for first, last in forecast_spans((start, stop), strict, stride):
        assert start <= first < last <= stop and last - first == context + horizon
    for first, last in forecast_spans((start, stop), strict.model_copy(update={"reach_back": True}), stride):
        assert first >= 0 and start <= first + context and last <= stop, (
            "what is forecast never lies before the part"
        )


def test_the_context_reaches_back_only_where_it_may() -> None:
    forecast = Forecast(context=4, horizon=2)
    assert forecast_spans((10, 16), forecast, None) == [(10, 16)]
    reaching = forecast_spans((10, 16), forecast.model_copy(update={"reach_back": True}), None)
    assert reaching == [(6, 12), (7, 13), (8, 14), (9, 15), (10, 16)]


def test_samples_of_a_whole_series_and_of_its_windows() -> None:
    one = recording(12, "x")
    (whole,), left_out = window_samples(one, (0, 12), COLUMNS, data(), {"x": 3})
    assert whole.id == "s" and whole.target == 3 and left_out == 0
    assert whole.raw.columns == ("a", "b") and whole.raw.name == "s"
    np.testing.assert_array_equal(whole.raw.values, one.values)
    cut, _ = window_samples(one, (2, 12), COLUMNS, data(window=5), {"x": 3})
    assert [sample.id for sample in cut] == ["s/02", "s/07"], "the numbers sort in the order of time"
    np.testing.assert_array_equal(cut[1].raw.values, one.values[7:12])
    assert cut[0].content != cut[1].content


def test_a_window_never_holds_two_classes() -> None:
    cut, _ = window_samples(recording(12, "xxxxxyyyyyyx"), (0, 12), COLUMNS, data(window=3), {"x": 0, "y": 1})
    assert [(sample.id, sample.target) for sample in cut] == [("s/00", 0), ("s/05", 1), ("s/08", 1)]
    only, _ = window_samples(recording(12, "xxxxxyyyyyyx"), (0, 12), COLUMNS, data(window=3), {"y": 0})
    assert [(sample.id, sample.target) for sample in only] == [("s/05", 0), ("s/08", 0)]


def test_windows_of_a_regression_keep_what_is_not_known_and_drop_what_says_nothing() -> None:
    targets = np.arange(12.0)[:, np.newaxis]
    targets[:5] = np.nan
    cut, left_out = window_samples(recording(targets=targets), (0, 12), COLUMNS, data(window=4), {})
    assert [sample.id for sample in cut] == ["s/04", "s/08"] and left_out == 1
    target = cut[0].target
    assert isinstance(target, np.ndarray)
    np.testing.assert_array_equal(target.ravel(), [np.nan, 5, 6, 7])


def test_samples_of_a_forecast() -> None:
    columns, forecast = Columns(("y", "promo"), ("y",)), Forecast(context=3, horizon=2, known=("promo",))
    one = recording(8, times=np.arange(8.0) * 60)
    cut, left_out = forecast_samples(one, (0, 8), columns, forecast, data())
    assert [sample.id for sample in cut] == ["s/0", "s/1", "s/2", "s/3"] and left_out == 0
    second = cut[1]
    np.testing.assert_array_equal(second.raw.values, one.values[1:4])
    np.testing.assert_array_equal(second.raw.times, [60, 120, 180])
    np.testing.assert_array_equal(second.target, one.values[4:6, :1])
    np.testing.assert_array_equal(second.raw.known, one.values[4:6, 1:])


@pytest.mark.parametrize("row", [4, 5])
def test_a_forecast_without_what_must_be_known_ahead_is_left_out(row: int) -> None:
    columns, forecast = Columns(("y", "promo"), ("y",)), Forecast(context=3, horizon=2, known=("promo",))
    one = recording(6)
    one.values[row, 1] = np.nan
    cut, left_out = forecast_samples(one, (0, 6), columns, forecast, data(missing="forward"))
    assert len(cut) + left_out == 2 and left_out == (2 if row == 4 else 1)


def test_a_window_that_no_line_can_fill_is_left_out() -> None:
    one = recording(9, "x")
    one.values[3:6, 1] = np.nan
    cut, left_out = window_samples(one, (0, 9), COLUMNS, data(window=3, missing="interpolate"), {"x": 0})
    assert [sample.id for sample in cut] == ["s/0", "s/6"] and left_out == 1
    cut, left_out = window_samples(one, (0, 9), COLUMNS, data(window=3, missing="forward"), {"x": 0})
    assert len(cut) == 3 and left_out == 0


def test_windows_share_the_memory_of_their_series_and_cannot_change_it() -> None:
    one = recording(12, "x")
    cut, _ = window_samples(one, (0, 12), COLUMNS, data(window=4), {"x": 0})
    assert all(np.shares_memory(sample.raw.values, one.values) for sample in cut)
    with pytest.raises(ValueError, match="read-only"):
        cut[0].raw.values[0] = 1
