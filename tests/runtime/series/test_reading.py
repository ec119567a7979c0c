"""Raw series in every form to the trained columns, and back to files; everything that is wrong is named."""

import dataclasses
import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies

from edgewright.runtime import Series
from edgewright.runtime.bundle.structure import to_plain
from edgewright.runtime.errors import BundleError, InputError
from edgewright.runtime.series.reading import as_series, read_series, series_csv
from edgewright.runtime.series.settings import ForecastSettings, SeriesSettings, series_settings
from tests.messages import refused
from tests.runtime.recurrent_bundle import (
    FEATURES,
    FORECAST,
    REGRESSION,
    SETTINGS,
    forecast_series,
    series_values,
)

MANY = dataclasses.replace(SETTINGS, series_column="machine", time_column="when", step=60.0)


def write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


class Frame:
    """As much of a data frame as is used of one."""

    def __init__(self, columns: dict[str, Any]) -> None:
        self._columns = columns
        self.columns = list(columns)

    def __getitem__(self, name: str) -> Any:
        return self._columns[name]


def test_every_form_of_a_series(tmp_path: Path) -> None:
    values = series_values(4)
    columns = {name: values[:, place].tolist() for place, name in enumerate(FEATURES)}
    backwards = dict(reversed(columns.items()))
    rows = "\n".join(",".join(map(repr, row)) for row in values[:, ::-1].tolist())
    lines = "\n".join(
        "{" + ", ".join(f'"{name}": {cells[row]!r}' for name, cells in backwards.items()) + "}"
        for row in range(4)
    )
    np.savez(tmp_path / "a.npz", heat=values[:, 0], load=values[:, 1], speed=values[:, 2])
    np.savez(tmp_path / "b.npz", values=values[:, ::-1], columns=np.array(FEATURES[::-1]))
    np.savez(tmp_path / "c.npz", values=values)
    forms: list[Any] = [
        values,
        values.tolist(),
        np.asfortranarray(values),
        values.astype(object),
        Series(values),
        Series(values[:, ::-1], FEATURES[::-1]),
        backwards,
        {name: np.array(cells) for name, cells in backwards.items()},
        Frame({name: np.array(cells) for name, cells in backwards.items()}),
        write(tmp_path / "a.csv", "speed,load,heat\n" + rows),
        str(write(tmp_path / "b.csv", "\ufeffspeed; load ;heat\r\n" + rows.replace(",", ";").replace("\n", "\r\n"))),
        write(tmp_path / "c.CSV", "note\tspeed\tload\theat\nx\t" + rows.replace(",", "\t").replace("\n", "\nx\t")),
        write(tmp_path / "a.jsonl", lines + "\n\n"),
        tmp_path / "a.npz",
        tmp_path / "b.npz",
        tmp_path / "c.npz",
    ]  # fmt: skip
    for form in forms:
        found = as_series(form, SETTINGS)
        np.testing.assert_array_equal(found.values, values)
        assert found.values.dtype == np.float64 and found.columns == FEATURES and found.times is None


def test_whole_numbers_and_gaps(tmp_path: Path) -> None:
    table = write(tmp_path / "a.csv", "heat,load,speed\n1,,3\nNA,nan,-1e3\n?,null,N/A\n")
    expected = np.array([[1, np.nan, 3], [np.nan, np.nan, -1000], [np.nan] * 3])
    np.testing.assert_array_equal(as_series(table, SETTINGS).values, expected)
    lines = write(
        tmp_path / "a.jsonl", '{"heat": 1, "speed": 3}\n{"speed": -1000, "load": null}\n{"heat": null}\n'
    )
    np.testing.assert_array_equal(as_series(lines, SETTINGS).values, expected)
    mapping = {"heat": [1, None, None], "load": [None] * 3, "speed": [np.float32(3), -1000, None]}
    np.testing.assert_array_equal(as_series(mapping, SETTINGS).values, expected)


