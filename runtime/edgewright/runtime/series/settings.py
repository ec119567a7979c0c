"""What a series is, and the settings by which one becomes the tensors of a graph."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgewright.runtime.bundle.structure import StructureError, from_plain
from edgewright.runtime.errors import BundleError, InputError

MISSING = ("refuse", "forward", "interpolate", "zero")
"""What is done about a missing value: say no; repeat the last known one, and the training mean where there is none yet;
draw a line between its neighbours; take 0 in the user's units.
"""

IRREGULAR = ("refuse", "resample", "ignore")
"""What is done about steps that are not as long as in training: say no, interpolate to the trained step, nothing."""

UNSEEN = ("refuse", "global")
"""What is done about a series that training never saw, where each has its own scale."""

ANCHORS = ("seasonal", "last", "none")
"""What a forecast is added to: the last season repeated, the last value repeated, or zero."""

MOST_STEPS = 1 << 20
"""Steps that a forecast may look back or ahead."""

Scales = tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...], tuple[float, ...]]
"""mean and std of each feature, mean and std of each target."""


@dataclass(frozen=True, eq=False)
class Series:
    """One raw series.

    Attributes:
        values: float64 [steps, columns]; NaN is a missing value.
        columns: Names of the columns, or None where they stand in the order of the trained features.
        times: float64 [steps], seconds since 1970 or plain numbers, or None where it is not known.
        name: Which of many series it is.
        known: float64 [horizon, known columns], what is known of the steps to forecast.
    """

    values: NDArray[np.float64]
    columns: tuple[str, ...] | None = None
    times: NDArray[np.float64] | None = None
    name: str = ""
    known: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class ForecastSettings:
    """How a forecast is made: `horizon` steps from the last `context` ones; `season` is a number of steps.

    `known` names the columns that are known ahead (they are features as well, of the steps so far), with a mean and std
    for each. Raises `ValueError` for settings that fit no series.
    """

    horizon: int
    season: int = 1
    context: int = 1
    known: tuple[str, ...] = ()
    anchor: str = "seasonal"
    known_mean: tuple[float, ...] = ()
    known_std: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        for name in ("horizon", "season", "context"):
            if not 1 <= getattr(self, name) <= MOST_STEPS:
                raise ValueError(
                    f"forecast.{name} is {getattr(self, name)}: it must lie between 1 and {MOST_STEPS}"
                )
        if self.anchor not in ANCHORS:
            raise ValueError(f"forecast.anchor {self.anchor!r} is not one of {', '.join(ANCHORS)}")
        if self.anchor == "seasonal" and self.season > self.context:
            raise ValueError(f"forecast.season {self.season} is longer than the context of {self.context}")
        _check_scale("known", self.known, self.known_mean, self.known_std)


@dataclass(frozen=True)
class WideTable:
    """The wide form of the table that training read.

    Of a forecast every column is a series: `columns` names them, () are all that hold numbers. For other tasks every
    row is one: `columns` are the features, whose steps lie in numbered columns (temp_0, temp_1, ...) or in lists; ()
    are the steps of the only feature in all columns that hold numbers. `labels` are the names under which there may be
    a column of classes, the first that a table has.
    """

    columns: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class SeriesSettings:
    """How a series becomes tensors; it stands in the manifest as `processor`.

    `features` are the columns that a graph takes, in its order; each becomes (value - mean) / std. `targets` are the
    columns it answers with, `target_mean` and `target_std` bring them back to the user's units; a forecast's targets
    are its first features. `step` is the trained time between two steps, in seconds or plain numbers. `per_series` maps
    the name of a series to its own scales. `wide` is there where training read a wide table: the device then reads such
    tables too. Raises `ValueError` for settings that fit no series.
    """

    features: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    targets: tuple[str, ...] = ()
    target_mean: tuple[float, ...] = ()
    target_std: tuple[float, ...] = ()
    missing: str = "refuse"
    irregular: str = "refuse"
    step: float | None = None
    series_column: str | None = None
    time_column: str | None = None
    forecast: ForecastSettings | None = None
    per_series: Mapping[str, Scales] | None = field(default=None, repr=False)
    unseen: str = "refuse"
    wide: WideTable | None = None

    def __post_init__(self) -> None:
        if not self.features:
            raise ValueError("features: there must be at least one")
        if len(set(self.features)) != len(self.features):
            raise ValueError("features: a name occurs twice")
        for name, value, choices in (
            ("missing", self.missing, MISSING),
            ("irregular", self.irregular, IRREGULAR),
            ("unseen", self.unseen, UNSEEN),
        ):
            if value not in choices:
                raise ValueError(f"{name} {value!r} is not one of {', '.join(choices)}")
        if self.step is not None and not (math.isfinite(self.step) and self.step > 0):
            raise ValueError(f"step {self.step} must be positive")
        if self.irregular == "resample" and self.step is None:
            raise ValueError("irregular 'resample' needs a step")
        count = len(self.targets)
        if self.forecast is not None:
            if not self.targets or self.features[:count] != self.targets:
                raise ValueError("a forecast's targets must be its first features")
            if set(self.forecast.known) - set(self.features[count:]):
                raise ValueError("forecast.known must be features other than the targets")
        if self.wide is not None:
            rows = self.forecast is None and bool(self.wide.columns)
            if self.wide.columns != self.features if rows else len(self.features) != 1:
                raise ValueError("wide.columns do not fit the features")
        for scales in (self._global(), *(self.per_series or {}).values()):
            _check_scale("features", self.features, scales[0], scales[1])
            _check_scale("targets", self.targets, scales[2], scales[3])
            if self.forecast is not None and (scales[2], scales[3]) != (scales[0][:count], scales[1][:count]):
                raise ValueError("a forecast's targets must have the scale of the features they are")

    def scales(self, name: str = "") -> Scales:
        """mean and std of the features, mean and std of the targets, for the series `name`.

        Raises `InputError` for a series that training never saw, where each has its own scale.
        """
        if self.per_series is None:
            return self._global()
        if name in self.per_series:
            return self.per_series[name]
        if self.unseen == "global":
            return self._global()
        known = ", ".join(list(self.per_series)[:5]) + (", ..." if len(self.per_series) > 5 else "")
        called = f"the series {name!r} is" if name else "a series without a name is"
        raise InputError(
            f"{called} not one of the {len(self.per_series)} that training saw ({known}): "
            "name one of these, or train with data.unseen: global"
        )

    def _global(self) -> Scales:
        if self.forecast is not None and not self.target_mean and not self.target_std:
            count = len(self.targets)
            return self.mean, self.std, self.mean[:count], self.std[:count]
        return self.mean, self.std, self.target_mean, self.target_std


def _check_scale(what: str, names: Sequence[str], mean: Sequence[float], std: Sequence[float]) -> None:
    if len(mean) != len(names) or len(std) != len(names):
        raise ValueError(f"{what}: {len(names)} names, {len(mean)} means and {len(std)} stds do not fit")
    if not all(math.isfinite(value) for value in (*mean, *std)) or any(value <= 0 for value in std):
        raise ValueError(f"{what}: means must be finite and stds positive")


def series_settings(processor: Mapping[str, Any]) -> SeriesSettings:
    """The settings from a manifest's `processor`. Raises `BundleError` naming what is wrong."""
    try:
        return from_plain(SeriesSettings, dict(processor), "processor")
    except (StructureError, ValueError) as error:
        raise BundleError(
            f"the series settings cannot be used: {error}: get a fresh copy of the bundle"
        ) from None
