"""Forecasting while it is trained: the next steps of each target, measured beside the seasonal-naive forecast."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from edgewright.pipeline.data.samples import Sample
from edgewright.pipeline.tasks.number_scores import errors_of, mean_over_targets
from edgewright.pipeline.tasks.numbers import Numbers, number_options
from edgewright.runtime.errors import BundleError, DataError
from edgewright.runtime.series.settings import ForecastSettings

_TRUTH, _NAIVE, _SCALE, _MEAN, _STD = range(5)

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

    def truth(self, targets: NDArray[Any]) -> NDArray[np.float64]:
        return targets[..., _TRUTH]

    def normalised(self, targets: torch.Tensor) -> torch.Tensor:
        return ((targets[..., _TRUTH] - targets[..., _MEAN]) / targets[..., _STD]).float()

    def figures(self, outputs: NDArray[np.float32], targets: NDArray[Any]) -> dict[str, Any]:
        truth, naive = targets[..., _TRUTH], targets[..., _NAIVE]
        predictions = outputs.astype(np.float64) * targets[..., _STD] + targets[..., _MEAN]
        ours, theirs = errors_of(predictions, truth), errors_of(naive, truth)
        missed, known = np.abs(predictions - truth), ~np.isnan(truth)
        scaled = (missed / targets[..., _SCALE])[known & ~np.isnan(targets[..., _SCALE])]
        mae, baseline = mean_over_targets(ours.mae), mean_over_targets(theirs.mae)
        figures: dict[str, Any] = {
            "skill": _skill(ours.mae, theirs.mae),
            "mae": mae,
            "baseline_mae": baseline,
            "rmse": mean_over_targets(ours.rmse),
            "mase": float(scaled.mean()) if scaled.size else None,
        }
        figures["targets"] = {
            target: {
                "skill": _skill(ours.mae[index : index + 1], theirs.mae[index : index + 1]),
                "mae": float(ours.mae[index]),
                "baseline_mae": float(theirs.mae[index]),
                "rmse": float(ours.rmse[index]),
            }
            if ours.count[index]
            else None
            for index, target in enumerate(self.names)
        }
        figures["mae_by_step"] = [
            float(column[seen].mean()) if seen.any() else None
            for column, seen in zip(missed.swapaxes(0, 1), known.swapaxes(0, 1), strict=True)
        ]
        return figures

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


def _skill(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> float:
    """The mean over the targets of 1 - MAE / MAE of the baseline; 0 where both are perfect."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        skill = np.where(theirs > _NOTHING, 1.0 - ours / theirs, np.where(ours > _NOTHING, -1.0, 0.0))
    return mean_over_targets(np.where(np.isnan(ours), np.nan, skill))


make, options = Forecasting, number_options
