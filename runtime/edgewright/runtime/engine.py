"""Engine: raw input in, answer out."""

import itertools
import os
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self, overload

import numpy as np
from numpy.typing import NDArray

from edgewright.runtime.arguments import check_flag, check_whole
from edgewright.runtime.bundle.manifest import Manifest, Proof
from edgewright.runtime.bundle.opening import Bundle, open_bundle
from edgewright.runtime.contracts import MODEL, STEP, GraphSpec, Tensors, TensorSpec
from edgewright.runtime.errors import InputError
from edgewright.runtime.graphs.checks import check_feeds, tensors
from edgewright.runtime.graphs.proven import proof_of
from edgewright.runtime.graphs.providers import PROVIDERS
from edgewright.runtime.graphs.session import SessionGraphs, open_session
from edgewright.runtime.graphs.time_limit import check_timeout
from edgewright.runtime.graphs.variants import open_variant, whole_graphs
from edgewright.runtime.inputs import Unreadable, folder_inputs, is_directory
from edgewright.runtime.options import check_options, json_schema
from edgewright.runtime.printable import one_line, printable
from edgewright.runtime.streams.group import StreamGroup
from edgewright.runtime.streams.stream import StepModel, Stream, StreamModel, WindowModel, why_no_stream
from edgewright.runtime.tasks import load_task
from edgewright.runtime.tasks.answers import FolderAnswers
from edgewright.runtime.tasks.base import Task

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    A = TypeVar("A", default=Any)
else:
    from typing import TypeVar

    A = TypeVar("A")

_SORTED = 16
"""Batches of inputs that are sorted by length together."""

_KNOWN = 8
"""Sets of options that an engine keeps ready."""


