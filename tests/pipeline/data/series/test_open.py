"""Tables of series, from the file to divided samples."""

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgewright.pipeline.data.classes import sort_classes
from edgewright.pipeline.data.samples import SPLITS, Splits
from edgewright.pipeline.data.sources import restore_splits
from edgewright.runtime.errors import DataError, RecipeError
from tests.messages import refused
from tests.pipeline.data.small_tables import (
    WRITERS,
    error_of,
    every_sample,
    gestures,
    open_table,
    recipe,
    sensors,
    write_csv,
    write_npz,
)

CLASSIFY, REGRESS, FORECAST = "sequence-classification", "sequence-regression", "forecasting"
SENSOR: dict[str, Any] = {"series": "sensor", "time": "hour"}
SHORT = {"forecast": {"context": 8, "horizon": 4}}


def values(splits: Splits, split: str) -> set[float]:
    """Every number of the first feature that a split holds, with the targets of a forecast."""
    found: set[float] = set()
    for sample in splits.split(split):
        found.update(sample.raw.values[:, 0].tolist())
        if not splits.classes and splits.features[:1] == splits.targets[:1]:
            assert isinstance(sample.target, np.ndarray)
            found.update(sample.target.ravel().tolist())
    return found


@pytest.mark.parametrize(
    ("names", "order"),
    [
        ("10 9 01 1 001 -1 0", "-1 0 001 01 1 9 10"),
        ("10 9 b", "10 9 b"),
        ("--1 1", "--1 1"),
        ("² 1", "1 ²"),
        ("1.0 0.0", "0.0 1.0"),
    ],
)
def test_classes_have_one_order(names: str, order: str) -> None:
    assert sort_classes(set(names.split())) == tuple(order.split())


@pytest.mark.parametrize("suffix", WRITERS)
def test_every_format_gives_the_same_samples(tmp_path: Path, suffix: str) -> None:
    path = WRITERS[suffix](tmp_path / f"t{suffix}", sensors())
    splits = open_table(FORECAST, path, SHORT, target="heat", **SENSOR)
    reference = open_table(FORECAST, write_csv(tmp_path / "r.csv", sensors()), SHORT, target="heat", **SENSOR)
    assert splits.digest() == reference.digest() and splits.features == ("heat", "flow")
    assert splits.targets == ("heat",) and splits.classes == () and splits.looked_at == "2 series"
    assert splits.counts() == {"train": (146,), "validation": (2,), "calibration": (0,), "evaluation": (26,)}
    sample = splits.train[0]
    assert sample.id == "s0/000" and sample.raw.name == "s0" and sample.raw.values.shape == (8, 2)
    assert isinstance(sample.target, np.ndarray) and sample.target.shape == (4, 1)


@pytest.mark.parametrize("task", [FORECAST, REGRESS])
@pytest.mark.parametrize("stride", [1, 3])
def test_no_step_is_in_two_splits(tmp_path: Path, task: str, stride: int) -> None:
    path = write_csv(tmp_path / "t.csv", sensors(3, 200))
    sections = SHORT if task == FORECAST else {}
    keys = {"window": 10} if task == REGRESS else {}
    splits = open_table(task, path, sections, target="heat", stride=stride, calibration=0.1, **SENSOR, **keys)
    held = [values(splits, name) for name in SPLITS]
    assert all(held) and sum(map(len, held)) == len(set().union(*held))
    for name in ("s0", "s1", "s2"):  # and each split comes after the one before
        ends = [
            (min(sample.raw.times[0] for sample in mine), max(sample.raw.times[-1] for sample in mine))
            for split in SPLITS
            if (mine := [sample for sample in splits.split(split) if sample.raw.name == name])
        ]
        assert all(before[1] < after[0] for before, after in itertools.pairwise(ends))


def test_whole_series_stay_together(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "t.csv", gestures(40))
    splits = open_table(CLASSIFY, path, series="id", window=3, stride=1, calibration=0.1)
    homes: dict[str, set[str]] = {}
    for split in SPLITS:
        for sample in splits.split(split):
            homes.setdefault(sample.raw.name, set()).add(split)
    assert len(homes) == 40 and all(len(split) == 1 for split in homes.values())
    assert splits.classes == ("left", "right") and splits.features == ("x", "y") and splits.targets == ()


