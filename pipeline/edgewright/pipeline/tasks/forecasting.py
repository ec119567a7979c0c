"""Forecasting while it is trained: the next steps of each target, measured beside the seasonal-naive forecast."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from edgewright.exporters.reference import Figure, Metric
from edgewright.pipeline.data.samples import Sample
from edgewright.pipeline.tasks.number_scores import Errors, errors_of, mean_over_targets
from edgewright.pipeline.tasks.numbers import Numbers, known_values, number_options
from edgewright.runtime.errors import BundleError, DataError
from edgewright.runtime.series.settings import ForecastSettings
from edgewright.runtime.tasks.forecasting import Forecast

_TRUTH, _NAIVE, _SCALE, _MEAN, _STD = range(5)
_PREDICTION = 3
"""Its place in the evidence of a forecast, behind truth, naive forecast and scale."""

_NOTHING = 1e-300
"""An error that is this small is none: it may be a number that nothing can be divided by."""


def seasonal_naive(history: NDArray[np.float64], season: int, horizon: int) -> NDArray[np.float64]:
    """The last season of `history` [T, K], repeated to [horizon, K]; the last value where T is shorter than that."""
    length = season if len(history) >= season else 1
    steps = len(history) - length + np.arange(horizon) % length
    naive: NDArray[np.float64] = history[steps]
    return naive


def seasonal_scale(history: NDArray[np.float64], season: int) -> NDArray[np.float64]:
    """The mean absolute seasonal difference of each column of `history` [T, K], by which MASE divides; NaN where there
    is none or it is 0.
    """
    lag = season if len(history) > season else 1
    if len(history) <= lag:
        return np.full(history.shape[1], np.nan)
    scale = np.abs(history[lag:] - history[:-lag]).mean(axis=0)
    return np.where(scale > 0, scale, np.nan)


@dataclass(frozen=True)
class Forecasting(Numbers):
    """Targets are float64 [N, horizon, K, 5]: the truth (NaN where unknown), the seasonal-naive forecast, the scale of
    MASE, and the mean and std of the sample's series. All in the user's units.

    The first K features are the targets' own past.
    """

    metric_name: str = "skill"
    loss: str = "mae"
    name: str = "forecasting"

    @property
    def forecast(self) -> ForecastSettings:
        """The horizon, the season and the rest of how a forecast is made."""
        forecast = self.settings.forecast
        if forecast is None:
            raise BundleError("the settings of a forecast have no horizon: train the model anew")
        return forecast

    def target(self, sample: Sample, feeds: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
        truth, count = np.asarray(sample.target, np.float64), len(self.names)
        horizon, season = self.forecast.horizon, self.forecast.season
        if truth.shape != (horizon, count):
            raise DataError(
                f"{sample.id}: {' x '.join(map(str, truth.shape))} values to forecast, the recipe asks for "
                f"{horizon} x {count}: set forecast.horizon to what the data has"
            )
        name = str(getattr(sample.raw, "name", ""))
        mean, std, target_mean, target_std = (np.array(values) for values in self.settings.scales(name))
        steps = int(feeds["lengths"])
        history = feeds["values"][:steps, :count].astype(np.float64) * std[:count] + mean[:count]
        target = np.empty((horizon, count, 5))
        target[..., _TRUTH] = truth
        target[..., _NAIVE] = seasonal_naive(history, season, horizon)
        target[..., _SCALE] = seasonal_scale(history, season)
        target[..., _MEAN], target[..., _STD] = target_mean, target_std
        return target

    def stack(self, targets: Sequence[Any]) -> NDArray[np.float64]:
        return np.array(targets, np.float64).reshape(len(targets), self.forecast.horizon, len(self.names), 5)

    def values(self, targets: NDArray[Any]) -> NDArray[np.float64]:
        return targets[..., _TRUTH]

    def normalised(self, targets: torch.Tensor) -> torch.Tensor:
        return ((targets[..., _TRUTH] - targets[..., _MEAN]) / targets[..., _STD]).float()

    @functools.cached_property
    def figures(self) -> tuple[Figure, ...]:
        def told(name: str, figure: Callable[[NDArray[Any]], Any]) -> Figure:
            return Figure(name=name, evidence=_beside_truth, figure=figure)

        return (
            Metric(
                name="skill", evidence=_beside_truth, figure=lambda each: _skill(_ours(each), _theirs(each))
            ),
            told("mae", lambda each: mean_over_targets(_ours(each).mae)),
            told("baseline_mae", lambda each: mean_over_targets(_theirs(each).mae)),
            told("rmse", lambda each: mean_over_targets(_ours(each).rmse)),
            told("mase", _mase),
            told("targets", self._each_target),
            told("mae_by_step", _by_step),
            told("values", lambda each: known_values(each[..., _TRUTH])),
        )

    def _each_target(self, each: NDArray[Any]) -> dict[str, Any]:
        ours, theirs = _ours(each), _theirs(each)
        skills = _skills(ours, theirs)
        return {
            target: {
                "skill": float(skills[index]),
                "mae": float(ours.mae[index]),
                "baseline_mae": float(theirs.mae[index]),
                "rmse": float(ours.rmse[index]),
            }
            if ours.count[index]
            else None
            for index, target in enumerate(self.names)
        }

    def notes(self, metrics: Mapping[str, Mapping[str, Any]]) -> tuple[str, ...]:
        split = "evaluation" if "evaluation" in metrics else next(iter(metrics), "")
        figures = metrics.get(split)
        if figures is None or figures["skill"] > 0:
            return ()
        differ = (
            ", set forecast.per_series where series differ in size"
            if self.settings.per_series is None
            else ""
        )
        return (
            f"the model loses to the seasonal-naive forecast on {split}: its mean absolute error is "
            f"{figures['mae']:.4g}, that of repeating the last season {figures['baseline_mae']:.4g}: "
            f"train longer, give it a longer forecast.context{differ}, or use no model",
        )


def _beside_truth(answer: Forecast, truth: NDArray[np.float64]) -> NDArray[np.float64]:
    """The truth, the seasonal-naive forecast, the scale of MASE and the prediction, float64 [horizon, K, 4]."""
    return np.concatenate((truth[..., : _SCALE + 1], answer.values[..., np.newaxis]), axis=2)


def _ours(each: NDArray[Any]) -> Errors:
    return errors_of(each[..., _PREDICTION], each[..., _TRUTH])


def _theirs(each: NDArray[Any]) -> Errors:
    return errors_of(each[..., _NAIVE], each[..., _TRUTH])


def _skill(ours: Errors, theirs: Errors) -> float:
    """The mean over the targets of 1 - MAE / MAE of the baseline; 0 where both are perfect."""
    return mean_over_targets(_skills(ours, theirs))


def _skills(ours: Errors, theirs: Errors) -> NDArray[np.float64]:
    """The skill of each target [K], NaN for one that is nowhere known."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        skill = np.where(
            theirs.mae > _NOTHING, 1.0 - ours.mae / theirs.mae, np.where(ours.mae > _NOTHING, -1.0, 0.0)
        )
    return np.where(np.isnan(ours.mae), np.nan, skill)


def _mase(each: NDArray[Any]) -> float | None:
    """The mean absolute scaled error over all values that are known and have a scale; None where none is."""
    scaled = np.abs(each[..., _PREDICTION] - each[..., _TRUTH]) / each[..., _SCALE]
    known = scaled[~np.isnan(scaled)]
    return float(known.mean()) if known.size else None


def _by_step(each: NDArray[Any]) -> list[float | None]:
    """The mean absolute error of each step of the horizon, None for one that is nowhere known."""
    missed = np.abs(each[..., _PREDICTION] - each[..., _TRUTH])
    return [
        float(column[~np.isnan(column)].mean()) if not np.isnan(column).all() else None
        for column in missed.swapaxes(0, 1)
    ]


make, options = Forecasting, number_options