def test_a_table_of_many_series(tmp_path: Path) -> None:
    table = write(
        tmp_path / "a.csv",
        "when,machine,heat,load,speed,other\n"
        "2026-01-01T00:00:00,b,1,2,3,x\n"
        "2026-01-01 00:00:00+01:00,a,4,5,6,x\n"
        "2026-01-01T00:01:00Z,b,7,8,9,x\n",
    )
    first, second = read_series(table, MANY)
    start = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC).timestamp()
    assert (first.name, second.name) == ("b", "a")
    assert first.times is not None and first.times.tolist() == [start, start + 60]
    assert second.times is not None and second.times.tolist() == [start - 3600]
    assert first.values.tolist() == [[1, 2, 3], [7, 8, 9]] and second.values.tolist() == [[4, 5, 6]]
    with refused(InputError):
        as_series(table, MANY)
    # Without a use for them these columns mean nothing.
    (whole,) = read_series(table, SETTINGS)
    assert whole.times is None and whole.name == "" and len(whole.values) == 3


def test_times_in_every_form() -> None:
    moments = [datetime.datetime(2026, 1, 1, 0, minute, tzinfo=datetime.UTC) for minute in range(3)]
    start = moments[0].timestamp()
    columns = {name: [1.0, 2.0, 3.0] for name in FEATURES}
    for times in (
        [start, start + 60, start + 120],
        np.array([start, start + 60, start + 120]),
        moments,
        [moment.replace(tzinfo=None) for moment in moments],
        [moment.isoformat() for moment in moments],
        np.array([moment.replace(tzinfo=None) for moment in moments], "datetime64[us]"),
    ):
        found = as_series({"when": times, "machine": ["a"] * 3, **columns}, MANY)
        assert found.times is not None and found.times.tolist() == [start, start + 60, start + 120]
        assert found.name == "a"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty: give a table whose first line names the columns"),
        ("\n\n", "is empty"),
        ("heat,load,speed\n", "holds no rows"),
        ("heat,load,speed\n1,2\n", r"line 2 has 2 cells, the first line 3"),
        ("heat,load,speed\n1,2,3\n\n1,2,3,4\n", r"line 4 has 4 cells, the first line 3"),
        ("heat,load,speed\n1,high,3\n", r"line 2: the column 'load' holds text where a number is needed \('high'\)"),
        ("heat;load;speed\n1,5;2;3\n", "write the decimals with a point"),
        ("heat,load,speed\n1_0,2,3\n", r"holds text where a number is needed \('1_0'\)"),
        ("heat,load\n1,2\n", "has no column 'speed'"),
        ("heat,Load,speed\n1,2,3\n", r"has no column 'load' \(is 'Load' meant\?\)"),
        ("a,b,c\n1,2,3\n", "has no column 'heat', 'load', 'speed'"),
        ("1,2,3\n4,5,6\n", "the first line holds numbers: write the names of the columns above it"),
        ("heat,load,speed,heat\n1,2,3,4\n", "the column 'heat' occurs twice"),
        ("when,heat,load,speed\nnoon,1,2,3\n", r"line 2: 'when' is no time \('noon'\)"),
        ("when,heat,load,speed\n,1,2,3\n", r"line 2: 'when' is no time \(''\)"),
        (b"heat,load,speed\n\xff,2,3\n", "is not UTF-8 text"),
        ('heat,load,speed\n"1,2,3\n' + "9" * 140000, "cannot be read|has 1 cells"),
    ],
)  # fmt: skip
def test_bad_csv(tmp_path: Path, text: str | bytes, message: str) -> None:
    path = write(tmp_path / "bad.csv", text)
    with pytest.raises(InputError, match=message) as caught:
        as_series(path, MANY)
    assert "bad.csv" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "line 1: broken JSON"),
        ('{"heat": 1}\n[1]', r"line 2 is no object"),
        ('{"heat": NaN}', "line 1: NaN is not JSON: write a missing value as null"),
        ('{"heat": 1, "heat": 2}', "line 1: a key occurs twice: mend the line"),
        ('{"heat": "x", "load": 1, "speed": 1}', "line 1: the column 'heat' holds text"),
        ('{"heat": [1], "load": 1, "speed": 1}', "line 1: the column 'heat' holds list"),
        ("\n", "holds no rows"),
    ],
)
def test_bad_json_lines(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        as_series(write(tmp_path / "bad.jsonl", text), SETTINGS)


def test_bad_archives(tmp_path: Path) -> None:
    np.savez(tmp_path / "objects.npz", heat=np.array([None]))
    np.savez(tmp_path / "ragged.npz", heat=np.zeros(2), load=np.zeros(3), speed=np.zeros(2))
    np.savez(tmp_path / "deep.npz", values=np.zeros((1, 2, 3)))
    np.savez(tmp_path / "more.npz", values=np.zeros((1, 3)), label=np.zeros(1))
    write(tmp_path / "text.npz", "no archive")
    with (tmp_path / "single.npz").open("wb") as file:
        np.save(file, np.zeros((2, 3)))
    np.savez(tmp_path / "whole.npz", values=np.zeros((2, 3)))
    write(tmp_path / "cut.npz", (tmp_path / "whole.npz").read_bytes()[:-30])
    for name, message in (
        ("objects", "no .npz archive of plain arrays"),
        ("ragged", "'load' has 3 values where 2 are needed"),
        ("deep", "the array is 1x2x3"),
        ("more", "'label' beside 'values' means nothing"),
        ("text", "no .npz archive"),
        ("single", "no .npz archive"),
        ("cut", "no .npz archive"),
    ):
        with pytest.raises(InputError, match=message) as caught:
            as_series(tmp_path / f"{name}.npz", SETTINGS)
        assert f"{name}.npz" in str(caught.value)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (None, "cannot read a series from NoneType"),
        (np.zeros((2, 2)), r"has 2 columns, the model takes 3 \(heat, load, speed\)"),
        (np.zeros(3), "the array is 3: give steps x 3 features"),
        (np.array([["1", "2", "3"]]), "not numbers"),
        (np.zeros((2, 3), complex), "holds complex128, not numbers"),
        ([[1, 2, 3], [1, 2]], "row 2 has 2 values, row 1 has 3"),
        ([[1, 2, "x"]], "row 1, row 3 holds 'x'"),
        (Series(np.zeros((2, 3)), ("heat", "load")), "has 3 columns and 2 names"),
        (Series(np.zeros((2, 3)), ("heat", "load", "extra")), "has no column 'speed'"),
        (
            Series(np.zeros((2, 4)), (*FEATURES, "extra")),
            "has the column 'extra', which the model does not take",
        ),
        (Series(np.zeros((2, 4)), (*FEATURES, "heat")), "has the column 'heat' twice"),
        (Series(np.zeros((2, 3)), None, np.zeros(3)), "has 2 steps and 3 times"),
        (Series(np.zeros(3)), "must be an array of numbers"),
        (
            Series(np.zeros((2, 3)), None, None, "", np.zeros((1, 1))),
            "give none, the model knows nothing ahead",
        ),
        ({"heat": [1], "load": [1]}, "has no column 'speed'"),
        ({"heat": [1], "load": [1], "speed": [1, 2]}, "'speed' has 2 values where 1 are needed"),
        ({"heat": "1", "load": [1], "speed": [1]}, "the column 'heat' is str: give a list of numbers"),
        ({"heat": ["1"], "load": [1], "speed": [1]}, "row 1 holds '1' where a number is needed"),
        ({"heat": [[1]], "load": [1], "speed": [1]}, "row 1 holds list"),
        ({"heat": np.zeros((1, 1)), "load": [1], "speed": [1]}, "has 2 axes"),
        (
            {"heat": [1], "load": [1], "speed": [1], "x": [1]},
            "has the column 'x', which the model does not take",
        ),
        ("nowhere.csv", "nowhere.csv does not exist"),
        (".", "is a folder"),
        ("x\0.csv", "cannot be read"),
        (Path(__file__), "is no table that a device reads: convert it to .csv"),
    ],
)
def test_what_is_no_series(raw: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        as_series(raw, SETTINGS)
    assert "\n" not in str(caught.value)


def test_targets_may_stand_in_the_table(tmp_path: Path) -> None:
    named = {**{name: [1.0] for name in FEATURES}, "torque": [2.0], "drag": [None]}
    assert as_series(named, REGRESSION).values.tolist() == [[1, 1, 1]]
    whole = Series(np.ones((2, 4)), ("torque", *FEATURES))
    assert as_series(whole, REGRESSION).values.tolist() == [[1, 1, 1]] * 2


def test_several_names_in_one_series() -> None:
    with refused(InputError):
        as_series({**{name: [1.0, 2.0] for name in FEATURES}, "machine": ["a", "b"]}, MANY)


def test_the_known_future_of_a_table(tmp_path: Path) -> None:
    series = forecast_series(6)
    path = write(tmp_path / "a.csv", series_csv(series, FORECAST))
    found = as_series(path, FORECAST)
    assert series.known is not None and series.times is not None
    assert found.known is not None and found.times is not None
    np.testing.assert_array_equal(found.known, series.known)
    np.testing.assert_array_equal(found.values, series.values)
    np.testing.assert_array_equal(found.times, series.times)
    lines = path.read_text().splitlines()
    for change in (lines[:-1], [*lines[:-1], lines[-1].replace("nan", "1")], lines[:4]):
        short = write(tmp_path / "b.csv", "\n".join(change))
        with refused(InputError):
            as_series(short, FORECAST)


numbers = strategies.floats(allow_nan=True, allow_infinity=False)


@settings(max_examples=60, deadline=None)
@given(
    values=strategies.lists(strategies.tuples(numbers, numbers, numbers), min_size=1, max_size=6),
    times=strategies.booleans(),
    name=strategies.text(strategies.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=5),
)
def test_a_series_survives_its_file(tmp_path_factory: Any, values: Any, times: bool, name: str) -> None:
    """To the last bit, whatever the numbers and the name are."""
    stamps = np.array([1e9 + 0.1 * step for step in range(len(values))]) if times else None
    series = Series(np.array(values), FEATURES, stamps, name)
    path = tmp_path_factory.mktemp("series") / "a.csv"
    path.write_bytes(series_csv(series, MANY))
    found = as_series(path, MANY)
    assert found.values.tobytes() == np.where(np.isnan(series.values), np.nan, series.values).tobytes()
    assert found.name == name
    assert (found.times is None) == (stamps is None)
    if found.times is not None and stamps is not None:
        assert found.times.tobytes() == stamps.tobytes()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"features": ()}, "at least one"),
        ({"features": ("a", "a", "b")}, "a name occurs twice"),
        ({"mean": (1.0, 2.0)}, "3 names, 2 means"),
        ({"std": (1.0, 0.0, 1.0)}, "stds positive"),
        ({"std": (1.0, -1.0, 1.0)}, "stds positive"),
        ({"missing": "guess"}, "missing 'guess' is not one of refuse, forward, interpolate, zero"),
        ({"irregular": "x"}, "irregular 'x'"),
        ({"unseen": "x"}, "unseen 'x'"),
        ({"step": 0.0}, "step 0.0 must be positive"),
        ({"irregular": "resample"}, "needs a step"),
        ({"targets": ("y",)}, "targets: 1 names, 0 means"),
        ({"forecast": ForecastSettings(2)}, "targets must be its first features"),
        ({"per_series": {"a": ((1.0,), (1.0,), (), ())}}, "3 names, 1 means"),
    ],
)
def test_settings_that_fit_no_series(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(SETTINGS, **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"horizon": 0}, "horizon is 0"),
        ({"context": 2}, "season 3 is longer than the context of 2"),
        ({"anchor": "x"}, "anchor 'x'"),
        ({"known_std": ()}, "known: 1 names"),
    ],
)
def test_forecast_settings_that_fit_no_series(changes: dict[str, Any], message: str) -> None:
    assert FORECAST.forecast is not None
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(FORECAST.forecast, **changes)


def test_settings_travel_as_plain_values() -> None:
    scale = REGRESSION.scales()
    for one in (SETTINGS, FORECAST, dataclasses.replace(REGRESSION, per_series={"a": scale})):
        assert series_settings(to_plain(one)) == one
    with refused(BundleError):
        series_settings({"features": ["a"]})
    with refused(BundleError):
        series_settings({"features": ["a"], "mean": [0], "std": [0]})


def test_scales() -> None:
    assert SETTINGS.scales("whatever") == (SETTINGS.mean, SETTINGS.std, (), ())
    assert FORECAST.scales()[2:] == ((20.0, 1.0), (5.0, 0.5))
    own: Any = ((1.0, 2.0, 3.0), (1.0, 2.0, 1.0), (), ())
    many = SeriesSettings(FEATURES, SETTINGS.mean, SETTINGS.std, per_series={"a": own})
    assert many.scales("a") == own
    with refused(InputError):
        many.scales("b")
    assert dataclasses.replace(many, unseen="global").scales("b") == (SETTINGS.mean, SETTINGS.std, (), ())