class Engine(Generic[A]):
    """A bundle, ready to answer. One engine may be used by many threads at once.

    ```python
    engine = Engine("bundle")
    engine("photo.jpg").label
    ```

    Type checkers know what it answers with once they are told: `engine: Engine[Classification] = Engine("bundle")`.
    """

    def __init__(
        self,
        bundle: str | Path | Bundle,
        variant: str = "auto",
        provider: str = "auto",
        threads: int | None = None,
        cache: bool = True,
        batch_size: int = 32,
        allow_fallback: bool = False,
        timeout: float | None = None,
    ) -> None:
        """Open a bundle and load one of its variants.

        Args:
            bundle: The folder of a bundle, or one that is already open.
            variant: Name of a variant; "auto" is the first in the verdict's order that is proven for this class of CPU,
                or for the provider, else fp32.
            provider: "cpu", "cuda", or "auto": CUDA where it really starts, else the CPU.
            threads: How many threads one run of the graph may use, 1 to 256; None for the cores this process may use.
            cache: Keep the optimised graph in the user's cache folder, for a faster start the next time.
            batch_size: How many inputs of a list run through the graph at once; on the CPU fewer where they are long
                texts.
            allow_fallback: Accept the CPU when "cuda" was asked for and does not start.
            timeout: Seconds that one run of a graph may take before it is stopped with a `MachineError`; None for any
                number. A list is several runs, a stream's step is one.

        Raises:
            BundleError: The bundle is not what its manifest says.
            ProviderError: The provider is unknown or does not start.
            MachineError: ONNX Runtime is not installed.
        """
        batch_size = check_whole(batch_size, "batch_size")
        cache, allow_fallback = check_flag(cache, "cache"), check_flag(allow_fallback, "allow_fallback")
        self._settings: dict[str, Any] = {
            "variant": variant, "provider": provider, "threads": threads, "cache": cache, "batch_size": batch_size,
            "allow_fallback": allow_fallback, "timeout": check_timeout(timeout),
        }  # fmt: skip
        self.bundle = bundle if isinstance(bundle, Bundle) else open_bundle(bundle)
        self._root = self.bundle.root.absolute()  # the working directory may be another one when it is copied
        self.batch_size = batch_size
        manifest = self.manifest
        manifest.variant(variant)  # a name that there is none of, is told first
        self.task: Task[Any] = load_task(
            manifest.task, manifest.processor, manifest.labels, self.bundle.assets()
        )
        """The device half of the task: `encode`, `run`, `decode`."""
        self.task.check(manifest.graphs)
        names = ("provider", "threads", "cache", "allow_fallback", "timeout")
        chosen = open_variant(
            self.bundle, variant, batch_size=batch_size, **{name: self._settings[name] for name in names}
        )
        self._variant, self._place = chosen.variant, chosen.place
        self._graphs: SessionGraphs | None = chosen.graphs
        self._takes = {role: _takes(manifest.graphs[role]) for role in whole_graphs(self._variant)}
        self._known: dict[tuple[Any, ...], Task[Any]] = {(): self.task}
        self._stream_model: StreamModel | None = None
        self._opening = threading.Lock()

    @property
    def manifest(self) -> Manifest:
        """What the bundle says about itself."""
        return self.bundle.manifest

    @property
    def variant(self) -> str:
        """The name of the variant in use."""
        return self._variant.name

    @property
    def proven(self) -> Proof:
        """Where the variant in use was seen to answer as torch does; `how` is "not" where it was not seen here, nor on
        another machine of this class.
        """
        return proof_of(self.bundle, self._variant, self._place)

    @property
    def provider(self) -> str:
        """What the graph really runs on, from the session itself: "cpu" or "cuda"."""
        return self._open().provider

    @overload
    def __call__(self, raw: list[Any] | tuple[Any, ...], **options: Any) -> list[A]: ...

    @overload
    def __call__(self, raw: Any, **options: Any) -> A: ...

    def __call__(self, raw: Any, **options: Any) -> Any:
        """Answer one raw input, or each one of a list, a tuple or a folder.

        Args:
            raw: What the task reads.
            options: Those that the task declares in `engine.task.options`, such as the `labels` of
                zero-shot-classification; one that is None is not given.

        Returns:
            The task's answer; a list of answers, in order, for a list or a tuple; for a folder, the `Path` of one where
            the task reads text, `FolderAnswers`: answers by the names of the files, and what was skipped.

        Raises:
            InputError: An input cannot be answered; the message names it. Of a list, nothing is answered then; of a
            folder the others are, if there is any.
        """
        task, graphs = self._task(options), self._open()
        paths = (Path,) if task.reads_text else (str, Path)
        if isinstance(raw, paths) and is_directory(raw):
            return self._folder(Path(raw), options)
        # What encode makes fits the graphs: task.check saw to that once, so it is not checked each time.
        if not isinstance(raw, (list, tuple)) or task.is_one(raw):
            sample = task.encode(raw)
            (outputs,) = task.run((sample,), graphs)
            return task.decode(outputs, sample)
        # What has no length is encoded when its batch is due, what has one with its neighbours, to sort them by it.
        answers: list[Any] = []
        for part in task.parts(raw, self.batch_size * (_SORTED if task.ragged else 1)):
            samples = task.encode_all(part)
            answers += map(task.decode, task.run(samples, graphs), samples)
        return answers

    def each(self, named: Iterable[tuple[str, Any]], **options: Any) -> Iterator[tuple[str, A | InputError]]:
        """Answer any number of raw inputs as they come: the name of each with its answer, in order.

        One that cannot be answered takes none of the others with it: in the place of its answer is the `InputError`.
        Only what runs together is held in memory. Raises `InputError` at once for options that cannot be used.
        """
        task = self._task(options)
        return self._each(iter(named), self.batch_size * (_SORTED if task.ragged else 1), options)

    def _each(
        self, named: Iterator[tuple[str, Any]], count: int, options: Mapping[str, Any]
    ) -> Iterator[tuple[str, A | InputError]]:
        while part := list(itertools.islice(named, count)):
            answers = iter(self._good([raw for _, raw in part if not isinstance(raw, Unreadable)], options))
            for name, raw in part:
                yield name, InputError(raw.reason) if isinstance(raw, Unreadable) else next(answers)

    def _good(self, raws: Sequence[Any], options: Mapping[str, Any]) -> list[A | InputError]:
        """The answer to each, or what is wrong with it: the half with a mistake is halved until that is found."""
        if not raws:
            return []
        try:
            return list(self(list(raws), **options))
        except InputError as error:
            if len(raws) == 1:
                return [error]
            half = len(raws) // 2
            return self._good(raws[:half], options) + self._good(raws[half:], options)

    def _folder(self, folder: Path, options: Mapping[str, Any]) -> FolderAnswers[Any]:
        found: FolderAnswers[Any] = FolderAnswers()
        above = f"{folder}{os.sep}"
        for name, answer in self.each(folder_inputs(self.task, folder), **options):
            if isinstance(answer, InputError):
                found.skipped[name.removeprefix(above)] = str(answer)
            else:
                found[name.removeprefix(above)] = answer
        if found.skipped:
            first = printable(next(iter(found.skipped.values())))
            if not found:
                raise InputError(first)
            import logging  # takes longer than all else that an engine imports of Python's own

            count = len(found.skipped)
            logging.getLogger("edgewright").warning(
                "%s: %d of %d skipped, the first: %s", folder, count, count + len(found), first
            )
        return found

    def prepare(self, **options: Any) -> None:
        """Get ready for questions with these options; a zero-shot model by embeddings reads its labels now.

        Raises `InputError` for options that cannot be used, and for those that the task does not have.
        """
        self._task(options).warm_up(self._open())

    def iterate(self, raw: Any, **options: Any) -> Generator[A, None, None]:
        """Answer one raw input in parts, as they come; an answer that has none comes as a whole.

        Closing the generator, or leaving it behind, ends the work. Raises `InputError` at once for an input or options
        that cannot be used.
        """
        task, graphs = self._task(options), self._open()
        return task.iterate(task.encode(raw), graphs)

    def outputs(self, sample: Tensors, along: Tensors | None = None, **options: Any) -> Tensors:
        """What the graphs make of one sample, as the task's `encode` gave it: by name, for the task's `decode`.

        There is no batch axis, and the windows of a long text are merged. `along` are outputs of another model: where a
        loop makes choices on its way it follows theirs, so that the two can be compared.
        """
        task, graphs = self._task(options), self._open()
        if along is not None and task.loops:
            return task.replay(sample, along, graphs)
        (outputs,) = task.run((sample,), graphs)
        return outputs

    @property
    def schema(self) -> dict[str, Any]:
        """The options that may be asked of an answer, as JSON schema."""
        return json_schema(self.task.options)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        task = self.__dict__.get("task")  # not there yet while it is being made, or copied
        if task is None or name not in task.calls:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

        def call(raw: Any, **options: Any) -> Any:
            return getattr(self._task(options), name)(raw, self._open())

        return call

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self.task.calls})

    def stream(self, series: str = "", **options: Any) -> Stream:
        """Begin a stream: one step in, one answer out, the state kept.

        `series` says which one it is where each has its own scale. Of sound, the option `rate` says how many samples a
        second the pieces have. A step graph runs on one thread unless the engine was given a number: a small step only
        loses by more. Raises `InputError` for a model without a streaming form.
        """
        return Stream(self._steps(), self._task(options), series)

    def streams(self, count: int, series: Sequence[str] | None = None, **options: Any) -> StreamGroup:
        """Begin `count` independent streams that step together in one run; `series` names each where that matters."""
        return StreamGroup(self._steps(), self._task(options), count, series)

    def infer(self, feeds: Mapping[str, NDArray[Any]] | NDArray[Any], role: str = MODEL) -> Tensors:
        """Run the graph of one role on ready tensors, after strict checks.

        `feeds` holds one array for each input, with the batch axis; a single array will do where there is one
        input and state. Returns the graph's outputs by name, without the manifest's `extra`. Raises `InputError` for a
        wrong name, dtype, rank or size, an empty batch, and values that are not finite.
        """
        if not isinstance(role, str) or role not in self._takes:
            raise InputError(f"the bundle has no graph {role!r}: choose from {', '.join(self._takes)}")
        inputs, growing = self._takes[role]
        if isinstance(feeds, np.ndarray):
            if len(inputs) != 1:
                raise InputError(f"the model has several inputs: give {{name: array}} for {tensors(inputs)}")
            feeds = {inputs[0].name: feeds}
        elif not isinstance(feeds, Mapping):
            raise InputError(f"cannot run {type(feeds).__name__}: give an array, or {{name: array}}")
        check_feeds(feeds, inputs, growing)
        return self._open().run(role, dict(feeds))

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy, also one in another process, opens the bundle anew: by its path, with the same settings."""
        self._open()
        return _opened_again, (type(self), self._root, self._settings)

    def close(self) -> None:
        """Let go of the graph. Using the engine afterwards raises `InputError`."""
        self._graphs = None
        self._stream_model = None
        self._known.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = self._graphs.provider if self._graphs is not None else "closed"
        parts = (str(self.bundle.root), self.manifest.model, self.variant)
        root, model, variant = map(one_line, parts)
        return f"<Engine {root}: {model}, {variant} on {state}>"

    def _open(self) -> SessionGraphs:
        if self._graphs is None:
            raise InputError("this engine is closed: open a new one")
        return self._graphs

    def _task(self, options: Mapping[str, Any]) -> Task[Any]:
        """The task with these options; the last few are kept."""
        key: tuple[Any, ...] | None = _key(options) if options else ()
        try:
            if key in self._known:
                return self._known[key]
        except TypeError:  # a label that is no text and has no hash: refused below
            key = None
        checked = check_options(self.manifest.task, self.task.options, options)
        task = self.task.with_options(**checked) if checked else self.task
        if key is not None:
            with self._opening:
                while len(self._known) >= _KNOWN:
                    del self._known[next(iter(self._known))]
                self._known[key] = task
        return task

    def _steps(self) -> StreamModel:
        """The streaming form, loaded when it is first asked for."""
        graphs = self._open()
        if not self.manifest.streams:
            raise InputError(why_no_stream(self.manifest))
        with self._opening:
            if self._stream_model is None:
                memory = self.manifest.stream
                if memory is not None and memory.memory == "context":
                    self._stream_model = WindowModel(self.bundle, self._variant, graphs, self.task, memory)
                else:
                    self._stream_model = self._step_model(graphs.provider)
            return self._stream_model

    def _step_model(self, provider: str) -> StepModel:
        graph = self._variant.graphs[STEP]
        threads = self._settings["threads"]
        session = open_session(
            self.bundle.path(graph),
            provider if provider in PROVIDERS else "auto",
            1 if threads is None else threads,
            self._settings["cache"],
            digest=self.bundle.digest(graph),
            steps=True,
            timeout=self._settings["timeout"],
        )
        return StepModel(self.bundle, self._variant, session)


def _opened_again(kind: type[Engine[Any]], root: Path, settings: Mapping[str, Any]) -> Engine[Any]:
    return kind(root, **settings)


def _takes(graph: GraphSpec) -> tuple[tuple[TensorSpec, ...], frozenset[str]]:
    """The inputs and states that a graph is fed, and the axes that grow."""
    states = (TensorSpec(state.input, state.dtype, state.shape) for state in graph.states)
    return (*graph.inputs, *states), frozenset(state.grows for state in graph.states if state.grows)


def _key(options: Mapping[str, Any]) -> tuple[Any, ...]:
    """The options that are given, as a key: lists as tuples."""
    given = sorted((name, value) for name, value in options.items() if value is not None)
    return tuple(  # 1, 1.0 and True are one key to a dict
        (name, type(value), tuple(value) if isinstance(value, list) else value) for name, value in given
    )
