"""Sequence regression on the device: a series in, the targets' values at every step out."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from edgewright.runtime.contracts import AnswerMaker, GraphSpec, Tensors, TensorSpec
from edgewright.runtime.errors import BundleError
from edgewright.runtime.printable import one_line
from edgewright.runtime.series.late import LateAnswer, late
from edgewright.runtime.series.stream import SeriesEncoder
from edgewright.runtime.tasks.answers import Answer
from edgewright.runtime.tasks.description import Description, ModelFacts, shortened
from edgewright.runtime.tasks.series import (
    LENGTHS,
    PREDICTION,
    SeriesTask,
    no_decisions,
    predicted,
    same_numbers,
    to_units,
)
from edgewright.runtime.tasks.shapes import check_tensors


@dataclass(frozen=True, eq=False)
class Prediction(Answer):
    """The answer to one series: `values` is float64 [steps, targets] in the user's units, a column for each of `names`.

    The answer of a stream has one step.
    """

    names: tuple[str, ...]
    values: NDArray[np.float64]

    @property
    def last(self) -> NDArray[np.float64]:
        """The values at the last step, float64 [targets]."""
        held = self.__dict__
        made: NDArray[np.float64] | None = held.get("last")
        if made is None:
            number = held.get("number")
            if number is None:
                made = self.values[-1]
            else:
                made = np.empty(1)
                made[0] = number
            held["last"] = made
        return made

    def to_json(self, top: int = 5) -> dict[str, Any]:
        """Each target's values, step by step."""
        return {"values": dict(zip(self.names, self.values.T.tolist(), strict=True))}

    def line(self, top: int = 1) -> str:
        """Each target's last value: "temperature 21.35"."""
        shown = "  ".join(
            f"{one_line(name)} {value:.6g}"
            for name, value in zip(self.names, self.last.tolist(), strict=True)
        )
        return shown if len(self.values) == 1 else f"{shown}  (the last of {len(self.values)} steps)"

    if not TYPE_CHECKING:

        def __getattr__(self, name):
            # An answer of a stream begins with `last`, which is what a control loop reads, or with `number`, of which
            # `last` is made when somebody looks.
            if name != "values" or not ("last" in self.__dict__ or "number" in self.__dict__):
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            values = self.__dict__["values"] = self.last[np.newaxis]
            return values

    def __getstate__(self) -> dict[str, Any]:
        return {"names": self.names, "values": self.values}

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Prediction):
            return NotImplemented
        return self.names == other.names and same_numbers(self.values, other.values)


_Late = late(Prediction)

_FEW = 8
"""Targets of one step that are brought to the user's units without numpy."""


class SequenceRegression(SeriesTask):
    """The device half of sequence regression; `processor` holds `SeriesSettings` as plain values."""

    name = "sequence-regression"

    def __init__(
        self, processor: Mapping[str, Any], labels: Sequence[str], assets: Mapping[str, bytes] | None = None
    ) -> None:
        super().__init__(processor)
        if not self.settings.targets:
            raise BundleError("sequence regression needs targets, the settings have none: get a fresh bundle")
        count = len(self.settings.targets)
        self._outputs = (TensorSpec(PREDICTION, "float32", ("batch", "time", count)),)
        self._step_outputs = (TensorSpec(PREDICTION, "float32", ("batch", count)),)

    @property
    def labels(self) -> tuple[str, ...]:
        """None."""
        return ()

    def describe(self, model: ModelFacts) -> Description:
        """Its columns and targets."""
        targets = self.settings.targets
        own = {
            "architectures": ["SequenceRegression"],
            "targets": list(targets),
            "problem_type": "regression",
        }
        return self.described("tabular-regression", f"Answers every step with {shortened(targets)}.", own)

    def check(self, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> None:
        """Raise `BundleError` unless the graph takes these series and gives every target at every step."""
        check_tensors("input", inputs, self._tensors)
        check_tensors("output", outputs, self._outputs)

    def check_step(self, streaming: GraphSpec) -> None:
        """Raise `BundleError` unless the step graph takes these steps and gives every target."""
        self.check_step_inputs(streaming)
        check_tensors("output", streaming.outputs, self._step_outputs, "the step graph")

    def decode(self, outputs: Tensors, samples: Sequence[Tensors] | None = None) -> list[Prediction]:
        """Outputs [batch, time, targets] to one answer each, as long as the sample where `samples` are given.

        Raises `InputError` when an output is not finite.
        """
        names = self.settings.targets
        rows = predicted(outputs, names)
        answers = []
        for row, sample in zip(rows, samples if samples is not None else [None] * len(rows), strict=True):
            used = row if sample is None else row[: int(sample[LENGTHS])]
            answers.append(Prediction(names, to_units(used, *self.scale(sample))))
        return answers

    def decisions(self, outputs: Tensors, samples: Sequence[Tensors] | None = None) -> list[Any]:
        """An empty list for each sample: numbers alone decide nothing."""
        return no_decisions(outputs)

    def stream_front(self, series: str = "") -> SeriesEncoder:
        """The raw half of a new stream."""
        return SeriesEncoder(self.settings, series, self._answerer)

    def _answerer(self, front: SeriesEncoder) -> AnswerMaker:
        names, one = self.settings.targets, self._one
        if self.settings.per_series is None:
            mean, std = front.target_mean, front.target_std

            def every(outputs: NDArray[Any]) -> list[Prediction]:
                values = to_units(predicted({PREDICTION: outputs}, names, axes=2), mean, std)
                return [_newest(names, row) for row in values]

            # The one number of one target costs less than keeping the output for later.
            number = functools.partial(_one_number, names, float(mean[0]), float(std[0]))
            return LateAnswer(
                _Late,
                lambda outputs: one(outputs, names, mean, std),
                every,
                number if len(names) == 1 else None,
            )

        def answer(outputs: NDArray[Any], time: float | None = None) -> Prediction:
            # A stream may become one of another series: the scale of now counts, not that of the first look.
            scale = front.target_mean, front.target_std
            made: Any = object.__new__(_Late)
            made.__dict__["pending"] = (lambda output: one(output, names, *scale)), outputs
            return cast(Prediction, made)

        return answer

    @staticmethod
    def _one(
        outputs: NDArray[Any], names: tuple[str, ...], mean: NDArray[np.float64], std: NDArray[np.float64]
    ) -> Prediction:
        if len(names) > _FEW:
            values = to_units(predicted({PREDICTION: outputs}, names, axes=2), mean, std)
            return Prediction(names, values)
        # The same arithmetic on Python's numbers: three times as quick for a few.
        scales = zip(outputs.tolist()[0], std.tolist(), mean.tolist(), strict=True)
        row = [value * factor + shift for value, factor, shift in scales]
        if not all(map(isfinite, row)):
            predicted({PREDICTION: outputs}, names, axes=2)
        return Prediction(names, np.array([row]))


def _newest(names: tuple[str, ...], last: NDArray[np.float64]) -> Prediction:
    """The answer of one step, of which `last` [targets] is all there is."""
    made = object.__new__(Prediction)
    made.__dict__["names"] = names
    made.__dict__["last"] = last
    return made


def _one_number(
    names: tuple[str, ...], mean: float, std: float, output: NDArray[Any], promise: Callable[[], Any]
) -> Callable[[], Prediction]:
    """What makes the answer of one target of what is in `output` [1, 1]; see `LateAnswer`."""
    new: Any = object.__new__
    item = output.item

    def answer() -> Any:
        number = item() * std + mean
        if not isfinite(number):
            return promise()
        made = new(Prediction)
        held = made.__dict__
        held["names"] = names
        held["number"] = number
        return made

    return answer
