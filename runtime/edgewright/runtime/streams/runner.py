"""One step graph with its states: buffers that ONNX Runtime reads and writes in place, so that a step costs no copies.

Nothing here knows what a step means; see `stream`.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgewright.runtime.contracts import BoundStep, GraphSpec, Tensors, TensorSpec
from edgewright.runtime.errors import BundleError
from edgewright.runtime.graphs.providers import load_onnxruntime, step_failed
from edgewright.runtime.graphs.session import Session
from edgewright.runtime.tasks.shapes import check_tensors

_LINE = 64
"""Bytes of a cache line."""


def batch_axis(shape: Sequence[int | str]) -> int:
    """Which axis of a step graph's tensor is the batch. Raises `BundleError` unless there is exactly one."""
    named = [axis for axis, size in enumerate(shape) if isinstance(size, str)]
    if len(named) != 1 or shape[named[0]] != "batch":
        raise BundleError(
            f"a tensor of the step graph is {' x '.join(map(str, shape))}, it needs one axis 'batch' and fixed sizes: "
            "get a fresh copy of the bundle"
        )
    return named[0]


def check_step_graph(graph: str, session: Session, streaming: GraphSpec) -> None:
    """Raise `BundleError` unless the graph takes and gives what the manifest promises."""
    states = [TensorSpec(state.input, "float32", state.shape) for state in streaming.states]
    passed = [TensorSpec(state.output, "float32", state.shape) for state in streaming.states]
    check_tensors("input", session.inputs, [*streaming.inputs, *states], graph)
    check_tensors("output", session.outputs, [*streaming.outputs, *passed], graph)
    for spec in (*streaming.inputs, *streaming.outputs, *states):
        batch_axis(spec.shape)


class StepRunner:
    """`rows` streams that step together. For one thread at a time.

    `feeds` and `outputs` hold the graph's inputs and outputs beside the states: write into the first, call `step`,
    read the second. They are the same arrays for good.
    """

    def __init__(self, session: Session, streaming: GraphSpec, rows: int) -> None:
        self._session = session
        self._streaming = streaming
        self.rows = rows
        self.feeds: Tensors = {spec.name: _buffer(spec.shape, rows, spec.dtype) for spec in streaming.inputs}
        self.outputs: Tensors = {
            spec.name: _buffer(spec.shape, rows, spec.dtype) for spec in streaming.outputs
        }
        self._axes = [batch_axis(state.shape) for state in streaming.states]
        # Two sets of states: a step reads one and writes the other, and then they change places.
        even = [_buffer(state.shape, rows, "float32") for state in streaming.states]
        odd = [_buffer(state.shape, rows, "float32") for state in streaming.states]
        self._bindings = self._bind(even, odd), self._bind(odd, even)
        run, first, second, options = session.bound_runner(*self._bindings)
        self._first, self._even, self._odd = first, even, odd
        self.bound = BoundStep(run, [first, second], options, self.feeds, next(iter(self.outputs.values())))
        self.reset()

    def _bind(self, read: list[NDArray[Any]], written: list[NDArray[Any]]) -> Any:
        value = load_onnxruntime().OrtValue.ortvalue_from_numpy
        binding = self._session.binding()
        for name, array in self.feeds.items():
            binding.bind_ortvalue_input(name, value(array))
        for name, array in self.outputs.items():
            binding.bind_ortvalue_output(name, value(array))
        for state, source, target in zip(self._streaming.states, read, written, strict=True):
            binding.bind_ortvalue_input(state.input, value(source))
            binding.bind_ortvalue_output(state.output, value(target))
        return binding

    def step(self) -> None:
        """Run every stream one step. Raises `MachineError` when running fails; the states are then as before."""
        bound = self.bound
        try:
            bound.run(bound.turn[0], bound.options)
        except Exception as error:
            raise step_failed(error) from None
        bound.turn.reverse()

    def skip(self) -> None:
        """Run every stream one step whose answer nobody wants."""
        self.step()

    @property
    def _states(self) -> list[NDArray[Any]]:
        """The arrays that the next step reads."""
        return self._even if self.bound.turn[0] is self._first else self._odd

    def step_rows(self, rows: NDArray[np.intp], feeds: Tensors) -> Tensors:
        """Run some of the streams one step; `feeds` holds their inputs only. Returns their outputs."""
        states = self._streaming.states
        whole = dict(feeds)
        for state, axis, array in zip(states, self._axes, self._states, strict=True):
            whole[state.input] = np.take(array, rows, axis)
        found = self._session.run(whole)
        for state, axis, array in zip(states, self._axes, self._states, strict=True):
            np.moveaxis(array, axis, 0)[rows] = np.moveaxis(found[state.output], axis, 0)
        return {spec.name: found[spec.name] for spec in self._streaming.outputs}

    def reset(self, row: int | None = None) -> None:
        """Bring the states of one stream, or of all, back to the beginning."""
        for state, axis, array in zip(self._streaming.states, self._axes, self._states, strict=True):
            if row is None:
                array[...] = state.initial
            else:
                np.moveaxis(array, axis, 0)[row] = state.initial

    def state(self, row: int) -> Tensors:
        """The states of one stream by the names of the graph's inputs, without the batch axis, copied."""
        return {
            state.input: np.take(array, row, axis)
            for state, axis, array in zip(self._streaming.states, self._axes, self._states, strict=True)
        }

    def restore(self, row: int, states: Tensors) -> None:
        """Set the states of one stream to what `state` returned."""
        for state, axis, array in zip(self._streaming.states, self._axes, self._states, strict=True):
            np.moveaxis(array, axis, 0)[row] = states[state.input]


def _buffer(shape: Sequence[int | str], rows: int, dtype: str) -> NDArray[Any]:
    return aligned_zeros([rows if isinstance(axis, str) else axis for axis in shape], dtype)


def aligned_zeros(shape: Sequence[int], dtype: str) -> NDArray[Any]:
    """Zeros that begin at a cache line, which vector instructions read faster."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    room = np.zeros(size + _LINE, np.uint8)
    start = -room.ctypes.data % _LINE
    return room[start : start + size].view(dtype).reshape(shape)
