"""Engine: raw input in, answer out."""

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self, cast, overload

import numpy as np
from numpy.typing import NDArray

from edgewright.runtime.bundle.manifest import Manifest
from edgewright.runtime.bundle.opening import Bundle, open_bundle
from edgewright.runtime.contracts import MODEL, STEP, Tensors, TensorSpec
from edgewright.runtime.errors import BundleError, InputError
from edgewright.runtime.graphs.checks import check_feeds
from edgewright.runtime.graphs.providers import PROVIDERS
from edgewright.runtime.graphs.session import Session, open_session
from edgewright.runtime.inputs import is_directory
from edgewright.runtime.options import check_options
from edgewright.runtime.running.windows import (
    as_rows_task,
    chunks,
    encode_all,
    most_tokens,
    run_fixed,
    run_parts,
    run_samples,
)
from edgewright.runtime.streams.group import StreamGroup
from edgewright.runtime.streams.stream import StepModel, Stream
from edgewright.runtime.tasks import load_task
from edgewright.runtime.tasks.base import DeviceTask, OptionsTask, StreamingTask

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
    ) -> None:
        """Open a bundle and load one of its variants.

        Args:
            bundle: The folder of a bundle, or one that is already open.
            variant: Name of a variant; "auto" is the one that the bundle's verdict chose.
            provider: "cpu", "cuda", or "auto": CUDA where it really starts, else the CPU.
            threads: How many threads one run of the graph may use; None for the cores this process may use.
            cache: Keep the optimised graph in the user's cache folder, for a faster start the next time.
            batch_size: How many inputs of a list run through the graph at once; on the CPU fewer where they are long
                texts.
            allow_fallback: Accept the CPU when "cuda" was asked for and does not start.

        Raises:
            BundleError: The bundle is not what its manifest says.
            ProviderError: The provider is unknown or does not start.
            MachineError: ONNX Runtime is not installed.
        """
        if batch_size < 1:
            raise InputError(f"batch_size is {batch_size}: give 1 or more")
        self.bundle = bundle if isinstance(bundle, Bundle) else open_bundle(bundle)
        self.batch_size = batch_size
        self._variant = self.manifest.variant(variant)
        self.task: DeviceTask = load_task(
            self.manifest.task, self.manifest.processor, self.manifest.labels, self.bundle.assets()
        )
        """The device half of the task: `encode`, `decode`."""
        self.task.check(self.manifest.inputs, self.manifest.outputs)
        graph = self._variant.graphs[MODEL]
        session = open_session(
            self.bundle.path(graph),
            provider,
            threads,
            cache,
            allow_fallback,
            digest=self.bundle.digest(graph),
        )
        _check_graph(graph, session, self.manifest)
        self._session: Session | None = session
        self._limit = most_tokens(session.provider)
        self._inputs = self.manifest.inputs
        self._ragged = any("time" in spec.shape for spec in self._inputs)
        self._threads, self._cache = threads, cache
        self._known: dict[tuple[Any, ...], _Asked] = {}
        self._step_model: StepModel | None = None
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
    def provider(self) -> str:
        """What the graph really runs on, from the session itself: "cpu" or "cuda"."""
        return self._open().provider

    @overload
    def __call__(self, raw: list[Any] | tuple[Any, ...], **options: Any) -> list[A]: ...

    @overload
    def __call__(self, raw: Any, **options: Any) -> A: ...

    def __call__(self, raw: Any, **options: Any) -> Any:
        """Answer one raw input, or each one of a list, a tuple or a directory.

        Args:
            raw: What the task reads.
            options: Those that the task declares in `engine.task.options`, such as the `labels` of
                zero-shot-classification; one that is None is not given.

        Returns:
            The task's answer; a list of answers, in order, for a list, a tuple or a directory.

        Raises:
            InputError: An input cannot be answered; the message names it. Of a list, nothing is answered
            then.
        """
        asked = self._asked(options)
        task = asked.task
        paths = (Path,) if task.reads_text else (str, Path)
        if isinstance(raw, paths) and is_directory(raw):
            raw = task.files(Path(raw))
        if not isinstance(raw, (list, tuple)):
            return self._answer(asked, [task.encode(raw)])[0]
        # What has no length is encoded when its batch is due, what has one with its neighbours, to sort them by it.
        size = self.batch_size * (_SORTED if self._ragged else 1)
        answers: list[Any] = []
        for some in chunks(task, raw, size):
            answers += self._sorted(asked, encode_all(task, some))
        return answers

    def prepare(self, **options: Any) -> None:
        """Get ready for questions with these options; a zero-shot model by embeddings reads its labels now.

        Raises `InputError` for options that cannot be used, and for those that the task does not have.
        """
        self._asked(options)

    def outputs(self, sample: Tensors, **options: Any) -> Tensors:
        """What the graph makes of one sample, as the task's `encode` gave it: by name, for the task's `decode`.

        It is `infer` of the collated sample, but where a long text is read in several windows: theirs are merged.
        """
        return self._run(self._asked(options), [sample])

    def stream(self, series: str = "") -> Stream:
        """Begin a stream: one step in, one answer out, the state kept.

        `series` says which one it is where each has its own scale. The step graph runs on one thread unless the engine
        was given a number: a small step only loses by more. Raises `InputError` for a model without a streaming form.
        """
        return Stream(self._steps(), series)

    def streams(self, count: int, series: Sequence[str] | None = None) -> StreamGroup:
        """Begin `count` independent streams that step together in one run; `series` names each where that matters."""
        return StreamGroup(self._steps(), count, series)

    def infer(self, feeds: Mapping[str, NDArray[Any]] | NDArray[Any]) -> Tensors:
        """Run the graph on ready tensors, after strict checks.

        `feeds` holds one array for each input, with the batch axis; a single array will do where there is one
        input. Returns the graph's outputs by name. Raises `InputError` for a wrong name, dtype, rank or size,
        an empty batch, and values that are not finite.
        """
        if isinstance(feeds, np.ndarray):
            if len(self._inputs) != 1:
                raise InputError(
                    f"the model has several inputs: give {{name: array}} for {_names(self._inputs)}"
                )
            feeds = {self._inputs[0].name: feeds}
        elif not isinstance(feeds, Mapping):
            raise InputError(f"cannot run {type(feeds).__name__}: give an array, or {{name: array}}")
        check_feeds(feeds, self._inputs)
        return self._open().run(dict(feeds))

    def close(self) -> None:
        """Let go of the graph. Using the engine afterwards raises `InputError`."""
        self._session = None
        self._step_model = None
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
        state = self._session.provider if self._session is not None else "closed"
        return f"<Engine {self.bundle.root}: {self.manifest.model}, {self.variant} on {state}>"

    def _open(self) -> Session:
        if self._session is None:
            raise InputError("this engine is closed: open a new one")
        return self._session

    def _asked(self, options: Mapping[str, Any]) -> "_Asked":
        """The task with these options, and what its fixed rows give; the last few are kept."""
        key = _key(options) if options else ()
        try:
            asked = self._known.get(key)
        except TypeError:  # a label that is no text and has no hash: refused below
            asked = None
        if asked is not None:
            return asked
        checked = check_options(self.manifest.task, self.task.options, options)
        task = cast(OptionsTask, self.task).with_options(**checked) if checked else self.task
        asked = _Asked(task, run_fixed(task, self._open().run, self.batch_size, self._limit))
        with self._opening:
            while len(self._known) >= _KNOWN:
                del self._known[next(iter(self._known))]
            self._known[key] = asked
        return asked

    def _sorted(self, asked: "_Asked", samples: Sequence[Tensors]) -> list[Any]:
        """Answers in the order of the samples, from batches of samples of nearly one length."""
        if asked.rows is not None:  # of one sample may be many: whoever runs them sorts them
            return self._answer(asked, samples)
        order = list(range(len(samples)))
        if self._ragged:
            order.sort(key=lambda index: int(samples[index]["lengths"]))
        answers: list[Any] = [None] * len(samples)
        for start in range(0, len(order), self.batch_size):
            chosen = order[start : start + self.batch_size]
            some = self._answer(asked, [samples[index] for index in chosen])
            for index, answer in zip(chosen, some, strict=True):
                answers[index] = answer
        return answers

    def _answer(self, asked: "_Asked", samples: Sequence[Tensors]) -> list[Any]:
        rows_task = asked.rows
        if rows_task is None or len(samples) == 1:
            return asked.task.decode(self._run(asked, samples), samples)
        parts = run_parts(rows_task, samples, self._open().run, self.batch_size, asked.fixed, self._limit)
        return [answer for some, outputs in parts for answer in rows_task.decode(outputs, some)]

    def _run(self, asked: "_Asked", samples: Sequence[Tensors]) -> Tensors:
        # What encode makes fits the graph: task.check saw to that once, so it is not checked each time.
        run = self._open().run
        if asked.rows is None:
            return run(asked.task.collate(samples))
        return run_samples(asked.task, samples, run, self.batch_size, asked.fixed, self._limit)

    def _steps(self) -> StepModel:
        """The streaming form, loaded when it is first asked for."""
        provider = self._open().provider
        if self.manifest.streaming is None:
            raise InputError(
                f"{self.manifest.model} has no streaming form, it needs the whole input (bidirectional nets and texts "
                "do): call the engine instead, or train a series or audio model with network.bidirectional: false"
            )
        graph = self._variant.graphs[STEP]
        with self._opening:
            if self._step_model is None:
                threads = self._threads if self._threads is not None else 1
                session = open_session(
                    self.bundle.path(graph),
                    provider if provider in PROVIDERS else "auto",
                    threads,
                    self._cache,
                    digest=self.bundle.digest(graph),
                    steps=True,
                )
                task = cast(StreamingTask, self.task)
                self._step_model = StepModel(self.bundle, self._variant, task, session)
            return self._step_model


