"""Sequence regression on the device: a series in, the targets' values at every step out."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgewright.runtime.bundle.manifest import StreamMemory
from edgewright.runtime.contracts import MODEL, STEP, AnswerMaker, GraphSpec, Tensors, TensorSpec
from edgewright.runtime.errors import BundleError
from edgewright.runtime.printable import one_line
from edgewright.runtime.series.stream import SeriesEncoder
from edgewright.runtime.tasks.answers import Answer
from edgewright.runtime.tasks.description import Description, ModelFacts, shortened
from edgewright.runtime.tasks.labels import checked
from edgewright.runtime.tasks.series import PREDICTION, SeriesTask, predicted, to_units


@dataclass(frozen=True, eq=False, repr=False)
class Prediction(Answer):
    """The answer to one series; that of a stream has one step.

    `output` is what the graph gave, float32 [steps, targets] or, of one step, [targets]; `mean` and `std` [targets]
    bring it into the user's units when somebody looks. A look at an answer of a stream that is not finite raises
    `InputError`.
    """

    names: tuple[str, ...]
    output: NDArray[Any]
    mean: NDArray[np.float64]
    std: NDArray[np.float64]

    @functools.cached_property
    def values(self) -> NDArray[np.float64]:
        """float64 [steps, targets] in the user's units, a column for each of `names`."""
        return to_units(np.atleast_2d(checked(self.output)), self.mean, self.std)

    @functools.cached_property
    def last(self) -> NDArray[np.float64]:
        """The values at the last step, float64 [targets]."""
        last: NDArray[np.float64] = self.values[-1]
        return last

    def to_json(self, top: int = 5) -> dict[str, Any]:
        """Each target's values, step by step."""
        return {"values": dict(zip(self.names, self.values.T.tolist(), strict=True))}

    def bare(self) -> str:
        """Each target's last value, with tabs between them."""
        return "\t".join(map(repr, self.last.tolist()))

    def cells(self, top: int = 1) -> dict[str, str | float | int | None]:
        """Each target's last value."""
        return dict(zip(self.names, self.last.tolist(), strict=True))

    def line(self, top: int = 1) -> str:
        """Each target's last value: "temperature 21.35"."""
        shown = "  ".join(
            f"{one_line(name)} {value:.6g}"
            for name, value in zip(self.names, self.last.tolist(), strict=True)
        )
        return shown if len(self.values) == 1 else f"{shown}  (the last of {len(self.values)} steps)"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Prediction):
            return NotImplemented
        return self.names == other.names and np.array_equal(self.values, other.values)

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.output.shape))
        return f"<Prediction of {', '.join(self.names)}: {shape}>"


class SequenceRegression(SeriesTask[Prediction]):
    """The device half of sequence regression; `processor` holds `SeriesSettings`, with targets, as plain values."""

    name = "sequence-regression"

    def __init__(
        self, processor: Mapping[str, Any], labels: Sequence[str], assets: Mapping[str, bytes] | None = None
    ) -> None:
        super().__init__(processor)
        if not self.settings.targets:
            raise BundleError("sequence regression needs targets, the settings have none: get a fresh bundle")
        count = len(self.settings.targets)
        every = TensorSpec(PREDICTION, "float32", ("batch", "time", count))
        one = TensorSpec(PREDICTION, "float32", ("batch", count))
        self.signatures = {
            MODEL: GraphSpec(self.whole_inputs(), (every,)),
            STEP: GraphSpec(self.step_inputs(), (one,)),
        }

    def describe(self, model: ModelFacts) -> Description:
        """Its columns and targets."""
        targets = self.settings.targets
        own = {
            "targets": list(targets),
            "problem_type": "regression",
        }
        said = f"Answers every step with {shortened(targets)}."
        return self.described("tabular-regression", said, "ForRegression", own)

    def decode(self, outputs: Tensors, sample: Tensors) -> Prediction:
        """An output [steps, targets] to the answer. Raises `InputError` when it is not finite."""
        names = self.settings.targets
        return Prediction(names, predicted(outputs, names), *self.scale(sample))

    def joined(self, answers: Sequence[Prediction]) -> Prediction:
        """The answers to single steps as that to all of them."""
        last = answers[-1]
        outputs = np.stack([checked(answer.output) for answer in answers])
        return Prediction(last.names, outputs, last.mean, last.std)

    def stream_front(self, series: str = "", memory: StreamMemory | None = None) -> SeriesEncoder:
        """The raw half of a new stream."""
        return SeriesEncoder(self.settings, series, self._answerer)

    def _answerer(self, front: SeriesEncoder) -> AnswerMaker:
        new: Any = object.__new__
        names = self.settings.targets

        def answer(output: NDArray[Any], time: float | None = None) -> Any:
            # Quicker than the constructor. The scale is that of now: a stream may become one of another series.
            made = new(Prediction)
            held = made.__dict__
            held["names"], held["output"] = names, output
            held["mean"], held["std"] = front.target_mean, front.target_std
            return made

        return answer
