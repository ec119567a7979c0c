"""What of a graph's inputs, outputs and states in a manifest cannot be."""

import math

from edgewright.runtime.contracts import STEP, GraphSpec

_STATE_DTYPES = frozenset({"float16", "float32", "float64", "int8", "uint8", "int32", "int64", "bool"})
_LARGEST_AXIS = 1 << 31
LARGEST_TENSOR = 1 << 28
"""Elements of the fixed axes of a tensor: a gigabyte in float32."""


def wrong_graph(role: str, graph: GraphSpec) -> str:
    """What is wrong with what a graph takes, gives and hands from run to run; empty where nothing is."""
    return _wrong_sizes(graph) or _wrong_states(role, graph)


def _wrong_sizes(graph: GraphSpec) -> str:
    """What is wrong with the names and axes of what a graph takes and gives; empty where nothing is."""
    for spec in (*graph.inputs, *graph.outputs):
        fixed = [axis for axis in spec.shape if isinstance(axis, int)]
        if not spec.name or "" in spec.shape:
            return "a tensor or an axis has no name"
        if min(fixed, default=1) < 1 or math.prod(fixed) > LARGEST_TENSOR:
            return f"the axes of {spec.name!r} are {spec.shape}"
    for specs in (graph.inputs, graph.outputs):
        if len({spec.name for spec in specs}) != len(specs):
            return "two tensors have the same name"
    if max(graph.capacity.values(), default=1) > _LARGEST_AXIS:
        return f"the capacity {dict(graph.capacity)} is out of bounds"
    return ""


def _wrong_states(role: str, graph: GraphSpec) -> str:
    """What is wrong with what goes from run to run of a graph; empty where nothing is."""
    for state in graph.states:
        named = sorted(axis for axis in state.shape if isinstance(axis, str))
        sizes = [axis for axis in state.shape if not isinstance(axis, str)]
        if (
            named != sorted(("batch", *([state.grows] if state.grows else [])))
            or min(sizes, default=1) < 1
            or math.prod(sizes) > LARGEST_TENSOR
        ):
            return f"the axes of the state {state.input!r} are {state.shape}"
        if not math.isfinite(state.initial):
            return f"the state {state.input!r} begins at {state.initial}"
        if state.dtype not in _STATE_DTYPES or (role == STEP and state.dtype != "float32"):
            return f"the state {state.input!r} is of the type {state.dtype!r}"
    growing = {state.grows for state in graph.states if state.grows}
    if role == STEP and (growing or graph.constants):
        return "a stream goes on from states of one size alone"
    if not growing >= graph.capacity.keys() or min(graph.capacity.values(), default=1) < 1:
        return f"no state grows to the capacity {dict(graph.capacity)}"
    if not {spec.name for spec in graph.inputs} >= graph.constants.keys():
        return f"it has no inputs {', '.join(graph.constants)}"
    return ""