class _Asked:
    """A task with the options that were asked for, and the outputs of the rows that belong to each of its samples."""

    def __init__(self, task: DeviceTask, fixed: Sequence[Tensors]) -> None:
        self.task = task
        self.rows = as_rows_task(task)
        self.fixed = fixed


def _key(options: Mapping[str, Any]) -> tuple[Any, ...]:
    """The options that are given, as a key: lists as tuples."""
    given = sorted((name, value) for name, value in options.items() if value is not None)
    return tuple((name, tuple(value) if isinstance(value, list) else value) for name, value in given)


def _check_graph(graph: str, session: Session, manifest: Manifest) -> None:
    for kind, found, promised in (
        ("inputs", session.inputs, manifest.inputs),
        ("outputs", session.outputs, manifest.outputs),
    ):
        if not _same(found, promised):
            raise BundleError(
                f"{graph} has {kind} ({_names(found)}) other than the manifest's ({_names(promised)}): "
                "get a fresh copy of the bundle"
            )


def _same(found: Sequence[TensorSpec], promised: Sequence[TensorSpec]) -> bool:
    by_name = {spec.name: spec for spec in found}
    if len(found) != len(promised):
        return False
    for spec in promised:
        other = by_name.get(spec.name)
        if other is None or other.dtype != spec.dtype or len(other.shape) != len(spec.shape):
            return False
        # A conversion may lose the size of an output's axis; two sizes that contradict each other are an
        # error.
        for left, right in zip(other.shape, spec.shape, strict=True):
            if isinstance(left, int) and isinstance(right, int) and left != right:
                return False
    return True


def _names(specs: Sequence[TensorSpec]) -> str:
    return ", ".join(f"{spec.name} {spec.dtype} {'x'.join(map(str, spec.shape))}" for spec in specs)
