"""Files of arrays: shapes, names, lengths, and what cannot be used."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.pipeline.data.small_tables import error_of, every_sample, open_table

CLASSIFY, REGRESS, FORECAST = "sequence-classification", "sequence-regression", "forecasting"
DRAWS = np.random.default_rng(0)
VALUES = DRAWS.normal(size=(30, 12, 3))


def save(folder: Path, **arrays: Any) -> Path:
    path = folder / "t.npz"
    np.savez(path, **arrays)
    return path


def test_a_classification_of_any_length(tmp_path: Path) -> None:
    lengths = DRAWS.integers(1, 13, 30)
    names = np.array([f"n{row}" for row in range(30)])
    path = save(
        tmp_path, values=VALUES, target=np.arange(30) % 3, lengths=lengths, series=names, features=list("abc")
    )
    splits = open_table(CLASSIFY, path)
    assert splits.classes == ("0", "1", "2") and splits.features == ("a", "b", "c")
    for sample in every_sample(splits):
        row = int(sample.id[1:])
        np.testing.assert_array_equal(sample.raw.values, VALUES[row, : lengths[row]])
        assert sample.target == row % 3


def test_classes_by_name_and_one_feature(tmp_path: Path) -> None:
    path = save(tmp_path, values=VALUES[:, :, 0], target=np.array(["on", "off"] * 15))
    splits = open_table(CLASSIFY, path)
    assert splits.classes == ("off", "on") and splits.features == ("value",)


def test_a_regression_with_gaps_in_its_targets(tmp_path: Path) -> None:
    target = DRAWS.normal(size=(30, 12, 2))
    target[:, :6] = np.nan
    splits = open_table(REGRESS, save(tmp_path, values=VALUES, target=target, targets=["u", "v"]))
    assert splits.targets == ("u", "v") and splits.features == ("value_0", "value_1", "value_2")
    for sample in every_sample(splits):
        np.testing.assert_array_equal(np.asarray(sample.target), target[int(sample.id)])


def test_a_forecast_puts_its_target_first(tmp_path: Path) -> None:
    values = DRAWS.normal(size=(2, 100, 2))
    times = np.arange("2024-01-01", "2024-04-10", dtype="datetime64[D]")
    path = save(tmp_path, values=values, features=["rain", "flow"], times=times)
    sections = {"forecast": {"horizon": 2, "context": 5}}
    splits = open_table(FORECAST, path, sections, target="flow")
    assert splits.features == ("flow", "rain") and splits.targets == ("flow",)
    first = splits.train[0]
    np.testing.assert_array_equal(first.raw.values, values[0, :5, ::-1])
    np.testing.assert_array_equal(np.asarray(first.target), values[0, 5:7, 1:])
    assert np.all(np.diff(first.raw.times) == 86400)
    assert "name what is forecast, one or more of rain, flow" in error_of(FORECAST, path, sections)


@pytest.mark.parametrize(
    ("task", "arrays", "expected"),
    [
        (CLASSIFY, {"values": VALUES}, "target must be 30 whole numbers or names"),
        (CLASSIFY, {"values": VALUES, "target": np.zeros(29, int)}, "target must be 30"),
        (
            CLASSIFY,
            {"values": VALUES, "targt": np.zeros(30, int)},
            "unknown array 'targt' (did you mean 'target",
        ),
        (
            CLASSIFY,
            {"values": np.zeros((2, 3, 4, 5)), "target": [0, 1]},
            "values is 2x3x4x5: give series x steps",
        ),
        (CLASSIFY, {"values": np.array([["a", "b"]]), "target": [0]}, "not numbers"),
        (
            CLASSIFY,
            {"values": VALUES, "target": np.arange(30), "lengths": [13] * 30},
            "lengths must be 30 whole",
        ),
        (
            CLASSIFY,
            {"values": VALUES, "target": np.arange(30), "series": ["a"] * 30},
            "series has 1 different",
        ),
        (
            CLASSIFY,
            {"values": VALUES, "target": np.arange(30), "times": np.arange(3)},
            "times must be [steps]",
        ),
        (REGRESS, {"values": VALUES, "target": np.zeros((30, 11))}, "target must be [series, steps]"),
        (CLASSIFY, {"x": np.zeros(3), "label": np.zeros(4)}, "'label' has 4 rows, 'x' has 3: give as many"),
        (CLASSIFY, {"x": np.zeros((3, 2)), "label": np.zeros(3)}, "'x' has 2 axes: call it values"),
    ],
)
def test_arrays_that_do_not_fit(tmp_path: Path, task: str, arrays: dict[str, Any], expected: str) -> None:
    assert expected in error_of(task, save(tmp_path, **arrays))


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    path = save(tmp_path, values=np.array([object()], dtype=object), target=np.array([0]))
    assert "plain arrays" in error_of(CLASSIFY, path)
    path.write_bytes(b"PK\x03\x04 broken")
    assert "t.npz" in error_of(CLASSIFY, path)
