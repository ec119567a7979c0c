"""Recordings are checked as the device will check them: times, steps, gaps, lengths."""

from typing import Any

import numpy as np
import pytest

from edgewright.pipeline.data.series.recordings import (
    Columns,
    Recording,
    Recordings,
    check_recordings,
    trained_step,
)
from edgewright.pipeline.recipe.data import Data
from edgewright.runtime.errors import DataError
from tests.messages import refused

COLUMNS = Columns(("a",), ("t",))


def one(times: list[float] | None = None, name: str = "s", **changes: Any) -> Recording:
    steps = 4 if times is None else len(times)
    values = np.arange(float(steps))[:, np.newaxis]
    return Recording(name, values, None if times is None else np.array(times), **changes)


def checked(*series: Recording, regrid: bool = True, **keys: Any) -> tuple[Recordings, float | None]:
    return check_recordings(Recordings(COLUMNS, series), Data(source="x", **keys), "t.csv", regrid)


def test_the_step_is_the_usual_one_or_the_one_asked_for() -> None:
    series = [one([0, 2, 4, 7]), one([0, 2])]
    assert trained_step(series, None) == 2 and trained_step(series, 3.0) == 3
    assert trained_step([one()], 3.0) is None and trained_step([one([1.0])], None) is None


def test_steps_of_another_length_follow_the_policy() -> None:
    irregular = one([0, 1, 2, 4])
    with refused(DataError):
        checked(irregular)
    (kept,) = checked(irregular, irregular="ignore")[0].series
    assert kept is irregular
    found, step = checked(irregular, irregular="resample")
    assert step == 1
    np.testing.assert_array_equal(found.series[0].times, [0, 1, 2, 3, 4])
    np.testing.assert_array_equal(found.series[0].values[:, 0], [0, 1, 2, 2.5, 3])
    (whole,) = checked(irregular, regrid=False, irregular="resample")[0].series
    assert whole is irregular, "a whole series is laid on the grid by the device"


def test_targets_and_classes_are_laid_on_the_grid_too() -> None:
    targets = np.array([[0.0], [10], [np.nan], [40]])
    found, _ = checked(one([0, 1, 2, 4], targets=targets), irregular="resample")
    np.testing.assert_array_equal(found.series[0].targets, [[0], [10], [np.nan], [np.nan], [40]])
    found, _ = checked(one([0, 1, 2, 4], labels=tuple("aabb")), irregular="resample")
    assert found.series[0].labels == tuple("aabbb")


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ([0, 1, 1, 2], "occurs twice"),
        ([0, 2, 1, 3], "goes backwards"),
        ([0, np.nan, 1, 2], "is not finite"),
    ],
)
@pytest.mark.parametrize("policy", ["refuse", "resample", "ignore"])
def test_no_policy_allows_times_that_do_not_rise(times: list[float], expected: str, policy: str) -> None:
    with pytest.raises(DataError, match=rf"t\.csv, series 's': the time .*{expected}"):
        checked(one(times), irregular=policy)


def test_a_gap_of_very_many_steps_is_refused() -> None:
    with refused(DataError):
        checked(one([0, 1, 2, 1e12]), irregular="resample")


@pytest.mark.parametrize("policy", ["refuse", "forward", "interpolate", "zero"])
def test_no_policy_allows_infinity(policy: str) -> None:
    recording = one()
    recording.values[2, 0] = np.inf
    with refused(DataError):
        checked(recording, missing=policy)


def test_targets_that_are_not_known_are_told() -> None:
    found, _ = checked(one(targets=np.array([[1.0], [np.nan], [np.nan], [2]])))
    assert found.notes == ("2 of 4 target values are empty: nothing is learnt or judged there",)


def test_short_recordings_are_skipped() -> None:
    found, _ = checked(one(), one([1.0], name="short"), min_length=2)
    assert [recording.name for recording in found.series] == ["s"]
    assert found.skipped[0].reason == "has 1 step, data.min_length asks for 2"
