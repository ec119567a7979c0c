"""What every room of the device half speaks: tensors by name, their specs, steps and streams."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from numpy.typing import NDArray

MODEL, STEP = "model", "step"
"""Roles of graphs: the answer to a whole sample, and that to one step of a stream."""

Tensors = dict[str, NDArray[Any]]
"""Tensors by name: what goes into a graph, or comes out of it."""


@dataclass(frozen=True)
class Steps:
    """What a piece of raw input completes: the step graph's inputs, each with a leading axis of steps [steps, ...].

    `times` is float64 [steps], the time of each step where it is known. The first `silent` steps have no answer yet,
    those of `quiet` have none. Before each step of `begins` the stream forgets what it has read.
    """

    feeds: Tensors
    count: int
    times: NDArray[Any] | None = None
    silent: int = 0
    begins: frozenset[int] = frozenset()
    quiet: frozenset[int] = frozenset()

    @property
    def answered(self) -> list[int]:
        """The steps that have an answer."""
        return [step for step in range(self.silent, self.count) if step not in self.quiet]


@dataclass(frozen=True)
class BoundStep:
    """A step graph bound to memory: `run(turn[0], options)`, then `turn.reverse()`, is a step.

    It reads `feeds` and writes `output`, the graph's only output beside the states.
    """

    run: Callable[[Any, Any], None]
    turn: list[Any]
    options: Any
    feeds: Tensors
    output: NDArray[Any]


class AnswerMaker(Protocol):
    """Makes the answer to a step, see `StreamEncoder`."""

    def __call__(self, output: NDArray[Any], time: float | None = None) -> Any:
        """The answer to the step at `time` from the graph's output, without a batch axis."""


class StreamEncoder(Protocol):
    """The raw half of one stream: pieces in, steps out, outputs to answers. It remembers what the next step needs of
    the raw input.
    """

    answer: AnswerMaker
    """Makes the answer to the newest step from the graph's only output, a copy that the answer may keep. None while
    there is none yet.
    """

    @property
    def timeless(self) -> bool:
        """Whether `answer` gives the same for an output whenever it is called, also after further steps."""

    @property
    def series(self) -> str:
        """The name of the series that the stream is of; empty where that does not matter or is not known yet."""

    def push(self, piece: Any) -> Steps:
        """The steps that `piece` completes, perhaps none. Raises `InputError`, and then remembers nothing of it."""

    def quick(self, step: BoundStep, slow: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """`Stream.push` for the commonest piece, one whole step of plain numbers: writes it, runs, answers.

        `step` is of one stream. Whatever else comes is left, with nothing changed, to `slow`; a task without a quick
        way returns `slow`.
        """

    def state(self) -> Tensors:
        """All that it remembers, as arrays by name; always the same names, shapes and dtypes."""

    def restore(self, state: Mapping[str, NDArray[Any]], series: str = "") -> None:
        """Go on from what `state` returned, as a stream of `series`.

        The caller has seen to names, shapes and dtypes. Raises `InputError` for values that no state has.
        """

    def reset(self) -> None:
        """Forget everything."""


@dataclass(frozen=True)
class TensorSpec:
    """One input or output of a graph.

    `shape` holds an int for a fixed axis and a name ("batch", "time") for a dynamic one; `dtype` is numpy's
    name.
    """

    name: str
    dtype: str
    shape: tuple[int | str, ...]


@dataclass(frozen=True)
class StateSpec:
    """What a run of a graph hands to the next one: output `output` becomes input `input`, of one `shape` and `dtype`.

    Exactly one axis of `shape` is "batch". The first run finds every element at `initial`. `grows` names an axis that
    is longer after each run, as that of a cache of keys and values; None for a state of one size.
    """

    input: str
    output: str
    shape: tuple[int | str, ...]
    initial: float = 0.0
    dtype: str = "float32"
    grows: str | None = None


@dataclass(frozen=True)
class GraphSpec:
    """What the graph of one role takes and gives beside its states.

    Roles: "model" answers a whole sample. "step" answers one step of a stream: its first input is
    [1, "batch", features], its outputs are called as those of "model". A family may have others, as "encoder" and
    "decoder".

    `constants` maps an input to the output of another graph that gave it once, as "encoder.keys". `capacity` is how
    long an axis that grows may become, by its name. `extra` are outputs that are there for other tools: nothing here
    asks for them.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    states: tuple[StateSpec, ...] = ()
    constants: Mapping[str, str] = field(default_factory=dict)
    capacity: Mapping[str, int] = field(default_factory=dict)
    extra: tuple[TensorSpec, ...] = ()
