"""Streams: one step in, one answer out, the state kept for the caller."""

import abc
from collections.abc import Callable, Container, Iterator, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self

import numpy as np
from numpy.typing import NDArray

from edgewright.runtime.arguments import check_text
from edgewright.runtime.bundle.files import canonical_json, sha256_of_bytes
from edgewright.runtime.bundle.graph_specs import LARGEST_TENSOR
from edgewright.runtime.bundle.manifest import Manifest, StreamMemory, Variant
from edgewright.runtime.bundle.opening import Bundle
from edgewright.runtime.bundle.structure import to_plain
from edgewright.runtime.contracts import MODEL, STEP, GraphSpec, Steps, StreamEncoder
from edgewright.runtime.errors import BundleError, InputError
from edgewright.runtime.graphs.graphs import Graphs
from edgewright.runtime.graphs.session import Session
from edgewright.runtime.streams.alone import Alone, refuse_copy
from edgewright.runtime.streams.runner import StepRunner, check_step_graph
from edgewright.runtime.streams.state import StreamState, check_state, load_state, save_state
from edgewright.runtime.streams.windows import WindowRunner
from edgewright.runtime.tasks.base import Task

_FRONT = "front."


def why_no_stream(manifest: Manifest) -> str:
    """What is said to who asks for a stream of a model without a streaming form."""
    reason = manifest.verdict.get("stream_reason")
    if reason:
        return f"{manifest.model} has no streaming form, it failed its verdict: {reason}"
    return (
        f"{manifest.model} has no streaming form, it needs the whole input (bidirectional nets and texts do): call the "
        "engine instead, or train a series or audio model with network.bidirectional: false"
    )


class StreamModel(abc.ABC):
    """The streaming form of one variant, ready to run: what all streams of an engine share.

    `streaming` says what a step takes beside its state, and gives.
    """

    def __init__(self, bundle: Bundle, graph: str, streaming: GraphSpec) -> None:
        self.streaming = streaming
        manifest = bundle.manifest
        parts = {
            "graph": bundle.digest(graph),
            "task": manifest.task,
            "processor": manifest.processor,
            "labels": manifest.labels,
            "assets": {role: bundle.digest(file) for role, file in manifest.assets.items()},
        }
        self.memory = manifest.stream
        if manifest.stream is not None:
            parts["stream"] = to_plain(manifest.stream)
        self.digest = sha256_of_bytes(canonical_json(parts).encode("utf-8", "surrogatepass"))
        """What a saved state must have come from."""

    @abc.abstractmethod
    def runner(self, rows: int) -> StepRunner | WindowRunner:
        """Buffers and states for `rows` streams."""

    def state(self, runner: StepRunner | WindowRunner, row: int, front: StreamEncoder) -> StreamState:
        """The state of one stream."""
        arrays = runner.state(row) | {f"{_FRONT}{name}": array for name, array in front.state().items()}
        return StreamState(self.digest, front.series, arrays)

    def restore(
        self,
        state: StreamState | str | Path,
        runner: StepRunner | WindowRunner,
        row: int,
        front: StreamEncoder,
    ) -> None:
        """Set one stream to a state. Raises `InputError`, and changes nothing, for a state that is not its own."""
        whose = f"the state {state}" if isinstance(state, (str, Path)) else "the state"
        found = state if isinstance(state, StreamState) else load_state(Path(state))
        check_state(found, self.digest, self.state(runner, row, front).arrays, whose)
        arrays, before = found.arrays, runner.state(row)
        raw = {name.removeprefix(_FRONT): arrays[name] for name in arrays if name.startswith(_FRONT)}
        runner.restore(row, {name: arrays[name] for name in arrays if not name.startswith(_FRONT)})
        try:
            front.restore(raw, found.series)
        except InputError:
            runner.restore(row, before)
            raise


class StepModel(StreamModel):
    """Streams whose state is carried from step to step, by the graph "step"."""

    def __init__(self, bundle: Bundle, variant: Variant, session: Session) -> None:
        streaming, graph = bundle.manifest.streaming, variant.graphs[STEP]
        if streaming is None:
            raise BundleError("the bundle has no streaming form: get a fresh copy of the bundle")
        check_step_graph(graph, session, streaming)
        self.session = session
        super().__init__(bundle, graph, streaming)

    def runner(self, rows: int) -> StepRunner:
        return StepRunner(self.session, self.streaming, rows)


class WindowModel(StreamModel):
    """Streams that remember a number of steps, by the graph "model"."""

    def __init__(
        self, bundle: Bundle, variant: Variant, graphs: Graphs, task: Task[Any], memory: StreamMemory
    ) -> None:
        self._graphs, self._steps, self._timed = graphs, memory.steps, bool(task.timed_outputs)
        if STEP not in task.signatures:
            raise BundleError(f"{task.name} does not stream: get a fresh copy of the bundle")
        width = task.signatures[STEP].inputs[0].shape[-1]
        if not isinstance(width, int) or width * memory.steps > LARGEST_TENSOR:
            raise BundleError(
                f"a stream of {memory.steps} steps of {width} values is too large to remember: get a fresh bundle"
            )
        super().__init__(bundle, variant.graphs[MODEL], task.signatures[STEP])

    def runner(self, rows: int) -> WindowRunner:
        run = partial(self._graphs.run, MODEL)
        return WindowRunner(run, self.streaming, rows, self._steps, self._timed, self._graphs.limits.rows)


class Stream:
    """One stream of steps. For one thread at a time: a call while another is at work is refused. Any number of streams
    may run in as many threads. A stream is neither copied nor pickled, its `state()` is.

    ```python
    with engine.stream() as stream:
        for row in sensor:
            answer = stream.push(row)
    ```

    What an answer is made of stands in `engine.manifest.stream`, and is what was judged. With the memory "context" of n
    steps it is the one that the engine gives to the last n steps; it costs a run over these. With "carried" it is the
    one that the engine gives to all steps since the stream began or was reset; it costs one step.
    """

    push: Callable[[Any], Any]
    """Take a piece of the raw input and return the newest answer, None where no step was completed.

    A piece is one step (an array [features], or columns by name), several steps ([steps, features], or a `Series`), or
    audio samples of any number. Raises `InputError` for a piece that cannot be answered: the stream then goes on as if
    it had not come. Some answers are made when they are first looked at; one that is not finite says so then. None also
    before a forecast has seen its context, and while there is nothing to hear.
    """

    def __init__(self, model: StreamModel, task: Task[Any], series: str = "") -> None:
        self._model = model
        self._front = task.stream_front(check_text(series, "series", "its name"), model.memory)
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
            return [self._output[0].copy() for _ in self._walk(steps, range(steps.count))]

    def _steps(self, piece: Any, newest: bool) -> list[Any]:
        steps = self._front.push(piece)
        answers = []
        wanted = frozenset(steps.answered[-1:] if newest else steps.answered)
        for index in self._walk(steps, wanted):
            if index in wanted:
                time = None if steps.times is None else float(steps.times[index])
                answers.append(self._front.answer(self._output[0].copy(), time))
        return answers

    def _walk(self, steps: Steps, wanted: Container[int]) -> Iterator[int]:
        """Run step after step, and yield the number of each after it; there is an output of those that are wanted."""
        for index in range(steps.count):
            if index in steps.begins:
                self._runner.reset()
            for name, array in self._feeds.items():
                array[...] = steps.feeds[name][index]
            (self._runner.step if index in wanted else self._runner.skip)()
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
