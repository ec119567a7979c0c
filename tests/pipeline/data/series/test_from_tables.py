"""From tables to recordings: long and wide form, and which column is what."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgewright.pipeline.data.files.tables import Table
from edgewright.pipeline.data.series.from_tables import table_recordings
from edgewright.pipeline.data.series.recordings import Recordings
from edgewright.runtime.errors import DataError
from tests.pipeline.data.small_tables import error_of, every_sample, open_table, recipe, write_csv

CLASSIFY, REGRESS, FORECAST = "sequence-classification", "sequence-regression", "forecasting"


def recordings(
    task: str, cells: dict[str, list[Any]], sections: dict[str, Any] | None = None, **data: Any
) -> Recordings:
    rows = len(next(iter(cells.values())))
    return table_recordings(Table("t.csv", cells, rows), recipe(task, "t.csv", sections, **data), "t")


def refusal(
    task: str, cells: dict[str, list[Any]], sections: dict[str, Any] | None = None, **data: Any
) -> str:
    with pytest.raises(DataError) as caught:
        recordings(task, cells, sections, **data)
    return str(caught.value)


def test_rows_of_one_series_may_lie_apart() -> None:
    found = recordings(
        REGRESS, {"id": ["b", "a", "b", "a"], "x": [1, 2, 3, 4], "y": [5, 6, 7, 8]}, series="id", target="y"
    )
    assert [one.name for one in found.series] == ["b", "a"]
    np.testing.assert_array_equal(found.series[0].values, [[1], [3]])
    targets = found.series[0].targets
    assert targets is not None
    np.testing.assert_array_equal(targets, [[5], [7]])


def test_a_table_without_a_series_column_is_one_series() -> None:
    (one,) = recordings(REGRESS, {"x": [1, 2], "target": [3, 4]}).series
    assert one.name == "t" and one.times is None


def test_features_are_every_other_numeric_column_or_those_named() -> None:
    cells: dict[str, list[Any]] = {
        "when": [1, 2], "note": ["a", "b"], "x": [1, 2], "flag": [True, False], "y": [3, 4], "z": [5, 6]
    }  # fmt: skip
    found = recordings(REGRESS, cells, time="when", target="y")
    assert found.columns.features == ("x", "flag", "z") and found.columns.targets == ("y",)
    assert found.notes == ("note: text, and no feature (data.features names others)",)
    named = recordings(REGRESS, cells, time="when", target=["y", "z"], features=["x"])
    assert named.columns.features == ("x",) and named.columns.targets == ("y", "z") and named.notes == ()


def test_targets_of_a_forecast_stand_first_and_known_columns_last() -> None:
    cells: dict[str, list[Any]] = {"promo": [0, 1], "x": [1, 2], "y": [3, 4]}
    found = recordings(FORECAST, cells, {"forecast": {"known": ["promo"]}}, target="y")
    assert found.columns.features == ("y", "x", "promo") and found.columns.targets == ("y",)
    np.testing.assert_array_equal(found.series[0].values, [[3, 1, 0], [4, 2, 1]])
    alone = recordings(FORECAST, {"y": [1, 2], "word": ["a", "b"]})
    assert alone.columns.features == ("y",), "a single number column is what is forecast"


def test_a_column_of_dates_that_nobody_named_is_told() -> None:
    cells: dict[str, list[Any]] = {"month": ["2024-01-01", "2024-02-01"], "word": ["a", "b"], "y": [1, 2]}
    assert recordings(FORECAST, cells).notes == (
        "month: dates, but not used: data.time names the column of the times",
        "word: text, and no feature (data.features names others)",
    )
    assert recordings(FORECAST, cells, time="month").notes[0].startswith("word")


@pytest.mark.parametrize("name", ["label", "class", "target"])
def test_the_column_of_the_classes_is_found(name: str) -> None:
    found = recordings(CLASSIFY, {"x": [1, 2], name: ["a", "a"]})
    assert found.columns.label == name and found.series[0].labels == ("a",)


def test_classes_may_change_within_a_series_and_may_be_numbers() -> None:
    found = recordings(CLASSIFY, {"x": [1, 2, 3], "label": [1.0, 1.0, 2.0]})
    assert found.series[0].labels == ("1", "1", "2") and found.series[0].label_at(2) == "2"


def test_a_series_without_a_class_is_skipped() -> None:
    found = recordings(
        CLASSIFY, {"id": ["a", "a", "b"], "x": [1, 2, 3], "label": ["u", "", "v"]}, series="id"
    )
    assert [one.name for one in found.series] == ["b"]
    assert found.skipped[0].reason == "has no class in row 2: fill the cell"


@pytest.mark.parametrize(
    ("task", "cells", "data", "expected"),
    [
        (CLASSIFY, {"x": [1]}, {}, "no column called label, class or target: name the column of the classes"),
        (
            CLASSIFY,
            {"x": [1], "a": ["u"], "b": ["v"]},
            {"target": ["a", "b"]},
            "one column of classes, not 2",
        ),
        (CLASSIFY, {"word": ["x"], "label": ["u"]}, {}, "no numeric column left to learn from"),
        (REGRESS, {"x": [1], "y": [2]}, {}, "which column is it that the model is to answer with? Name it"),
        (FORECAST, {"x": [1], "y": [2]}, {}, "which column is it to forecast? Name it in data.target: x, y"),
        (
            REGRESS,
            {"x": [1], "y": ["warm"]},
            {"target": "y"},
            "column 'y' holds text where a number is needed",
        ),
    ],
)
def test_tables_that_do_not_say_enough(
    task: str, cells: dict[str, list[Any]], data: dict[str, Any], expected: str
) -> None:
    assert expected in refusal(task, cells, **data)


def test_wide_form_of_a_forecast(tmp_path: Path) -> None:
    steps = list(range(60))
    path = write_csv(
        tmp_path / "t.csv",
        {
            "week": steps,
            "north": [float(step) for step in steps],
            "south": [None] * 10 + [float(step) for step in steps[10:55]] + [None] * 5,
            "none": [None] * 60,
        },
    )
    sections = {"forecast": {"horizon": 2, "context": 4}}
    splits = open_table(FORECAST, path, sections, layout="wide", time="week", max_bad=0.5)
    assert splits.features == ("value",) and {one.raw.name for one in every_sample(splits)} == {
        "north",
        "south",
    }
    assert min(one.raw.times[0] for one in every_sample(splits) if one.raw.name == "south") == 10
    assert splits.skipped[0].path == "none" and splits.skipped[0].reason == "has no value at all"
    only = open_table(FORECAST, path, sections, layout="wide", time="week", target=["north"])
    assert {one.raw.name for one in every_sample(only)} == {"north"}


def test_wide_form_of_a_classification(tmp_path: Path) -> None:
    columns: dict[str, list[Any]] = {"name": [], "kind": [], "t1": [], "t2": [], "t3": []}
    for number in range(30):
        row = [
            f"n{number}",
            "ab"[number % 2],
            number + 0.5,
            number + 1.5,
            number + 2.5 if number % 3 else None,
        ]
        for name, cell in zip(columns, row, strict=True):
            columns[name].append(cell)
    path = write_csv(tmp_path / "t.csv", columns)
    splits = open_table(CLASSIFY, path, layout="wide", series="name", target="kind")
    assert splits.features == ("value",) and splits.classes == ("a", "b")
    for sample in every_sample(splits):
        number = int(sample.id[1:])
        assert sample.target == number % 2
        np.testing.assert_array_equal(
            sample.raw.values[:, 0], [number + 0.5, number + 1.5, number + 2.5][: 3 if number % 3 else 2]
        )


def test_numbered_columns_may_count_down() -> None:
    found = recordings(CLASSIFY, {"w9": [1.0], "w5": [2.0], "w1": [3.0], "label": ["a"]}, layout="wide")
    np.testing.assert_array_equal(found.series[0].values[:, 0], [1.0, 2.0, 3.0])


def test_wide_form_with_several_features_and_targets() -> None:
    cells: dict[str, list[Any]] = {
        "x_1": [1, 10], "x_2": [2, 20], "y_1": [3, 30], "y_2": [4, 40], "out_1": [5, 50], "out_2": [6, None]
    }  # fmt: skip
    found = recordings(REGRESS, cells, layout="wide", features=["y", "x"], target="out")
    assert found.columns.features == ("y", "x") and found.columns.targets == ("out",)
    np.testing.assert_array_equal(found.series[1].values, [[30, 10], [40, 20]])
    targets = found.series[1].targets
    assert targets is not None
    np.testing.assert_array_equal(targets, [[50], [np.nan]])


def test_wide_form_with_lists_of_any_length(tmp_path: Path) -> None:
    rows = [
        {"x": [float(number)] * (1 + number % 4), "y": [1.0] * (1 + number % 4), "label": "ab"[number % 2]}
        for number in range(30)
    ]
    path = tmp_path / "t.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    splits = open_table(CLASSIFY, path, layout="wide", features=["x", "y"], max_bad=1.0)
    assert {len(sample.raw.values) for sample in every_sample(splits)} == {1, 2, 3, 4}
    rows[4]["y"] = [1.0, 2.0]
    path.write_text("\n".join(map(json.dumps, rows)))
    assert "line 5: 1 values of 'x' and 2 of 'y': give as many of each" in error_of(
        CLASSIFY, path, layout="wide", features=["x", "y"]
    )
    rows[4]["y"] = ["warm"]
    path.write_text("\n".join(map(json.dumps, rows)))
    assert "line 5: 'y', row 1 holds 'warm'" in error_of(CLASSIFY, path, layout="wide", features=["x", "y"])


@pytest.mark.parametrize(
    ("task", "cells", "data", "expected"),
    [
        (CLASSIFY, {"x_1": [1], "x_3": [2], "label": ["a"]}, {"features": "x"}, "jump from 1 to 3"),
        (CLASSIFY, {"y_1": [1], "label": ["a"]}, {"features": "x"}, "has no columns x_0, x_1, ..."),
        (CLASSIFY, {"n": ["a", "a"], "x": [1, 2], "label": ["u", "v"]}, {"series": "n"}, "names 'a' twice"),
        (REGRESS, {"x_1": [1], "y_1": [2]}, {"features": "x"}, "name what the columns of each begin with"),
        (CLASSIFY, {"when": [1], "x": [1], "label": ["a"]}, {"time": "when"}, "has no column of times"),
        (
            CLASSIFY,
            {"t1": [1], "t10": [2], "t2": [3], "label": ["a"]},
            {},
            "in order, t2 stands after t10: sort",
        ),
        (FORECAST, {"word": ["a", "b"]}, {}, "no numeric column: with layout: wide every series is one"),
    ],
)
def test_wide_tables_that_cannot_be_read(
    task: str, cells: dict[str, list[Any]], data: dict[str, Any], expected: str
) -> None:
    assert expected in refusal(task, cells, layout="wide", **data)
