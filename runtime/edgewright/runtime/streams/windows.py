"""Streams that remember a number of steps: each answer is the model's own to the newest of them.

A recurrent state cannot forget step 1 and keep step 2. So the steps themselves are kept, and the graph of whole samples
runs over them: what it gives is to the bit what an engine gives to a sample of these steps.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgewright.runtime.contracts import BoundStep, GraphSpec, Tensors
from edgewright.runtime.errors import InputError
from edgewright.runtime.tasks.series import LENGTHS

_WINDOW, _COUNT = "window", "count"


class WindowRunner:
    """`rows` streams that step together, in the place of a `StepRunner`. For one thread at a time.

    Args:
        run: Runs one batch of the graph "model".
        spec: What a step takes beside its state, and gives: as a graph "step" would.
        rows: How many streams.
        context: How many steps each remembers.
        timed: Whether the graph answers every step of a sample; the answer to the last one counts.
        most: How many rows run at once.
    """

    def __init__(
        self,
        run: Callable[[Tensors], Tensors],
        spec: GraphSpec,
        rows: int,
        context: int,
        timed: bool,
        most: int,
    ) -> None:
        self.rows = rows
        self._run, self._context, self._timed, self._most = run, context, timed, most
        self.feeds: Tensors = {one.name: _zeros(one.shape, rows, one.dtype) for one in spec.inputs}
        self.outputs: Tensors = {one.name: _zeros(one.shape, rows, one.dtype) for one in spec.outputs}
        self._source = spec.inputs[0].name  # along which time runs
        self._window = np.zeros((rows, context, self.feeds[self._source].shape[2]), np.float32)
        self._count = np.zeros(rows, np.int64)
        self._everyone = np.arange(rows)
        output = next(iter(self.outputs.values()))
        self.bound = BoundStep(lambda turn, options: self.step(), [None, None], None, self.feeds, output)

    def step(self) -> None:
        """Take a step of every stream and answer it. Raises `MachineError`, and has then not moved."""
        for name, value in self._stepped(self._everyone, self.feeds).items():
            self.outputs[name][...] = value

    def skip(self) -> None:
        """Take a step of every stream whose answer nobody wants."""
        self._keep(self._everyone, self._newest(self._everyone, self.feeds))

    def step_rows(self, rows: NDArray[np.intp], feeds: Tensors) -> Tensors:
        """Run some of the streams one step; `feeds` holds their inputs only. Returns their outputs."""
        return self._stepped(rows, feeds)

    def _newest(self, rows: NDArray[np.intp], feeds: Tensors) -> NDArray[np.float32]:
        return np.concatenate((self._window[rows, 1:], feeds[self._source][0][:, np.newaxis]), axis=1)

    def _keep(self, rows: NDArray[np.intp], windows: NDArray[np.float32]) -> None:
        self._window[rows] = windows
        self._count[rows] = np.minimum(self._count[rows] + 1, self._context)

    def _stepped(self, rows: NDArray[np.intp], feeds: Tensors) -> Tensors:
        windows = self._newest(rows, feeds)
        lengths = np.minimum(self._count[rows] + 1, self._context)
        beside = {name: value for name, value in feeds.items() if name != self._source}
        parts = [
            self._answers(windows[part], lengths[part], {name: value[part] for name, value in beside.items()})
            for part in (slice(start, start + self._most) for start in range(0, len(rows), self._most))
        ]
        self._keep(rows, windows)
        if len(parts) == 1:
            return parts[0]
        return {name: np.concatenate([part[name] for part in parts]) for name in self.outputs}

    def _answers(self, windows: NDArray[np.float32], lengths: NDArray[np.int64], beside: Tensors) -> Tensors:
        longest = int(lengths.max())
        values = windows[:, self._context - longest :]
        if lengths.min() < longest:  # what is shorter begins at the first place too, as in any batch
            values = values.copy()
            for row, length in zip(values, lengths.tolist(), strict=True):
                row[:length] = row[longest - length :].copy()
                row[length:] = 0
        found = self._run(
            {self._source: np.ascontiguousarray(values), LENGTHS: lengths.astype(np.int32), **beside}
        )
        if not self._timed:
            return {name: found[name] for name in self.outputs}
        return {name: found[name][np.arange(len(lengths)), lengths - 1] for name in self.outputs}

    def reset(self, row: int | None = None) -> None:
        """Let one stream, or all, forget everything."""
        chosen = slice(None) if row is None else row
        self._window[chosen], self._count[chosen] = 0, 0

    def state(self, row: int) -> Tensors:
        """What one stream remembers, copied."""
        return {_WINDOW: self._window[row].copy(), _COUNT: self._count[row : row + 1].copy()}

    def restore(self, row: int, states: Tensors) -> None:
        """Set one stream to what `state` returned. Raises `InputError` for what no state has."""
        if not 0 <= int(states[_COUNT][0]) <= self._context:
            raise InputError("the state of the stream is damaged: save it again")
        self._window[row], self._count[row] = states[_WINDOW], states[_COUNT][0]


def _zeros(shape: Sequence[int | str], rows: int, dtype: str) -> NDArray[Any]:
    return np.zeros([rows if isinstance(side, str) else side for side in shape], dtype)
