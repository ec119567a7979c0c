"""Forecasting on the device: the steps so far in, the targets' values at the steps to come out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgewright.runtime.bundle.manifest import StreamMemory
from edgewright.runtime.contracts import MODEL, STEP, AnswerMaker, GraphSpec, Tensors, TensorSpec
from edgewright.runtime.errors import BundleError, InputError
from edgewright.runtime.printable import one_line
from edgewright.runtime.series.reading import label_of
from edgewright.runtime.series.settings import Series
from edgewright.runtime.series.stream import SeriesEncoder, anchors
from edgewright.runtime.series.values import normalise
from edgewright.runtime.tasks.answers import Answer
from edgewright.runtime.tasks.description import Description, ModelFacts, shortened
from edgewright.runtime.tasks.series import (
    PREDICTION,
    VALUES,
    SeriesTask,
    predicted,
    same_numbers,
    to_units,
)

ANCHOR = "anchor"
KNOWN = "known"

_SHOWN = 6


@dataclass(frozen=True, eq=False)
class Forecast(Answer):
    """The answer to one series: `values` is float64 [horizon, targets] in the user's units, a column for each of
    `names`.

    `times` is float64 [horizon] as the series has them, None where it has none.
    """

    names: tuple[str, ...]
    values: NDArray[np.float64]
    times: NDArray[np.float64] | None = None

    def to_json(self, top: int = 5) -> dict[str, Any]:
        """Each target's values, step by step, and the times of the steps."""
        columns = zip(self.names, self.values.T.tolist(), strict=True)
        return {"values": dict(columns), "times": None if self.times is None else self.times.tolist()}

    def bare(self) -> str:
        """The values, with tabs between them: all steps of the first target, then of the next."""
        return "\t".join(map(repr, self.values.T.ravel().tolist()))

    def cells(self, top: int = 1) -> dict[str, str | float | int | None]:
        """A cell for each target and step, "co2_1" the first step ahead."""
        return {
            f"{name}_{step}": value
            for name, column in zip(self.names, self.values.T.tolist(), strict=True)
            for step, value in enumerate(column, 1)
        }

    def line(self, top: int = 1) -> str:
        """Each target's first values: "co2 371.2 371.5 371.9 ... (12 steps)"."""
        steps = len(self.values)
        tail = f" ... ({steps} steps)" if steps > _SHOWN else ""
        return "  ".join(
            f"{one_line(name)} {' '.join(f'{value:.6g}' for value in column[:_SHOWN])}{tail}"
            for name, column in zip(self.names, self.values.T.tolist(), strict=True)
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Forecast):
            return NotImplemented
        return (
            self.names == other.names
            and same_numbers(self.values, other.values)
            and same_numbers(self.times, other.times)
        )


class Forecasting(SeriesTask[Forecast]):
    """The device half of forecasting; `processor` holds `SeriesSettings`, with `forecast`, as plain values."""

    name = "forecasting"

    def __init__(
        self, processor: Mapping[str, Any], labels: Sequence[str], assets: Mapping[str, bytes] | None = None
    ) -> None:
        super().__init__(processor)
        if self.settings.forecast is None:
            raise BundleError("forecasting needs a horizon, the settings have none: get a fresh bundle")
        self.forecast = self.settings.forecast
        horizon, count = self.forecast.horizon, len(self.settings.targets)
        ahead = [TensorSpec(ANCHOR, "float32", ("batch", horizon, count))]
        if self.forecast.known:
            ahead.append(TensorSpec(KNOWN, "float32", ("batch", horizon, len(self.forecast.known))))
        outputs = (TensorSpec(PREDICTION, "float32", ("batch", horizon, count)),)
        self.signatures = {
            MODEL: GraphSpec(self.whole_inputs(*ahead), outputs),
            STEP: GraphSpec(self.step_inputs(*ahead), outputs),
        }

    def describe(self, model: ModelFacts) -> Description:
        """Its columns, its targets, how far it looks back and ahead."""
        forecast, targets = self.forecast, self.settings.targets
        known = f" It has to be told {shortened(forecast.known)} of these steps." if forecast.known else ""
        own = {
            "targets": list(targets),
            "prediction_length": forecast.horizon,
            "context_length": forecast.context,
        }
        return self.described(
            "time-series-forecasting",
            f"Answers with the next {forecast.horizon} steps of {shortened(targets)}, "
            f"from the last {forecast.context}.{known}",
            "ForPrediction",
            own,
            f"the last {forecast.context} steps of {', '.join(self.settings.features)}; "
            f"it answers the next {forecast.horizon}",
        )

    def encode_prepared(self, series: Series) -> Tensors:
        """The last `context` steps, what the forecast is added to, and what is known ahead.

        Where the series has times and the trained step is known there is "time" float64 as well, that of its last step.
        Raises `InputError` for a series shorter than the context.
        """
        forecast, where = self.forecast, label_of(series)
        if len(series.values) < forecast.context:
            raise InputError(
                f"{where} has {len(series.values)} steps, a forecast needs {forecast.context}: give the steps before, "
                "or train with a shorter forecast.context"
            )
        times = series.times
        cut = Series(series.values[-forecast.context :], series.columns, None, series.name, series.known)
        feeds = super().encode_prepared(cut)
        targets = feeds[VALUES][:, : len(self.settings.targets)]
        feeds[ANCHOR] = anchors(targets, forecast.anchor, forecast.season, forecast.horizon, 1)[0].copy()
        if series.known is not None:
            if np.isnan(series.known).any():
                row, column = np.argwhere(np.isnan(series.known))[0]
                raise InputError(
                    f"{where}: {forecast.known[column]!r} is not known {row + 1} steps ahead: give every value"
                )
            mean, std = np.array(forecast.known_mean), np.array(forecast.known_std)
            feeds[KNOWN] = normalise(series.known, mean, std, where)
        if times is not None and self.settings.step is not None:
            feeds["time"] = np.array(times[-1])
        return feeds

    def decode(self, outputs: Tensors, sample: Tensors) -> Forecast:
        """An output [horizon, targets] to the answer; with the times of the steps to come where the sample has a time
        and the trained step is known. Raises `InputError` when it is not finite.
        """
        names = self.settings.targets
        time = float(sample["time"]) if "time" in sample else None
        return Forecast(names, to_units(predicted(outputs, names), *self.scale(sample)), self._times(time))

    def _times(self, last: float | None) -> NDArray[np.float64] | None:
        if last is None or self.settings.step is None:
            return None
        return np.asarray(last + self.settings.step * np.arange(1, self.forecast.horizon + 1), np.float64)

    def stream_front(self, series: str = "", memory: StreamMemory | None = None) -> SeriesEncoder:
        """The raw half of a new stream; it has no answer before it has seen `context` steps."""
        return SeriesEncoder(self.settings, series, self._answerer)

    def _answerer(self, front: SeriesEncoder) -> AnswerMaker:
        def answer(output: NDArray[Any], time: float | None = None) -> Forecast | None:
            if front.steps < self.forecast.context:
                return None
            values = predicted({PREDICTION: output}, self.settings.targets)
            units = to_units(values, front.target_mean, front.target_std)
            return Forecast(self.settings.targets, units, self._times(time))

        return answer
