"""Wide tables at the device: which column or row is a series, and what is said of tables that are neither form."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgewright.runtime import Series
from edgewright.runtime.bundle.structure import to_plain
from edgewright.runtime.errors import InputError
from edgewright.runtime.series.reading import as_series, read_series, series_csv
from edgewright.runtime.series.settings import ForecastSettings, SeriesSettings, WideTable, series_settings

CURVES = SeriesSettings(("value",), (0.0,), (1.0,), wide=WideTable((), ("label", "class", "target")))
PAIRS = SeriesSettings(("temp", "load"), (0.0,) * 2, (1.0,) * 2, wide=WideTable(("temp", "load")))
WEEKS = SeriesSettings(
    ("value",), (0.0,), (1.0,), ("value",), forecast=ForecastSettings(2), wide=WideTable(), step=1.0,
    time_column="week",
)  # fmt: skip
TOWNS = dataclasses.replace(WEEKS, wide=WideTable(("north", "south")))
OWN = dataclasses.replace(WEEKS, per_series={"value": ((1.0,), (2.0,), (1.0,), (2.0,))})


def write(folder: Path, text: str, suffix: str = ".csv") -> Path:
    path = folder / f"t{suffix}"
    path.write_text(text, encoding="utf-8")
    return path


def read(folder: Path, text: str, settings: SeriesSettings, suffix: str = ".csv") -> dict[str, Any]:
    """name -> values (a list of columns) of each series."""
    return {one.name: one.values.T.tolist() for one in read_series(write(folder, text, suffix), settings)}


def refusal(folder: Path, text: str, settings: SeriesSettings, suffix: str = ".csv") -> str:
    path = write(folder, text, suffix)
    with pytest.raises(InputError) as caught:
        read_series(path, settings)
    line = str(caught.value)
    assert line.startswith(str(path)) and "\n" not in line
    return line.removeprefix(str(path))


def test_a_row_is_a_series(tmp_path: Path) -> None:
    rows = "note,t1,t2,t3,label\na,1,2,3,0\nb,4,5,,1\nc,,,,1\n"
    found = read(tmp_path, rows, CURVES)
    assert found == {"0": [[1, 2, 3]], "1": [[4, 5]], "2": [[]]}
    # Without the classes, with a name for each row, and counting down.
    assert read(tmp_path, "series,t3,t2\nu,1,2\nv,3,4\n", CURVES) == {"u": [[1, 2]], "v": [[3, 4]]}
    numbers = dataclasses.replace(CURVES, wide=WideTable((), ("kind",)))
    assert read(tmp_path, "t1,t2,kind\n1,2,7\n", numbers) == {"0": [[1, 2]]}


def test_numbered_columns_and_lists_are_features(tmp_path: Path) -> None:
    numbered = "load_2,load_1,temp_1,temp_2,out_1\n4,3,1,2,9\n,7,5,,9\n"
    assert read(tmp_path, numbered, PAIRS) == {"0": [[1, 2], [3, 4]], "1": [[5], [7]]}
    lists = '{"load": [3, 4], "temp": [1, 2]}\n{"temp": null, "load": null}\n{"temp": [5], "load": [null]}\n'
    found = read(tmp_path, lists, PAIRS, ".jsonl")
    assert found["0"] == [[1, 2], [3, 4]] and found["1"] == [[], []]
    assert found["2"][0] == [5] and np.isnan(found["2"][1][0])
    # A column of one feature's name beside those of its steps is not the long form.
    assert read(tmp_path, "temp,load,temp_0,load_0\n8,9,1,2\n", PAIRS) == {"0": [[1], [2]]}


def test_a_column_is_a_series(tmp_path: Path) -> None:
    table = "week,north,note,south\n1,10,x,\n2,,x,20\n3,12,x,21\n4,13,x,\n"
    path = write(tmp_path, table)
    north, south = read_series(path, WEEKS)
    assert (north.name, south.name) == ("north", "south")
    assert north.times is not None and north.times.tolist() == [1, 2, 3, 4]
    assert south.times is not None and south.times.tolist() == [2, 3]
    assert south.values.tolist() == [[20], [21]] and np.isnan(north.values[1, 0])
    only = read(tmp_path, "week,other,south\n1,9,20\n", TOWNS)
    assert only == {"south": [[20]]}
    # An empty one stays, so that the answer to it says what is wrong.
    assert read(tmp_path, "week,north,east\n1,10,\n", WEEKS) == {"north": [[10]], "east": [[]]}
    # Its only series may be called as the long form's column is.
    assert read(tmp_path, "week,value\n1,10\n", OWN) == {"value": [[10]]}


@pytest.mark.parametrize("settings", [CURVES, PAIRS, WEEKS, TOWNS, OWN])
def test_the_long_form_stays(tmp_path: Path, settings: SeriesSettings) -> None:
    values = np.random.default_rng(0).normal(size=(4, len(settings.features)))
    times = np.arange(4.0) if settings.time_column else None
    one = Series(values, settings.features, times, "value" if settings is OWN else "")
    path = tmp_path / "t.csv"
    path.write_bytes(series_csv(one, settings))
    found = as_series(path, settings)
    assert found.values.tobytes() == values.tobytes() and found.name == one.name
    header, *rows = series_csv(one, settings).decode().splitlines()
    text = "\n".join([f"series,{header}", *(f"{'ab'[row % 2]},{cells}" for row, cells in enumerate(rows))])
    if settings is not OWN:
        both = read(tmp_path, text, settings)
        assert both == {"a": values[::2].T.tolist(), "b": values[1::2].T.tolist()}


@pytest.mark.parametrize(
    ("text", "settings", "message"),
    [
        ("note\nx\n", CURVES, "neither a column 'value', as in a long table, nor are there columns of numbers"),
        ("t2,t1,t3\n1,2,3\n", CURVES, "the columns are no steps in order, t1 stands after t2: sort them"),
        ("t1,t2\n1,2\n3,warm\n5,6\n", CURVES, "line 3: the column 't2' holds text where a number is needed"),
        ("series,t1\na,1\na,2\n", CURVES, "line 3: the series column 'series' names 'a' twice"),
        ("series,t1\na,1\n,2\n", CURVES, "line 3: the series column 'series' is empty: give each row its own name"),
        ("temp_0,temp_1\n1,2\n", PAIRS, "neither a column 'load', as in a long table, nor are there load_0, load_1"),
        ("a,b\n1,2\n", PAIRS, "it has a, b"),
        ("temp_0,temp_2,load_0\n1,2,3\n", PAIRS, "the columns of 'temp' jump from 0 to 2 ('temp_2')"),
        ("temp,load,temp_0,temp_2\n1,2,3,4\n", PAIRS, ": the columns of 'temp' jump from 0 to 2 ('temp_2')"),
        ("temp_0,temp_1,load_0\n1,2,3\n", PAIRS, "line 2: 2 values of 'temp' and 1 of 'load': give as many"),
        ("week,note\n1,x\n", WEEKS, "no column is a series, as in training (one with numbers), nor is there value"),
        ("week,east\n1,2\n", TOWNS, "no column is a series, as in training (north, south), nor is there value"),
        ("week,north\nnoon,2\n", WEEKS, "line 2: 'week' is no time ('noon')"),
    ],
)  # fmt: skip
def test_tables_of_neither_form(tmp_path: Path, text: str, settings: SeriesSettings, message: str) -> None:
    assert message in refusal(tmp_path, text, settings)


def test_lists_that_do_not_fit(tmp_path: Path) -> None:
    for text, message in (
        ('{"temp": [1], "load": [1, 2]}', "line 1: 1 values of 'temp' and 2 of 'load'"),
        ('{"temp": [1], "load": [1]}\n{"temp": 1, "load": [1]}', "line 2: 'temp' must be a list of numbers"),
        ('{"temp": ["x"], "load": [1]}', "line 1: 'temp', row 1 holds 'x'"),
    ):
        assert message in refusal(tmp_path, text, PAIRS, ".jsonl")


def test_another_model_does_not_read_wide_tables(tmp_path: Path) -> None:
    plain = dataclasses.replace(PAIRS, wide=None)
    assert "has no column 'temp', 'load'" in refusal(tmp_path, "temp_0,load_0\n1,2\n", plain)


def test_settings_of_wide_tables() -> None:
    for one in (CURVES, PAIRS, WEEKS, TOWNS, OWN):
        assert series_settings(to_plain(one)) == one
    older = to_plain(dataclasses.replace(PAIRS, wide=None))
    del older["wide"]  # a manifest from before wide tables
    assert series_settings(older) == dataclasses.replace(PAIRS, wide=None)
    for settings, wide in ((PAIRS, WideTable(("temp",))), (PAIRS, WideTable())):
        with pytest.raises(ValueError, match=r"wide\.columns do not fit the features"):
            dataclasses.replace(settings, wide=wide)
