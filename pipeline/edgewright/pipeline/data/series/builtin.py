"""Built-in series: a real one to forecast, real images read row by row, and a made problem of long memory."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgewright.pipeline.data.digits import handwritten_digits
from edgewright.pipeline.data.files.tables import Table
from edgewright.pipeline.data.series.from_arrays import arrays_to_recordings
from edgewright.pipeline.data.series.from_tables import table_recordings
from edgewright.pipeline.data.series.recordings import Recordings
from edgewright.pipeline.recipe.recipe import Recipe
from edgewright.runtime.errors import MachineError, RecipeError

_ADDING_SAMPLES = 4000
_ADDING_STEPS = 200
_MOST_ADDING_STEPS = 10_000


@dataclass(frozen=True)
class SeriesSet:
    """A set by its function; `pattern` is the name, or a regular expression for several."""

    pattern: str
    load: Callable[[Recipe, str], Recordings]
    note: str


def _co2(recipe: Recipe, name: str) -> Recordings:
    """The weekly CO2 of the air over Mauna Loa, 1958 to 2001 in ppm, from statsmodels (public domain); 59 gaps."""
    try:
        from statsmodels.datasets import co2
    except ImportError:
        raise MachineError(
            "builtin:co2 comes with statsmodels, which is not installed: pip install 'edgewright[examples]'"
        ) from None
    frame = co2.load_pandas().data
    dates = frame.index.to_numpy().astype("datetime64[s]")
    table = Table(f"builtin:{name}", {"date": dates, "co2": frame["co2"].to_numpy(np.float64)}, len(frame))
    return table_recordings(table, recipe, "co2")


def _digits_rows(recipe: Recipe, name: str) -> Recordings:
    """1797 handwritten digits as eight rows of eight pixels from 0 to 16, from scikit-learn (UCI, CC BY 4.0)."""
    pictures, targets = handwritten_digits()
    arrays = {
        "values": pictures,
        "target": targets,
        "features": np.array([f"pixel_{column}" for column in range(8)]),
    }
    return arrays_to_recordings(arrays, recipe, f"builtin:{name}", name)


def adding_problem(samples: int, steps: int, seed: int = 0) -> Mapping[str, NDArray[Any]]:
    """The adding problem (Hochreiter and Schmidhuber, 1997): the sum of two marked numbers of a long sequence.

    Returns values float64 [samples, steps, 2] (a number from 0 to 1, and a mark: 1 at one step of each half) and target
    float64 [samples, steps, 1], NaN except at the last step.
    """
    draws = np.random.default_rng(seed)
    values = np.zeros((samples, steps, 2))
    values[:, :, 0] = draws.random((samples, steps))
    rows = np.arange(samples)
    first = draws.integers(0, steps // 2, samples)
    second = draws.integers(steps // 2, steps, samples)
    values[rows, first, 1] = values[rows, second, 1] = 1.0
    target = np.full((samples, steps, 1), np.nan)
    target[:, -1, 0] = values[rows, first, 0] + values[rows, second, 0]
    return {
        "values": values,
        "target": target,
        "features": np.array(["number", "mark"]),
        "targets": np.array(["sum"]),
    }


def _adding(recipe: Recipe, name: str) -> Recordings:
    """4000 samples of the adding problem; "adding-400" has 400 steps, "adding" 200. Made by numpy, not measured."""
    steps = int(name.removeprefix("adding-")) if name != "adding" else _ADDING_STEPS
    if not 2 <= steps <= _MOST_ADDING_STEPS:
        raise RecipeError(f"data: builtin:{name}: the number of steps must be from 2 to {_MOST_ADDING_STEPS}")
    return arrays_to_recordings(adding_problem(_ADDING_SAMPLES, steps), recipe, f"builtin:{name}", name)


SERIES_SETS: Mapping[str, SeriesSet] = {
    "co2": SeriesSet("co2", _co2, "weekly CO2 over Mauna Loa, with real gaps"),
    "digits-rows": SeriesSet(
        "digits-rows",
        _digits_rows,
        "handwritten digits, a row of pixels at a time",
    ),
    "adding-200": SeriesSet(
        r"adding(-\d{1,9})?",
        _adding,
        "the adding problem of 200 steps (or any number)",
    ),
}
"""Name to set; `data: builtin:NAME` in a recipe."""


def series_set(name: str) -> str | None:
    """The name in `SERIES_SETS` of the set that `name` means, None where there is none."""
    return next((known for known, one in SERIES_SETS.items() if re.fullmatch(one.pattern, name)), None)
