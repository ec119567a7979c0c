"""The graphs of one variant in ONNX Runtime, by role."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from edgewright.runtime.contracts import GraphSpec, Tensors, TensorSpec
from edgewright.runtime.errors import BundleError
from edgewright.runtime.graphs.checks import tensors
from edgewright.runtime.graphs.graphs import CPU_TOKENS, BatchLimits, Graphs
from edgewright.runtime.graphs.session import Session, open_session


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
        self._runs = {role: session.run for role, session in sessions.items()}

    def run(self, role: str, inputs: Tensors) -> Tensors:
        """See `Graphs`."""
        return self._runs[role](inputs)


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
    return SessionGraphs(sessions, specs, batch_size)


def _check_graph(graph: str, session: Session, spec: GraphSpec) -> None:
    states = [TensorSpec(state.input, state.dtype, state.shape) for state in spec.states]
    passed = [TensorSpec(state.output, state.dtype, state.shape) for state in spec.states]
    for kind, found, promised in (
        ("inputs", session.inputs, [*spec.inputs, *states]),
        ("outputs", session.outputs, [*spec.outputs, *passed]),
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
