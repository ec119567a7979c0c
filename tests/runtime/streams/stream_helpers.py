"""Engines that the tests of streams begin with."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgewright.runtime import Engine, Series
from edgewright.runtime.series.settings import SeriesSettings
from tests.runtime.recurrent_bundle import FEATURES, REGRESSION, Case, case, make_recurrent_bundle


def engine_of(root: Path, example: Case) -> Engine:
    """An engine on a bundle of `example`, written below `root`."""
    return Engine(make_recurrent_bundle(root / example.task, example), provider="cpu")


def with_settings(task: str, settings: SeriesSettings) -> Case:
    """The small example of a task with other settings, without golden samples."""
    return dataclasses.replace(case(task), settings=settings, raws=())


def regression_with(root: Path, **changes: Any) -> Engine:
    """An engine of sequence-regression whose settings differ by `changes`."""
    return engine_of(root, with_settings("sequence-regression", dataclasses.replace(REGRESSION, **changes)))


def timed(values: NDArray[np.float64], times: NDArray[np.float64]) -> Series:
    """A series with times."""
    return Series(values, FEATURES, times)


def scaled_engine(root: Path, **changes: Any) -> Engine:
    """An engine of sequence-regression in which the series a and b have a scale each."""
    scale = ((1.0, 2.0, 3.0), (1.0, 2.0, 1.0), (5.0, 6.0), (7.0, 8.0))
    return regression_with(root, per_series={"a": scale, "b": REGRESSION.scales()}, **changes)
