"""The raw half of a stream of steps: what `encode` does to a whole series, done as it arrives."""

import copy
import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgewright.runtime.contracts import AnswerMaker, BoundStep, Steps, Tensors
from edgewright.runtime.errors import InputError
from edgewright.runtime.graphs.providers import step_failed
from edgewright.runtime.series.reading import as_series, label_of
from edgewright.runtime.series.settings import Series, SeriesSettings
from edgewright.runtime.series.values import Resampler, check_times, fill_forward, fill_missing, normalise
from edgewright.runtime.tables.numbers import as_float

_TOP_BYTES = slice(3 if sys.byteorder == "little" else 0, None, 4)
"""Of float32 values as bytes, those with the sign and the upper exponent: 0x7F or 0xFF for NaN, infinity, and what is
larger than 1.7e38. Looking for these is four times as quick as any question that numpy answers.
"""

_FLOAT64 = np.dtype(np.float64)
_FLOAT32 = np.dtype(np.float32)


def anchors(
    history: NDArray[np.float32], kind: str, season: int, horizon: int, steps: int
) -> NDArray[np.float32]:
    """What each of the last `steps` steps of `history` [rows, targets] is forecast from: [steps, horizon, targets].

    `history` needs `season` rows up to and with the first of these steps.
    """
    shape = (steps, horizon, history.shape[1])
    if kind == "none":
        return np.zeros(shape, np.float32)
    first = len(history) - steps
    if kind == "last":
        return np.broadcast_to(history[first:, np.newaxis], shape)
    ahead = np.arange(horizon) % season - season + 1
    picked: NDArray[np.float32] = history[np.arange(first, len(history))[:, np.newaxis] + ahead]
    return picked


