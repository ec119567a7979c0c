"""Graphs, ready to run: provider, threads, cache of the optimised graph, what they really run on."""

import functools
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from edgewright.runtime.arguments import check_whole, kind_of
from edgewright.runtime.contracts import GraphSpec, Tensors, TensorSpec
from edgewright.runtime.errors import (
    BundleError,
    InputError,
    MachineError,
    ProviderError,
    no_memory,
    out_of_memory,
)
from edgewright.runtime.graphs.cache import CacheSlot, cache_slot
from edgewright.runtime.graphs.checks import tensors
from edgewright.runtime.graphs.graphs import CPU_TOKENS, BatchLimits, Graphs
from edgewright.runtime.graphs.providers import (
    CPU,
    CUDA,
    PROVIDERS,
    load_onnxruntime,
    nvidia_driver_present,
    quiet_cuda_start,
    reason_of,
)
from edgewright.runtime.graphs.session_options import products_saturate, session_options
from edgewright.runtime.graphs.time_limit import check_timeout, run_within

_DTYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(bool)": "bool",
    "tensor(int8)": "int8",
    "tensor(uint8)": "uint8",
    "tensor(int16)": "int16",
    "tensor(uint16)": "uint16",
    "tensor(int32)": "int32",
    "tensor(uint32)": "uint32",
    "tensor(int64)": "int64",
    "tensor(uint64)": "uint64",
    "tensor(string)": "object",
}

MOST_THREADS = 256
"""Of one run: more only wait for each other, and each takes memory of its own."""

_CUDA_START = threading.Lock()

_Options = Callable[[bool], Any]
"""Makes a session's options; the argument says whether to optimise the graph."""


