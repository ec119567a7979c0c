"""The graphs of a model by their roles: run a batch at a time, or bound to states that go from run to run."""

import abc
import threading
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from edgewright.runtime.contracts import GraphSpec, Tensors, TensorSpec
from edgewright.runtime.errors import InputError

T = TypeVar("T")

CPU_TOKENS = 512
"""Tokens of a batch, with padding, beyond which a processor's caches no longer hold what it computes: 256 texts through
MiniLM took 1.4 (fp32) to 1.7 times (int8) as long in batches of 32 texts as in batches of 512 tokens.
"""

_KEPT = 8
"""Results of `Graphs.once` that are kept."""


@dataclass(frozen=True)
class BatchLimits:
    """What one batch may hold: `rows`, and `tokens` of several rows of text with their padding; None for any number."""

    rows: int = 32
    tokens: int | None = CPU_TOKENS


class Graphs(abc.ABC):
    """The graphs of one variant by role, or the torch modules that they came from.

    `specs` says what the graph of each role takes and gives, `limits` what a batch may hold where they run.
    """

    def __init__(self, specs: Mapping[str, GraphSpec], limits: BatchLimits) -> None:
        self.specs, self.limits = specs, limits
        self._kept: dict[Hashable, Any] = {}
        self._keeping = threading.Lock()

    @abc.abstractmethod
    def run(self, role: str, inputs: Tensors) -> Tensors:
        """One batch through the graph of `role`. Raises `InputError`, `MachineError`."""

    def bound(
        self,
        role: str,
        rows: int = 1,
        constants: Mapping[str, Tensors] | None = None,
        capacity: Mapping[str, int] | None = None,
    ) -> "Bound":
        """The graph of `role`, for `rows` rows that run again and again; see `Bound`."""
        return Bound(partial(self.run, role), self.specs[role], rows, constants or {}, capacity or {})

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """What `make` gives, kept for the next one who asks with this `key`: what other inputs do not change, such as
        the vectors of labels. Only the newest few are kept.
        """
        try:
            return self._kept[key]  # type: ignore[no-any-return]
        except KeyError:
            made = make()
        with self._keeping:
            while len(self._kept) >= _KEPT:
                del self._kept[next(iter(self._kept))]
            self._kept[key] = made
        return made


class Bound:
    """A graph whose states go from run to run, with what another graph gave once. For one thread at a time.

    Args:
        run: Runs one batch.
        spec: What the graph takes and gives.
        rows: How many rows run together.
        constants: The outputs of the other graphs, by their role.
        capacity: How long an axis that grows may become, where that is less than `spec` says.

    Raises:
        InputError: A constant is missing.
    """

    def __init__(
        self,
        run: Callable[[Tensors], Tensors],
        spec: GraphSpec,
        rows: int,
        constants: Mapping[str, Tensors],
        capacity: Mapping[str, int],
    ) -> None:
        self._run, self._spec = run, spec
        self._capacity = dict(spec.capacity)
        for axis, size in capacity.items():
            if all(state.grows != axis for state in spec.states):
                raise InputError(f"no state grows along {axis!r}: leave its capacity out")
            self._capacity[axis] = min(size, self._capacity.get(axis, size))
        self._states: Tensors = {}
        for state in spec.states:
            sizes = {"batch": rows} if state.grows is None else {"batch": rows, state.grows: 0}
            shape = [axis if isinstance(axis, int) else sizes[axis] for axis in state.shape]
            self._states[state.input] = np.full(shape, state.initial, state.dtype)
        self._constants = {name: _constant(source, constants) for name, source in spec.constants.items()}
        for given in spec.inputs:
            if given.name in self._constants and "batch" in given.shape:
                found = self._constants[given.name].shape[given.shape.index("batch")]
                if found != rows:
                    raise InputError(f"{given.name} has {found} rows: give the {rows} that run together")

    def run(self, inputs: Tensors) -> Tensors:
        """One more run: the outputs beside the states. Raises `InputError` where an axis is as long as it may be."""
        self._check_room(0)  # not even one more
        found = self._run({**inputs, **self._constants, **self._states})
        self._states = {state.input: found.pop(state.output) for state in self._spec.states}
        self._check_room(1)  # a run may add several
        return found

    def _check_room(self, more: int) -> None:
        for state in self._spec.states:
            room = self._capacity.get(state.grows or "")
            if (
                room is not None
                and self._states[state.input].shape[state.shape.index(state.grows)] >= room + more
            ):
                raise InputError(
                    f"{state.grows} is {room} long, which is all that the model holds: ask for less at a time"
                )

    def reorder(self, rows: Sequence[int] | NDArray[np.integer[Any]]) -> None:
        """Go on with these rows, in this order: one may come twice, as a beam that is followed in two ways, or not at
        all.
        """
        chosen = np.asarray(rows, np.intp)
        for state in self._spec.states:
            axis = state.shape.index("batch")
            self._states[state.input] = np.take(self._states[state.input], chosen, axis)
        for spec in self._spec.inputs:
            if spec.name in self._constants:
                self._constants[spec.name] = _rows_of(self._constants[spec.name], spec, chosen)


def _constant(source: str, constants: Mapping[str, Tensors]) -> NDArray[Any]:
    role, _, output = source.partition(".")
    try:
        return constants[role][output]
    except KeyError:
        raise InputError(f"the graph needs {source}: run {role} first, and give what it gave") from None


def _rows_of(value: NDArray[Any], spec: TensorSpec, rows: NDArray[np.intp]) -> NDArray[Any]:
    return np.take(value, rows, spec.shape.index("batch")) if "batch" in spec.shape else value
