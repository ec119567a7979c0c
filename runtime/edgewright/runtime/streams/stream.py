"""Streams: one step in, one answer out, the state kept for the caller."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self

import numpy as np
from numpy.typing import NDArray

from edgewright.runtime.arguments import check_text
from edgewright.runtime.bundle.files import canonical_json, sha256_of_bytes
from edgewright.runtime.bundle.manifest import Variant
from edgewright.runtime.bundle.opening import Bundle
from edgewright.runtime.contracts import Steps, StreamEncoder
from edgewright.runtime.errors import BundleError, InputError
from edgewright.runtime.graphs.session import Session
from edgewright.runtime.streams.alone import Alone, refuse_copy
from edgewright.runtime.streams.runner import StepRunner, check_step_graph
from edgewright.runtime.streams.state import StreamState, check_state, load_state, save_state
from edgewright.runtime.tasks.base import Task

_FRONT = "front."


class StepModel:
    """The streaming form of one variant, ready to run: what all streams of an engine share."""

    def __init__(self, bundle: Bundle, variant: Variant, session: Session) -> None:
        streaming, graph = bundle.manifest.streaming, variant.graphs["step"]
        if streaming is None:
            raise BundleError("the bundle has no streaming form: get a fresh copy of the bundle")
        check_step_graph(graph, session, streaming)
        self.session, self.streaming = session, streaming
        manifest = bundle.manifest
        parts = {
            "graph": bundle.digest(graph),
            "task": manifest.task,
            "processor": manifest.processor,
            "labels": manifest.labels,
            "assets": {role: bundle.digest(file) for role, file in manifest.assets.items()},
        }
        self.digest = sha256_of_bytes(canonical_json(parts).encode())
        """What a saved state must have come from."""

    def runner(self, rows: int) -> StepRunner:
        """Buffers and states for `rows` streams."""
        return StepRunner(self.session, self.streaming, rows)

    def state(self, runner: StepRunner, row: int, front: StreamEncoder) -> StreamState:
        """The state of one stream."""
        arrays = runner.state(row) | {f"{_FRONT}{name}": array for name, array in front.state().items()}
        return StreamState(self.digest, front.series, arrays)

    def restore(
        self, state: StreamState | str | Path, runner: StepRunner, row: int, front: StreamEncoder
    ) -> None:
        """Set one stream to a state. Raises `InputError`, and changes nothing, for a state that is not its own."""
        whose = f"the state {state}" if isinstance(state, (str, Path)) else "the state"
        found = state if isinstance(state, StreamState) else load_state(Path(state))
        check_state(found, self.digest, self.state(runner, row, front).arrays, whose)
        arrays = found.arrays
        raw = {name.removeprefix(_FRONT): arrays[name] for name in arrays if name.startswith(_FRONT)}
        front.restore(raw, found.series)
        runner.restore(row, {name: arrays[name] for name in arrays if not name.startswith(_FRONT)})


class Stream:
    """One stream of steps. For one thread at a time: a call while another is at work is refused. Any number of streams
    may run in as many threads. A stream is neither copied nor pickled, its `state()` is.

    ```python
    with engine.stream() as stream:
        for row in sensor:
            answer = stream.push(row)
    ```

    A stream equals the model on the whole sequence so far: after t steps its answer is the one that the engine gives to
    the first t steps. (Of a forecast, whose engine looks at the last `context` steps only, that holds for the first
    `context` steps; the stream remembers those before as well.)
    """

    push: Callable[[Any], Any]
    """Take a piece of the raw input and return the newest answer, None where no step was completed.

    A piece is one step (an array [features], or columns by name), several steps ([steps, features], or a `Series`), or
    audio samples of any number. Raises `InputError` for a piece that cannot be answered: the stream then goes on as if
    it had not come. Some answers are made when they are first looked at; one that is not finite says so then.
    """

    def __init__(self, model: StepModel, task: Task[Any], series: str = "") -> None:
        self._model = model
        self._front = task.stream_front(check_text(series, "series", "its name"))
        self._runner = model.runner(1)
        self._output = self._runner.bound.output
        self._feeds = {
            spec.name: np.squeeze(self._runner.feeds[spec.name], _unit_axes(spec.shape))
            for spec in model.streaming.inputs
        }
        self._alone = Alone()
        self.push = self._alone.guard(self._front.quick(self._runner.bound, self._push))

    def _push(self, piece: Any) -> Any:
        answers = self._steps(piece, newest=True)
        return answers[-1] if answers else None

    def push_all(self, piece: Any) -> list[Any]:
        """Take a piece as `push` does and return the answer to every step it completes, in order.

        Steps that have no answer yet, because a forecast needs more of its context, are left out.
        """
        self._check_open()
        with self._alone:
            return self._steps(piece, newest=False)

    def outputs(self, piece: Any) -> list[NDArray[Any]]:
        """Take a piece as `push` does and return the step graph's output for every step, as the graph gives it."""
        self._check_open()
        with self._alone:
            steps = self._front.push(piece)
            return [self._output[0].copy() for _ in self._walk(steps)]

    def _steps(self, piece: Any, newest: bool) -> list[Any]:
        steps = self._front.push(piece)
        answers = []
        for index in self._walk(steps):
            if index >= steps.silent and (not newest or index == steps.count - 1):
                time = None if steps.times is None else float(steps.times[index])
                answers.append(self._front.answer(self._output[0].copy(), time))
        return answers

    def _walk(self, steps: Steps) -> Iterator[int]:
        """Run step after step, and yield the number of each after it."""
        for index in range(steps.count):
            for name, array in self._feeds.items():
                array[...] = steps.feeds[name][index]
            self._runner.step()
            yield index

    def reset(self) -> None:
        """Begin anew, as if nothing had been pushed."""
        self._check_open()
        with self._alone:
            self._front.reset()
            self._runner.reset()

    def state(self) -> StreamState:
        """All that the stream remembers, copied."""
        self._check_open()
        with self._alone:
            return self._model.state(self._runner, 0, self._front)

    def restore(self, state: StreamState | str | Path) -> None:
        """Go on from a state, or from the file of one.

        Raises `InputError`, and changes nothing, for a state of another model, variant or shape.
        """
        self._check_open()
        with self._alone:
            self._model.restore(state, self._runner, 0, self._front)

    def save(self, path: str | Path) -> None:
        """Write the state to `path`, atomically, as safetensors. Raises `MachineError` when the machine refuses."""
        save_state(self.state(), Path(path))

    def __reduce__(self) -> NoReturn:
        raise refuse_copy("stream.state()")

    def close(self) -> None:
        """End the stream. Using it afterwards raises `InputError`."""
        self.push = _closed

    def _check_open(self) -> None:
        if self.push is _closed:
            _closed(None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _closed(piece: Any) -> Any:
    raise InputError("this stream is closed: begin a new one with engine.stream()")


def _unit_axes(shape: Sequence[int | str]) -> tuple[int, ...]:
    """The axes that one row of a step graph's input does not have: the batch, and the leading 1 of `values`."""
    batch = shape.index("batch")
    return (0, 1) if batch == 1 and shape[0] == 1 else (batch,)