class Session:
    """A graph that ONNX Runtime has loaded. Many threads may call `run` at once.

    A run that takes longer than `timeout` seconds is stopped; None for no limit.
    """

    def __init__(self, session: Any, path: Path, timeout: float | None = None) -> None:
        self._session = session
        self._path = path
        self._timeout = timeout
        self.inputs = _specs(session.get_inputs())
        self.outputs = _specs(session.get_outputs())
        self._names = [spec.name for spec in self.outputs]
        # Past ONNX Runtime's Python layer, which takes a hundredth of the run of a small model.
        self._run = getattr(session, "_sess", session).run

    @property
    def provider(self) -> str:
        """What the session itself says it runs on: "cpu", "cuda", or ONNX Runtime's name of another one."""
        first = self._session.get_providers()[0]
        return next((short for short, full in PROVIDERS.items() if full == first), first)

    def binding(self) -> Any:
        """An empty binding of this graph's inputs and outputs to memory."""
        return self._session.io_binding()

    def bound_runner(self, first: Any, second: Any) -> tuple[Callable[[Any, Any], None], Any, Any, Any]:
        """What runs the graph on a binding with options, the two bindings as it wants them, and the options.

        It goes past the checks of ONNX Runtime's Python layer where that is possible: they cost half of a microsecond,
        a twentieth of a small step. Options that are not there would be made anew for every run, which takes one more.
        """
        options = load_onnxruntime().RunOptions()
        inner = getattr(self._session, "_sess", None)
        bare = getattr(first, "_iobinding", None), getattr(second, "_iobinding", None)
        if inner is None or None in bare:
            return self._limited(self._session.run_with_iobinding), first, second, options
        return self._limited(inner.run_with_iobinding), *bare, options

    def _limited(self, run: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
        seconds = self._timeout
        if seconds is None:
            return run
        return lambda binding, _: run_within(seconds, lambda options: run(binding, options), self._path.name)

    def run(self, feeds: Tensors, outputs: Sequence[str] | None = None) -> Tensors:
        """Run the graph once, for all of its outputs or those that are named. Raises `InputError` for feeds it does not
        take, `MachineError` when running fails.
        """
        names = self._names if outputs is None else outputs
        if len(feeds) < len(self.inputs):
            missing = ", ".join(spec.name for spec in self.inputs if spec.name not in feeds)
            raise InputError(f"{self._path.name} does not take this input: there is no {missing}")
        try:
            if self._timeout is None:
                values = self._run(names, feeds, None)
            else:
                values = run_within(
                    self._timeout, lambda options: self._run(names, feeds, options), self._path.name
                )
        except MachineError:  # it was stopped
            raise
        except Exception as error:
            reason = reason_of(error)
            if out_of_memory(error):
                raise no_memory(f"to run {self._path.name}") from None
            if type(error).__name__ in ("InvalidArgument", "ValueError"):
                raise InputError(f"{self._path.name} does not take this input: {reason}") from None
            raise MachineError(
                f"onnxruntime failed while running {self._path.name} ({reason}): "
                "try a smaller batch or another variant"
            ) from None
        return dict(zip(names, values, strict=True))


def check_provider(provider: str) -> None:
    """Raise `ProviderError` for what is no provider."""
    if not isinstance(provider, str) or provider not in ("auto", *PROVIDERS):
        raise ProviderError(
            f"unknown provider {kind_of(provider)}: choose one of auto, {', '.join(PROVIDERS)}"
        )


def open_session(
    model_path: str | Path,
    provider: str = "auto",
    threads: int | None = None,
    cache: bool = True,
    allow_fallback: bool = False,
    optimise: bool = True,
    digest: str | None = None,
    steps: bool = False,
    timeout: float | None = None,
) -> Session:
    """Load a graph.

    Args:
        model_path: An ONNX file.
        provider: "cpu", "cuda", or "auto": CUDA where a driver is present and it really starts, else CPU.
        threads: How many threads one `run` may use, at most `MOST_THREADS`; None for the cores this process may use.
        cache: Keep the optimised graph for the next start (CPU only, see `graph_cache`).
        allow_fallback: Accept the CPU when "cuda" does not start.
        optimise: False runs the graph as it is written.
        digest: The file's SHA-256 where it is known; saves reading the file once for the cache.
        steps: The graph is one small step that will run very often: its few bytes of scratch come from the system,
            which is quicker there than planning them and a pool.
        timeout: Seconds that one run may take; None for any number.

    Raises:
        InputError: A setting is out of its bounds.
        MachineError: ONNX Runtime is not installed.
        ProviderError: The provider is unknown, or "cuda" was asked for and something else runs.
        BundleError: The file is missing or is not a graph that ONNX Runtime can run.
    """
    path = Path(model_path)
    check_provider(provider)
    if threads is not None:
        wanted = f"give 1 to {MOST_THREADS}, or leave it out"
        threads = check_whole(threads, "threads", wanted)
        if threads > MOST_THREADS:
            raise InputError(f"threads is {threads}: {wanted}")
    if not path.is_file():
        raise BundleError(f"{path} is missing: get a fresh copy of the bundle")
    limit = check_timeout(timeout)
    onnxruntime = load_onnxruntime()
    loading = _Loading(onnxruntime, path, functools.partial(_options, threads, steps), limit)
    if provider == "cuda" or (provider == "auto" and nvidia_driver_present()):
        session, reason = _open_cuda(loading, optimise)
        if session is not None:
            return session
        if provider == "cuda" and not allow_fallback:
            raise ProviderError(
                f"CUDA was asked for but does not start ({reason}): "
                "install the driver and 'edgewright[gpu]', or choose --provider cpu"
            )
    return _open_cpu(loading, cache and optimise, optimise, digest)


@dataclass(frozen=True)
class _Loading:
    """What every way to load the graph at `path` has in common."""

    onnxruntime: ModuleType
    path: Path
    options: _Options
    timeout: float | None

    def session(self, options: Any, providers: Sequence[Any] = (CPU,), source: Path | None = None) -> Session:
        """The graph, or an optimised form of it in the file `source`. Raises what ONNX Runtime raises."""
        made = self.onnxruntime.InferenceSession(
            source or self.path, options, providers=list(providers), enable_fallback=0
        )
        return Session(made, self.path, self.timeout)


def _open_cuda(loading: _Loading, optimise: bool) -> tuple[Session | None, str]:
    if CUDA not in loading.onnxruntime.get_available_providers():
        return None, "this onnxruntime was built without CUDA"
    if not nvidia_driver_present():
        return None, "no NVIDIA driver on this machine"
    # TF32 keeps 10 bits of the mantissa: fast, but no longer the answers that the verdict was given on.
    providers = [(CUDA, {"use_tf32": "0"}), CPU]
    with _CUDA_START, quiet_cuda_start(loading.onnxruntime):
        try:
            session = loading.session(loading.options(optimise), providers)
        except Exception as error:  # the CPU says below whether it is the graph that is broken
            return None, reason_of(error)
    if session.provider != "cuda":
        return None, f"the session runs on {session.provider}"
    return session, ""


def _open_cpu(loading: _Loading, cache: bool, optimise: bool, digest: str | None) -> Session:
    version, path = loading.onnxruntime.__version__, loading.path
    slot = cache_slot(path, digest, version, CPU, products_saturate()) if cache else None
    if slot is not None:
        session = _from_cache(loading, slot)
        if session is not None:
            return session
    try:
        return loading.session(loading.options(optimise))
    except Exception as error:
        if out_of_memory(error):
            raise no_memory(f"to open {path}") from None
        raise BundleError(
            f"{path} is not a graph that onnxruntime {version} can run "
            f"({reason_of(error)}): get a fresh copy of the bundle, or update onnxruntime"
        ) from None


def _from_cache(loading: _Loading, slot: CacheSlot) -> Session | None:
    kept = slot.read()
    if kept is not None:
        try:
            return loading.session(loading.options(False), source=kept)
        except (
            Exception
        ):  # whole but of no use, for example after a change of the library under the same version
            slot.remove()
    try:
        with slot.write() as temporary:
            chosen = loading.options(True)
            chosen.optimized_model_filepath = str(temporary)
            return loading.session(chosen)
    except Exception:  # no place, no permission, or a graph that cannot be written: open it without the cache
        return None


def _options(threads: int | None, steps: bool, optimise: bool) -> Any:
    options = session_options(threads, optimise)
    if steps:
        options.enable_mem_pattern = options.enable_cpu_mem_arena = False
    return options


def _specs(arguments: Sequence[Any]) -> tuple[TensorSpec, ...]:
    return tuple(
        TensorSpec(
            argument.name,
            _DTYPES.get(argument.type, argument.type),
            tuple(axis if isinstance(axis, int) else str(axis) for axis in argument.shape),
        )
        for argument in arguments
    )


class SessionGraphs(Graphs):
    """Graphs that ONNX Runtime has loaded. Many threads may call `run` at once."""

    def __init__(
        self, sessions: Mapping[str, Session], specs: Mapping[str, GraphSpec], batch_size: int = 32
    ) -> None:
        provider = next(iter(sessions.values())).provider
        # On CUDA a large batch costs little more than a small one.
        super().__init__(specs, BatchLimits(batch_size, CPU_TOKENS if provider == "cpu" else None))
        self.provider = provider
        """What they run on: "cpu", "cuda"."""
        self._runs = {role: _reads(session, specs[role]) for role, session in sessions.items()}

    def run(self, role: str, inputs: Tensors) -> Tensors:
        """See `Graphs`."""
        return self._runs[role](inputs)


def _reads(session: Session, spec: GraphSpec) -> Callable[[Tensors], Tensors]:
    """What runs a graph for the outputs that somebody here reads."""
    if not spec.extra:
        return session.run
    extra = {one.name for one in spec.extra}
    return functools.partial(
        session.run, outputs=[one.name for one in session.outputs if one.name not in extra]
    )


def open_graphs(
    paths: Mapping[str, Path],
    specs: Mapping[str, GraphSpec],
    batch_size: int = 32,
    opener: Callable[..., Session] = open_session,
    digests: Mapping[str, str] | None = None,
    **settings: Any,
) -> SessionGraphs:
    """Load the graph of each role; `digests` and `settings` are those of `open_session`, which `opener` stands for.

    Raises `BundleError` for a graph that takes or gives something else than `specs` says, and what `open_session` does.
    """
    sessions = {}
    for role, path in paths.items():
        known = {} if digests is None else {"digest": digests[role]}
        sessions[role] = opener(path, **settings, **known)
        _check_graph(path.name, sessions[role], specs[role])
    if len({session.provider for session in sessions.values()}) > 1:
        # A model runs in one place: what its provider is called, and how large a batch may be, holds for all of it.
        return open_graphs(paths, specs, batch_size, opener, digests, **{**settings, "provider": "cpu"})
    return SessionGraphs(sessions, specs, batch_size)


def _check_graph(graph: str, session: Session, spec: GraphSpec) -> None:
    states = [TensorSpec(state.input, state.dtype, state.shape) for state in spec.states]
    passed = [TensorSpec(state.output, state.dtype, state.shape) for state in spec.states]
    for kind, found, promised in (
        ("inputs", session.inputs, [*spec.inputs, *states]),
        ("outputs", session.outputs, [*spec.outputs, *passed, *spec.extra]),
    ):
        if not _same(found, promised):
            raise BundleError(
                f"{graph} has {kind} ({tensors(found)}) other than the manifest's ({tensors(promised)}): "
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