class SeriesEncoder:
    """Steps of one series to the step graph's inputs; see `StreamEncoder`.

    `answerer` makes of the front what makes its answers; it may look at `steps`, `target_mean` and `target_std`.
    """

    def __init__(
        self,
        settings: SeriesSettings,
        series: str,
        answerer: Callable[["SeriesEncoder"], AnswerMaker],
    ) -> None:
        self.settings = settings
        count, forecast = len(settings.features), settings.forecast
        self._mean, self._std = np.zeros(count), np.ones(count)
        self.target_mean = np.zeros(len(settings.targets))
        self.target_std = np.ones(len(settings.targets))
        self._season = forecast.season if forecast is not None and forecast.anchor == "seasonal" else 1
        self._history = np.zeros((self._season, len(settings.targets)), np.float32)
        self._given = series
        self._last = np.zeros(count)
        self._factor = np.ones(count)
        self._plain: list[bool] = []
        self.reset()
        self.answer: AnswerMaker = answerer(self)

    @property
    def series(self) -> str:
        """The name of the series that this stream is of; empty where that does not matter or is not known yet."""
        return self._series

    def reset(self) -> None:
        """Forget everything."""
        self.steps = 0
        self._clock(None)
        self._time = 0.0
        self._resampler = None if self.settings.step is None else Resampler(self.settings.step)
        self._history[...] = 0
        self._name(self._given)
        self._last[...] = self._mean

    def _clock(self, timed: bool | None) -> None:
        self._timed = timed
        # What the quick way looks at: there is something in it as long as rows without a time are what comes.
        self._plain[:] = [True] if timed is False else []

    def _name(self, series: str) -> None:
        settings = self.settings
        scaled = bool(series) or settings.per_series is None or settings.unseen == "global"
        if scaled:
            mean, std, target_mean, target_std = settings.scales(series)
            # Into the arrays that are there: the writer holds them. Answers hold those of the targets.
            self._mean[...], self._std[...] = mean, std
            self._factor[...] = 1 / self._std
            self.target_mean, self.target_std = np.array(target_mean), np.array(target_std)
        self._series, self._scaled = series, scaled

    @property
    def timeless(self) -> bool:
        """Whether neither the scale of an answer nor whether there is one changes from step to step."""
        return self.settings.forecast is None and self.settings.per_series is None

    @property
    def scale(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """mean of the features, and the factor that comes after it."""
        return self._mean, self._factor

    def accepts_rows(self) -> bool:
        """Whether rows of plain numbers, without a time, can follow."""
        return not self._timed and self._scaled

    def took_row(self) -> None:
        """Say that such a row has come: from now on none of the others may."""
        self._clock(False)
        self.steps = max(self.steps, 1)

    def push(self, piece: Any) -> Steps:
        """The steps of a row [features], of rows [steps, features], of columns by name, or of a `Series`."""
        series = as_series(_rows(piece, len(self.settings.features)), self.settings)
        name, scaled = self._series, self._scaled
        self._adopt(series)
        try:
            return self._take(series)
        except InputError:
            if not scaled:
                self._series, self._scaled = name, False
            elif name != self._series:
                self._name(name)
                self._last[...] = self._mean
            raise

    def _adopt(self, series: Series) -> None:
        """Take the name of the first piece where each series has its own scale."""
        if self.settings.per_series is None or (
            (series.name or self._series) == self._series and self._scaled
        ):
            return
        if series.name and (self.steps or self._given) and series.name != self._series:
            raise InputError(
                f"this stream is of the series {self._series!r}, not of {series.name!r}: reset it first"
            )
        self.settings.scales(series.name)
        self._name(series.name)
        self._last[...] = self._mean

    def _take(self, series: Series) -> Steps:
        settings, before = self.settings, self.steps
        name, times, values = label_of(series), series.times, series.values
        self._check_clock(times, name)
        if not len(values):
            return Steps({}, 0)
        values = self._fill(values, name)
        last, resampler = values[-1].copy(), self._resampler
        moved, rows = times, values
        if times is not None and settings.irregular == "resample" and resampler is not None:
            resampler = copy.copy(resampler)
            moved, rows = resampler.push(times, values)
        feeds: Tensors = {"values": normalise(rows, self._mean, self._std, name)}
        history = self._forecast(feeds, rows, series.known)
        # Nothing below fails: from here on the piece is remembered.
        if history is not None:
            self._history[...] = history
        self._last[...], self._resampler = last, resampler
        self._clock(times is not None)
        if times is not None:
            self._time = float(times[-1])
        self.steps += len(rows)
        context = 1 if settings.forecast is None else settings.forecast.context
        return Steps(feeds, len(rows), moved, min(len(rows), max(0, context - 1 - before)))

    def _check_clock(self, times: NDArray[np.float64] | None, name: str) -> None:
        if self._timed is not None and self._timed != (times is not None):
            kind = "has times, this piece has none" if self._timed else "has no times, this piece has some"
            raise InputError(f"the stream {kind}: give all pieces times, or none")
        if times is not None:
            before = self._time if self._timed else None
            check_times(times, self.settings.step, self.settings.irregular, name, before)

    def _fill(self, values: NDArray[np.float64], name: str) -> NDArray[np.float64]:
        names, policy = self.settings.features, self.settings.missing
        if policy == "forward":
            filled = fill_forward(values, self._last)
            return fill_missing(filled, "refuse", names, self._mean, None, name)
        if policy == "interpolate" and np.isnan(values).any():
            row, column = np.argwhere(np.isnan(values))[0]
            raise InputError(
                f"{name}: the column {names[column]!r} has no value in row {row + 1}, and interpolating needs the "
                "next one: fill it before pushing, or train with data.missing: forward"
            )
        return fill_missing(values, policy, names, self._mean, None, name)

    def _forecast(
        self, feeds: Tensors, rows: NDArray[np.float64], known: NDArray[np.float64] | None
    ) -> NDArray[np.float32] | None:
        """Adds what a forecast starts from to `feeds`; returns the history after these rows."""
        forecast = self.settings.forecast
        if forecast is None:
            return None
        history = np.vstack((self._history, feeds["values"][:, : len(self.settings.targets)]))
        feeds["anchor"] = anchors(history, forecast.anchor, self._season, forecast.horizon, len(rows))
        if known is not None:
            places = [self.settings.features.index(name) for name in forecast.known]
            ahead = np.vstack((rows[:, places], known))
            scaled = normalise(ahead, np.array(forecast.known_mean), np.array(forecast.known_std))
            picked = np.arange(1, len(rows) + 1)[:, np.newaxis] + np.arange(forecast.horizon)
            feeds["known"] = scaled[picked]
        return history[-self._season :]

    def quick(self, step: BoundStep, slow: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """See `StreamEncoder`: a row [features] of float32 or float64, with nothing missing, after others like it."""
        if self.settings.forecast is not None and self.settings.forecast.known:
            return slow
        # A small step takes ten microseconds and leaves the caches cold: everything that can be looked up before, is,
        # and every call into numpy counts.
        values, mean, factor, plain = step.feeds["values"][0, 0], self._mean, self._factor, self._plain
        shape = mean.shape
        raw, scaled = np.empty(shape), np.empty(shape)
        array, subtract, multiply = np.ndarray, np.subtract, np.multiply
        row_bytes, top_bytes = values.tobytes, _TOP_BYTES
        run, turn, options, turn_over = step.run, step.turn, step.options, step.turn.reverse
        answer, output = self.answer, step.output[0].copy
        remember = self._rememberer(step.feeds)

        def push(piece: Any) -> Any:
            if type(piece) is not array or piece.shape != shape or not plain:
                return slow(piece)
            dtype = piece.dtype
            if dtype is not _FLOAT64:
                if dtype is not _FLOAT32:
                    return slow(piece)
                raw[...] = piece
                piece = raw
            try:
                subtract(piece, mean, scaled)
                multiply(scaled, factor, scaled)
                values[...] = scaled
            except RuntimeWarning:  # warnings are errors here, and the value is beyond float32
                return slow(piece)
            top = row_bytes()[top_bytes]
            if 0x7F in top or 0xFF in top:
                return slow(piece)
            if remember is not None:
                remember(piece, values)
            try:
                run(turn[0], options)
            except Exception as error:
                raise step_failed(error) from None
            turn_over()
            return answer(output())

        return push

    def _rememberer(self, feeds: Tensors) -> Callable[[Any, NDArray[np.float32]], None] | None:
        """What the quick way has to do for the next step, where there is anything."""
        forecast, last, forward = self.settings.forecast, self._last, self.settings.missing == "forward"
        if forecast is None and not forward:
            return None
        history, season, targets = self._history, self._season, len(self.settings.targets)
        anchor = None if forecast is None else feeds["anchor"]

        def remember(row: Any, values: NDArray[np.float32]) -> None:
            last[...] = row
            self.steps += 1
            if anchor is not None and forecast is not None:
                history[:-1] = history[1:]
                history[-1] = values[:targets]
                anchor[...] = anchors(history, forecast.anchor, season, forecast.horizon, 1)

        return remember

    def state(self) -> Tensors:
        """All that it remembers, as arrays by name."""
        resampler, count = self._resampler, len(self._mean)
        started = resampler is not None and resampler.values is not None
        clock = [
            -1.0 if self._timed is None else float(self._timed),
            self._time,
            float(started),
            (resampler.start or 0.0) if resampler is not None else 0.0,
            resampler.time if resampler is not None else 0.0,
        ]
        return {
            "steps": np.array([self.steps, resampler.made if resampler is not None else 0], np.int64),
            "clock": np.array(clock),
            "last": self._last.copy(),
            "grid": resampler.values.copy()
            if resampler is not None and resampler.values is not None
            else np.zeros(count),
            "history": self._history.copy(),
        }

    def restore(self, state: Mapping[str, NDArray[Any]], series: str = "") -> None:
        """Go on from what `state` returned, as a stream of `series`."""
        steps, made = (int(value) for value in state["steps"])
        timed, time, started, start, grid_time = (float(value) for value in state["clock"])
        if steps < 0 or made < 0 or timed not in (-1.0, 0.0, 1.0):
            raise InputError("the state of the series is damaged: save it again")
        if series and self._given and series != self._given:
            raise InputError(f"this is the state of the series {series!r}, the stream is of {self._given!r}")
        self._name(series or self._given)
        self.steps, self._time = steps, time
        self._clock(None if timed < 0 else bool(timed))
        self._last[...], self._history[...] = state["last"], state["history"]
        if self._resampler is not None:
            self._resampler = Resampler(self._resampler.step)
            if started:
                self._resampler.start, self._resampler.made = start, made
                self._resampler.time, self._resampler.values = grid_time, state["grid"].copy()


def _rows(piece: Any, features: int) -> Any:
    """One row as a block of one; everything else as it is."""
    if isinstance(piece, (int, float, np.integer, np.floating)):
        piece = np.array([as_float(piece)])
    if isinstance(piece, np.ndarray) and piece.ndim == 1 and (features > 1 or len(piece) == 1):
        if len(piece) != features and piece.dtype.kind in "fiubO":
            raise InputError(
                f"the step has {len(piece)} values: give one for each of the {features} features"
            )
        return piece[np.newaxis]
    if (
        isinstance(piece, (list, tuple))
        and features > 1
        and not any(hasattr(value, "__len__") for value in piece)
    ):
        if len(piece) != features:
            raise InputError(
                f"the step has {len(piece)} values: give one for each of the {features} features"
            )
        return [piece]
    if isinstance(piece, Mapping):
        return {name: _cell(cells) for name, cells in piece.items()}
    return piece


def _cell(cells: Any) -> Any:
    return [cells] if not hasattr(cells, "__len__") and cells is not None else cells
