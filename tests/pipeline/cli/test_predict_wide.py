"""A bundle that was trained on a wide table answers that table: every series of it, in every task."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgewright.pipeline.families import fit_settings
from edgewright.runtime.bundle.structure import to_plain
from edgewright.runtime.tasks import load_task
from tests.command import Call
from tests.pipeline.data.small_tables import every_sample, open_table, recipe, write_csv, write_jsonl

FORECAST_RECIPE = """\
task: forecasting
model: gru
data: {source: towns.csv, layout: wide, time: week, evaluation: 0.3}
forecast: {horizon: 2, context: 8, season: 4}
network: {hidden: 8}
training: {epochs: 1, batch_size: 32, lr: 1e-2}
variants: [fp32]
budget: {max_drop: 0.9}
"""


def towns(steps: int = 80) -> dict[str, list[Any]]:
    """A column for each town; the second begins later."""
    weeks = np.arange(steps)
    north = np.sin(weeks * np.pi / 2) + 0.01 * weeks
    south: list[Any] = [None] * 20 + (10 + np.cos(weeks[20:] * np.pi / 2)).tolist()
    return {"week": weeks.tolist(), "north": north.tolist(), "note": ["x"] * steps, "south": south}


def curves(rows: int = 40, lists: bool = False) -> dict[str, list[Any]]:
    """A row for each curve, with a class, and a value to be known at each of four steps."""
    draws = np.random.default_rng(0)
    values = draws.normal(size=(rows, 4)) + (np.arange(rows) % 2)[:, np.newaxis]
    if lists:
        return {"x": [row.tolist() for row in values], "label": (np.arange(rows) % 2).tolist()}
    columns: dict[str, list[Any]] = {f"x_{step}": values[:, step].tolist() for step in range(4)}
    columns |= {f"y_{step}": (2 * values[:, step]).tolist() for step in range(4)}
    return columns | {"label": (np.arange(rows) % 2).tolist()}


def only(columns: dict[str, list[Any]], *beginnings: str) -> dict[str, list[Any]]:
    return {name: cells for name, cells in columns.items() if name.startswith(beginnings)}


CASES: dict[str, tuple[str, str, dict[str, list[Any]], dict[str, Any], dict[str, Any]]] = {
    "steps of one feature": ("sequence-classification", ".csv", only(curves(), "x_", "label"), {}, {}),
    "a named class": (
        "sequence-classification", ".csv", {**only(curves(), "x_"), "kind": curves()["label"]}, {"target": "kind"}, {},
    ),
    "named features": ("sequence-classification", ".csv", curves(), {"features": ["x", "y"]}, {}),
    "lists": ("sequence-classification", ".jsonl", curves(lists=True), {"features": ["x"]}, {}),
    "values to be known": ("sequence-regression", ".csv", curves(), {"features": ["x"], "target": "y"}, {}),
    "every column": ("forecasting", ".csv", towns(), {"time": "week"}, {"forecast": {"horizon": 2, "context": 4}}),
    "named columns": (
        "forecasting", ".csv", towns(), {"time": "week", "target": ["south"]},
        {"forecast": {"horizon": 2, "context": 4}},
    ),
    "own scales": (
        "forecasting", ".csv", towns(), {"time": "week"},
        {"forecast": {"horizon": 2, "context": 4, "per_series": True}},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_device_reads_what_training_read(case: str, tmp_path: Path) -> None:
    """Each series of the training table is one of the device's, value for value and time for time."""
    name, suffix, columns, data, sections = CASES[case]
    path = {".csv": write_csv, ".jsonl": write_jsonl}[suffix](tmp_path / f"t{suffix}", columns)
    splits = open_table(name, path, sections, layout="wide", **data)
    fitted = fit_settings(recipe(name, path, sections, layout="wide", **data), splits)
    task = load_task(name, to_plain(fitted.settings), splits.classes)
    read = {raw.name: raw for _, raw in task.inputs(str(path))}
    samples = every_sample(splits)
    assert set(read) == {sample.raw.name for sample in samples} and samples
    for sample in samples:  # a window of the forecast, the whole row of the others
        whole = read[sample.raw.name]
        start = 0 if whole.times is None else int(np.searchsorted(whole.times, sample.raw.times[0]))
        window = slice(start, start + len(sample.raw.values))
        np.testing.assert_array_equal(whole.values[window], sample.raw.values)
        if whole.times is not None:
            np.testing.assert_array_equal(whole.times[window], sample.raw.times)
        else:
            assert len(whole.values) == len(sample.raw.values)
    # What a bundle keeps of a sample is a long table, which stays readable.
    content, ending = task.raw_file(samples[0].raw)
    kept = tmp_path / f"kept{ending}"
    kept.write_bytes(content)
    expected = task.encode(samples[0].raw)
    for key, array in task.encode(kept).items():
        np.testing.assert_array_equal(array, expected[key])


def test_a_forecast_of_its_own_table(cli: Call, tmp_path: Path) -> None:
    write_csv(tmp_path / "towns.csv", towns())
    (tmp_path / "recipe.yaml").write_text(FORECAST_RECIPE, encoding="utf-8")
    assert cli("ship", tmp_path / "recipe.yaml", "--out", tmp_path / "bundle").code == 0
    assert cli("verify", tmp_path / "bundle").code == 0
    answer = cli("predict", tmp_path / "bundle", tmp_path / "towns.csv", "--json")
    assert answer.code == 0
    records = answer.json["answers"]
    assert [record["input"].rpartition(":")[2] for record in records] == ["north", "south"]
    for record, level in zip(records, (0.8, 10.0), strict=True):
        assert record["times"] == [80, 81]
        assert np.abs(np.array(record["values"]["value"]) - level).max() < 3
    streamed = cli("predict", tmp_path / "bundle", tmp_path / "towns.csv", "--stream", "--json").json[
        "answers"
    ]
    for record in records:  # the last answer of the stream is the forecast of the whole
        last = [one for one in streamed if one["input"] == record["input"]][-1]
        assert last["times"] == record["times"]
        assert last["values"]["value"] == pytest.approx(record["values"]["value"], abs=3)
    bad = write_csv(tmp_path / "bad.csv", {"week": [1, 2], "note": ["a", "b"]})
    refused = cli("predict", tmp_path / "bundle", bad)
    assert refused.code == 1 and refused.out == ""
    (line,) = refused.err.splitlines()
    assert "no column is a series, as in training" in line