def test_whole_series_are_samples_of_any_length(tmp_path: Path) -> None:
    splits = open_table(CLASSIFY, write_csv(tmp_path / "t.csv", gestures()), series="id")
    samples = every_sample(splits)
    assert len(samples) == 30 and {sample.id for sample in samples} == {f"g{n:02d}" for n in range(30)}
    assert len({len(sample.raw.values) for sample in samples}) > 3
    for sample in samples:
        assert sample.label is not None
        assert splits.classes[sample.label] == ("left", "right")[int(sample.id[1:]) % 2]
    assert splits.counts()["evaluation"] == (3, 3)


def test_windows_dealt_out_at_random_do_not_overlap(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "t.csv", gestures(40))
    splits = open_table(CLASSIFY, path, series="id", window=4, split="random")
    held = [values(splits, name) for name in ("train", "validation", "evaluation")]
    assert all(held) and sum(map(len, held)) == len(set().union(*held))
    message = error_of(CLASSIFY, path, series="id", window=4, stride=2, split="random")
    assert message.startswith("data.split: windows overlap") and "stride: 4" in message


def test_the_same_seed_divides_alike_and_another_does_not(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "t.csv", gestures(40))
    first, again, other = (open_table(CLASSIFY, path, series="id", seed=seed) for seed in (1, 1, 2))
    assert first.digest() == again.digest() != other.digest()


