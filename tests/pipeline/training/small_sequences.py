"""Small recurrent models and small sequences of different lengths, for each task of numbers and of labels.

The handwritten digits again, read row by row: a sample is a digit without its last rows (5 to 8 are left). The label
is the digit; the value to be known at each row is the ink seen so far. A forecast goes on with a weekly pattern.
"""

import functools
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from edgewright.pipeline.data.samples import Sample, Splits, content_of_array
from edgewright.pipeline.models.model import BuiltModel
from edgewright.pipeline.models.recurrent.build import build_recurrent
from edgewright.pipeline.models.recurrent.network import Network
from edgewright.pipeline.recipe.load import recipe_from_plain
from edgewright.pipeline.recipe.recipe import Recipe
from edgewright.runtime.series.settings import ForecastSettings, Series, SeriesSettings

__all__ = ["CLASSES", "TASKS", "sequence_model", "sequence_recipe", "sequence_splits"]

TASKS = ("sequence-classification", "sequence-regression", "forecasting")
CLASSES = ("0", "1", "2", "3")
COLUMNS = tuple(f"c{number}" for number in range(8))
INK = (0.45, 0.2)
SEASON, CONTEXT, HORIZON = 7, 21, 5

_ROWS = SeriesSettings(COLUMNS, (0.3,) * 8, (0.35,) * 8)
_INK = SeriesSettings(COLUMNS, (0.3,) * 8, (0.35,) * 8, ("ink", "rows"), (INK[0], 4.0), (INK[1], 2.0))
_WEEK = SeriesSettings(
    ("sales", "rain", "holiday"), (20.0, 0.5, 0.1), (8.0, 0.3, 0.3), ("sales",),
    forecast=ForecastSettings(HORIZON, SEASON, CONTEXT, ("holiday",), "seasonal", (0.1,), (0.3,)),
)  # fmt: skip
_SETTINGS = {"sequence-classification": _ROWS, "sequence-regression": _INK, "forecasting": _WEEK}


def sequence_model(task: str, seed: int = 0, settings: Any = None, **network: Any) -> BuiltModel:
    """A GRU of 12 units with the weights that `seed` decides."""
    shape = Network(**{"cell": "gru", "hidden": 12, "layers": 1, **network})
    classes = len(CLASSES) if task.endswith("classification") else 0
    return build_recurrent(task, shape, settings or _SETTINGS[task], classes, seed=seed)


@functools.cache
def sequence_splits(task: str, train: int = 94) -> Splits:
    """`train` training samples, 40 for validation and for evaluation."""
    samples = _weeks(train + 80) if task == "forecasting" else _digits(task, train + 80)
    classes = CLASSES if task.endswith("classification") else ()
    parts = tuple(samples[80:]), tuple(samples[:40]), (), tuple(samples[40:80])
    return Splits(classes, *parts, (), "builtin:digits-rows")


def _digits(task: str, count: int) -> list[Sample]:
    from sklearn.datasets import load_digits

    digits = load_digits()
    random = np.random.default_rng(0)
    order = random.permutation(np.flatnonzero(digits.target < len(CLASSES)))[:count]
    samples = []
    for index in order:
        rows = digits.images[index][: random.integers(5, 9)] / 16
        target: Any = int(digits.target[index])
        if task == "sequence-regression":
            seen = np.arange(1, len(rows) + 1)
            target = np.stack([np.cumsum(rows.mean(axis=1)) / 4, seen.astype(float)], axis=1)
            target[random.random(target.shape) < 0.2] = np.nan
        samples.append(Sample(f"digits/{index:04d}", Series(rows, COLUMNS), target, content_of_array(rows)))
    return samples


def _weeks(count: int) -> list[Sample]:
    random = np.random.default_rng(1)
    week = np.array([5.0, 9.0, 12.0, 15.0, 30.0, 45.0, 20.0])
    samples = []
    for index in range(count):
        steps = CONTEXT + HORIZON
        start, rain = int(random.integers(0, SEASON)), random.random(steps)
        holiday = (random.random(steps) < 0.1).astype(float)
        trend = 1 + 0.03 * np.arange(steps)  # which the seasonal-naive forecast does not see
        sales = week[(start + np.arange(steps)) % SEASON] * trend * (1 - 0.5 * holiday)
        table = np.stack([sales + random.normal(size=steps), rain, holiday], axis=1)
        known = table[CONTEXT:, 2:]
        series = Series(table[:CONTEXT], ("sales", "rain", "holiday"), None, "shop", known)
        samples.append(Sample(f"shop/{index}", series, table[CONTEXT:, :1], content_of_array(table)))
    return samples


def sequence_recipe(task: str, transfer: dict[str, Any] | None = None, **training: Any) -> Recipe:
    """A recipe for the small model, as if it came from a run where there is `transfer`; keyword arguments go to its
    training section.
    """
    plain: dict[str, Any] = {
        "task": task,
        "model": "gru",
        "data": "builtin:digits-rows" if task != "forecasting" else "builtin:co2",
        "training": {"epochs": 2, "batch_size": 16, "lr": 0.01, **training},
    }
    if task == "forecasting":
        plain["forecast"] = {"horizon": HORIZON, "season": SEASON, "context": CONTEXT}
    if transfer:
        plain |= {"weights": "/runs/before/weights.safetensors", "transfer": transfer}
    return recipe_from_plain(plain)


def outputs_alone(built: BuiltModel, device: Any, samples: tuple[Sample, ...]) -> list[NDArray[np.float32]]:
    """What the model answers to each sample by itself, without padding."""
    found = []
    for sample in samples:
        feeds = device.collate([device.encode(sample.raw)])
        with torch.inference_mode():
            answer = built.module(*(torch.from_numpy(np.array(feeds[name])) for name in built.input_names))
        found.append(answer[0].numpy())
    return found