def test_a_class_for_each_step(tmp_path: Path) -> None:
    columns = sensors(2, 200)
    columns["label"] = [("walk" if step // 25 % 2 else "rest") for _ in range(2) for step in range(200)]
    path = write_csv(tmp_path / "t.csv", columns)
    splits = open_table(CLASSIFY, path, window=10, **SENSOR)
    assert splits.classes == ("rest", "walk") and all(map(all, [splits.counts()["train"]]))
    for sample in every_sample(splits):
        (kind,) = {"walk" if int(hour) // 25 % 2 else "rest" for hour in sample.raw.times}
        assert sample.label is not None and splits.classes[sample.label] == kind
    only = open_table(CLASSIFY, path, window=10, classes=["walk", "rest"], train_per_class=2, **SENSOR)
    assert only.classes == ("walk", "rest") and only.counts()["train"] == (2, 2)


def test_files_of_splits(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    for number, name in enumerate(("train", "val", "test")):
        write_csv(folder / f"{name}.csv", gestures(12, seed=number))
    splits = open_table(CLASSIFY, folder, series="id")
    assert splits.counts()["train"] == (6, 6) and splits.counts()["evaluation"] == (6, 6)
    assert splits.train[0].id == "train/g00" and splits.train[0].raw.name == "g00"
    write_csv(folder / "more.csv", gestures(12))
    assert "more.csv beside tables that are splits" in error_of(CLASSIFY, folder, series="id")


def test_a_file_for_each_series(tmp_path: Path) -> None:
    for number in range(3):
        columns = sensors(1, 100, seed=number)
        del columns["sensor"]
        write_csv(tmp_path / f"pump{number}.csv", columns)
    splits = open_table(FORECAST, tmp_path, SHORT, time="hour", target="heat")
    assert {sample.raw.name for sample in splits.train} == {"pump0", "pump1", "pump2"} and splits.files == 3
    write_csv(tmp_path / "pump3.csv", {"hour": [1, 2], "heat": [1, 2], "pressure": [3, 4]})
    assert "different columns" in error_of(FORECAST, tmp_path, SHORT, time="hour", target="heat")


def test_a_folder_for_each_class(tmp_path: Path) -> None:
    for label in ("left", "right"):
        (tmp_path / label).mkdir()
        for number in range(10):
            columns = gestures(1, (label,), seed=number + 100 * (label == "left"))
            write_csv(tmp_path / label / f"{number}.csv", {name: columns[name] for name in "xy"})
    splits = open_table(CLASSIFY, tmp_path)
    assert splits.classes == ("left", "right") and sum(map(sum, splits.counts().values())) == 20
    for sample in every_sample(splits):
        assert sample.label is not None
        assert sample.raw.name.startswith(splits.classes[sample.label] + "/")


def test_a_run_finds_its_series_again(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "t.csv", sensors())
    wanted = recipe(FORECAST, path, SHORT, target="heat", **SENSOR)
    splits = open_table(FORECAST, path, SHORT, target="heat", **SENSOR)
    document = json.loads(json.dumps(splits.to_plain()))
    again = restore_splits(document, wanted)
    assert again == splits and again.digest() == splits.digest()
    for before, after in zip(splits.evaluation, again.evaluation, strict=True):
        np.testing.assert_array_equal(before.target, after.target)
        np.testing.assert_array_equal(before.raw.values, after.raw.values)
    columns = sensors()
    columns["heat"][-1] += 1
    write_csv(path, columns)
    with refused(DataError):
        restore_splits(document, wanted)


def test_irregular_steps_are_laid_on_a_grid_before_windows_are_cut(tmp_path: Path) -> None:
    columns = sensors(1, 200)
    columns["hour"] = [step + 0.3 * (step % 3 == 1) for step in range(200)]
    path = write_csv(tmp_path / "t.csv", columns)
    assert "is 1.3 long, training had 1: give regular steps" in error_of(
        FORECAST, path, SHORT, target="heat", step=1, **SENSOR
    )
    splits = open_table(FORECAST, path, SHORT, target="heat", irregular="resample", step=1, **SENSOR)
    for sample in every_sample(splits):
        np.testing.assert_allclose(np.diff(sample.raw.times), 1.0)
    first = splits.train[0].raw.values[:3, 0]
    heat = columns["heat"]
    np.testing.assert_allclose(first, [heat[0], heat[0] + (heat[1] - heat[0]) / 1.3, heat[2]])
    ignored = open_table(FORECAST, path, SHORT, target="heat", irregular="ignore", step=1, **SENSOR)
    np.testing.assert_array_equal(ignored.train[0].raw.values[:3, 0], heat[:3])


def test_missing_values_need_a_policy_and_are_told(tmp_path: Path) -> None:
    columns = sensors()
    columns["flow"][7] = None
    columns["heat"][130] = None
    path = write_csv(tmp_path / "t.csv", columns)
    message = error_of(FORECAST, path, SHORT, target="heat", **SENSOR)
    assert message.startswith("2 values are missing, first 'flow' in row 8 of t.csv, series 's0'")
    assert message.endswith("set data.missing to forward, interpolate or zero")
    for policy in ("forward", "interpolate", "zero"):
        splits = open_table(FORECAST, path, SHORT, target="heat", missing=policy, **SENSOR)
        assert splits.notes[0].startswith(f"2 of 480 values are missing (data.missing: {policy})")
        assert np.isnan(splits.train[0].raw.values[7, 1]), "the device fills it, not the data"


BAD: list[tuple[str, dict[str, list[Any]], str, str]] = [
    ("text", {"heat": ["warm"]}, "line 2: the column 'heat' holds text", "give numbers"),
    ("infinity", {"heat": ["inf"]}, "line 2: the column 'heat' is infinite", "correct the value"),
    ("backwards", {"hour": [5]}, "series 's0': the time 1.0 in row 2 goes backwards", "sort the rows"),
    ("twice", {"hour": [1]}, "series 's0': the time 1.0 in row 2 occurs twice", "one for each"),
    ("no time", {"hour": [""]}, "line 2: the time column 'hour' is no time", "give a number"),
    ("no series", {"sensor": [""]}, "line 2: the series column 'sensor' is empty", "say which series"),
]


@pytest.mark.parametrize("change", BAD, ids=[case[0] for case in BAD])
def test_bad_tables_are_one_line(tmp_path: Path, change: tuple[str, dict[str, list[Any]], str, str]) -> None:
    _, cells, expected, way_out = change
    columns = sensors()
    for name, replaced in cells.items():
        columns[name] = [*replaced, *columns[name][len(replaced) :]]
    message = error_of(FORECAST, write_csv(tmp_path / "t.csv", columns), SHORT, target="heat", **SENSOR)
    assert message.startswith("t.csv") and expected in message and way_out in message


def test_a_horizon_longer_than_the_data(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "t.csv", sensors())
    message = error_of(FORECAST, path, {"forecast": {"horizon": 400}}, target="heat", **SENSOR)
    assert "the longest series has 120 steps, at least 3600 are needed" in message
    assert "context 800 + horizon 400" in message and "lower forecast.context or forecast.horizon" in message


def test_series_shorter_than_a_window_are_skipped_or_too_many(tmp_path: Path) -> None:
    columns = gestures(40)
    columns["id"].append("short")
    columns["x"].append(0.0)
    columns["y"].append(0.0)
    columns["label"].append("left")
    path = write_csv(tmp_path / "t.csv", columns)
    splits = open_table(CLASSIFY, path, series="id", window=4)
    assert [(one.path, one.reason) for one in splits.skipped] == [
        ("short", "has 1 step, a window takes 4: lower data.window, or leave it out")
    ]
    assert "series cannot be used, more than data.max_bad" in error_of(CLASSIFY, path, series="id", window=12)
    assert "no series can be used" in error_of(CLASSIFY, path, series="id", window=100)
    short = open_table(CLASSIFY, path, series="id", min_length=2)
    assert short.skipped[0].reason == "has 1 step, data.min_length asks for 2"
    few = write_csv(tmp_path / "few.csv", sensors())
    message = error_of(REGRESS, few, target="flow", split="time", min_length=2000, max_bad=1.0, **SENSOR)
    assert "First: s0 has 120 steps, data.min_length asks for 2000" in message


def test_series_of_no_steps_are_not_used(tmp_path: Path) -> None:
    lengths = np.full(30, 5)
    lengths[3] = 0
    draws = np.random.default_rng(0)
    path = tmp_path / "t.npz"
    np.savez(path, values=draws.normal(size=(30, 5, 2)), target=np.arange(30) % 2, lengths=lengths)
    splits = open_table(CLASSIFY, path)
    assert len(every_sample(splits)) == 29 and splits.skipped[0].path == "03"


def test_columns_and_classes_that_are_not_there(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "t.csv", gestures())
    assert "data.target: t.csv has no column 'lable' (did you mean 'label'?)" in error_of(
        CLASSIFY, path, series="id", target="lable"
    )
    assert "data.series: t.csv has no column 'who'" in error_of(CLASSIFY, path, series="who")
    assert "data.features: t.csv has no column 'z'" in error_of(
        CLASSIFY, path, series="id", features=["x", "z"]
    )
    assert "data.classes: t.csv has no class 'lefft' (did you mean 'left'?)" in error_of(
        CLASSIFY, path, kind=RecipeError, series="id", classes=["lefft", "right"]
    )
    assert "which column is it that the model is to answer with?" in error_of(REGRESS, path, series="id")
    assert "which column is it to forecast?" in error_of(FORECAST, path, series="id")
    only = write_csv(tmp_path / "one.csv", gestures(classes=("left",)))
    assert "only one class (left)" in error_of(CLASSIFY, only, series="id")


def test_sources_that_are_not_there(tmp_path: Path) -> None:
    write_csv(tmp_path / "gestures.csv", gestures())
    assert "(did you mean 'gestures.csv'?)" in error_of(CLASSIFY, tmp_path / "gesture.csv")
    (tmp_path / "t.xlsx").write_bytes(b"PK")
    assert "'.xlsx'" in error_of(CLASSIFY, tmp_path / "t.xlsx").replace(".xlsx is", "'.xlsx' is")
    (tmp_path / "empty").mkdir()
    assert "empty" in error_of(FORECAST, tmp_path / "empty")


def test_another_suffix_is_read_as_the_recipe_says(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "t.csv", gestures()).rename(tmp_path / "t.dat")
    assert "set data.format" in error_of(CLASSIFY, path, series="id")
    assert open_table(CLASSIFY, path, series="id", format="csv").files == 30


def test_columns_called_time_and_series_need_no_key(tmp_path: Path) -> None:
    columns = sensors()
    named = {"series": columns["sensor"], "time": columns["hour"], "heat": columns["heat"]}
    splits = open_table(FORECAST, write_csv(tmp_path / "t.csv", named), SHORT)
    assert splits.features == splits.targets == ("heat",) and splits.train[0].raw.times is not None
    assert {sample.raw.name for sample in splits.train} == {"s0", "s1"}


def test_too_many_windows_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgewright.pipeline.data.series.split._MOST_WINDOWS", 200)
    path = write_csv(tmp_path / "t.csv", sensors())
    assert "raise data.stride" in error_of(FORECAST, path, SHORT, target="heat", **SENSOR)
    assert open_table(FORECAST, path, SHORT, target="heat", stride=4, **SENSOR).train


def test_a_single_series_cannot_be_divided_by_series(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "t.csv", sensors(1))
    message = error_of(REGRESS, path, target="heat", split="series", **SENSOR)
    assert message.startswith("the data has 1 different series to divide") and "add series" in message
    assert len(open_table(REGRESS, path, target="heat", **SENSOR).train) == 1, (
        "by itself it is divided in time"
    )


def test_a_class_that_only_the_training_has(tmp_path: Path) -> None:
    columns = sensors(1, 200)
    columns["label"] = ["a"] * 60 + ["b"] * 140
    path = write_csv(tmp_path / "t.csv", columns)
    assert "no window of class 'a' is in evaluation" in error_of(CLASSIFY, path, window=5, **SENSOR)


def test_npz_in_table_form(tmp_path: Path) -> None:
    splits = open_table(CLASSIFY, write_npz(tmp_path / "t.npz", gestures()), series="id")
    assert (
        splits.digest()
        == open_table(CLASSIFY, write_csv(tmp_path / "t.csv", gestures()), series="id").digest()
    )
