"""Which range each tensor of a graph takes on real samples: what int8-static needs to know."""

import importlib
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from edgewright.exporters.graph.prepare import save_scratch
from edgewright.runtime.contracts import Tensors
from edgewright.runtime.errors import ExportError
from edgewright.runtime.graphs.session_options import cpu_session

METHODS = ("minmax", "percentile")
"""How a range is taken. ORT's entropy option is a silent no-op (bit-equal to min-max), so it is not offered.
"""

PERCENTILE = 99.99
_BINS = 4096
_SAMPLED = 1 << 17  # values of one tensor looked at per batch: enough for the tail, and 128 photos stay cheap

Ranges = Mapping[str, tuple[float, float]]
"""Tensor name to (lowest, highest) value."""


def measure_ranges(
    model_path: Path, calibration: Iterable[Tensors], operators: Sequence[str]
) -> dict[str, Ranges]:
    """Run every calibration batch through the graph; returns the ranges by method.

    Only what nodes of these `operators` read or give is looked at: a mask may well be infinite beside them.

    Two passes: the first finds minimum and maximum, the second a histogram between them, from which the
    percentile range drops half of `100 - PERCENTILE` percent of the values on either side. `calibration` is
    walked twice, so it has to be re-iterable (a list, or an object whose `__iter__` starts over).

    Raises:
        ExportError: there is no calibration sample, or a tensor is not finite on one of them.
    """
    with tempfile.TemporaryDirectory(prefix="edgewright-") as folder:
        session, names = _session_with_tensors(model_path, Path(folder), operators)
        lows: dict[str, float] = {}
        highs: dict[str, float] = {}
        for values in _batches(session, names, calibration):
            for name, value in values:
                low, high = float(value.min()), float(value.max())
                if not (np.isfinite(low) and np.isfinite(high)):
                    raise ExportError(
                        f"tensor {name} is not finite on a calibration sample: train again, the model overflows"
                    )
                lows[name] = min(low, lows.get(name, low))
                highs[name] = max(high, highs.get(name, high))
        if not lows:
            raise ExportError(
                "int8-static has no calibration sample: give the calibration split at least one"
            )
        counts = {name: np.zeros(_BINS, np.int64) for name in lows}
        for values in _batches(session, names, calibration):
            for name, value in values:
                flat = value.reshape(-1)
                flat = flat[:: max(1, flat.size // _SAMPLED)]
                counts[name] += _histogram(flat, lows[name], highs[name])
    return {
        "minmax": {name: (lows[name], highs[name]) for name in lows},
        "percentile": {name: _percentile_range(counts[name], lows[name], highs[name]) for name in lows},
    }


def static_operators(prepared: Path) -> list[str]:
    """The operators of the graph at `prepared` that int8-static quantises, in their order."""
    graph = onnx.load(prepared, load_external_data=False).graph
    weights = {tensor.name for tensor in graph.initializer}
    whole = (onnx.TensorProto.INT32, onnx.TensorProto.INT64)
    if any(v.type.tensor_type.elem_type in whole for v in graph.input if v.name not in weights):
        # A graph that reads tokens adds a mask of huge negative numbers to its scores: no 256 steps hold both.
        return ["Gemm", "MatMul"]
    # ORT's default is a list made from a set: sorted, two runs write the same file.
    registry = importlib.import_module("onnxruntime.quantization.registry")
    return sorted({*registry.QLinearOpsRegistry, *registry.QDQRegistry})


def _histogram(values: NDArray[np.float32], low: float, high: float) -> NDArray[np.int64]:
    # numpy.histogram refuses a range as narrow as a few float32 steps; a constant tensor falls into bin 0
    # here.
    width = (high - low) / _BINS
    if width <= 0.0:
        return np.zeros(_BINS, np.int64)
    bins = ((values.astype(np.float64) - low) / width).astype(np.int64)
    return np.bincount(np.clip(bins, 0, _BINS - 1), minlength=_BINS).astype(np.int64)


def _percentile_range(counts: NDArray[np.int64], low: float, high: float) -> tuple[float, float]:
    total = int(counts.sum())
    if total == 0:
        return low, high
    share = np.cumsum(counts) / total
    cut = (100.0 - PERCENTILE) / 200.0
    edges = np.linspace(low, high, len(counts) + 1)
    first = int(np.searchsorted(share, cut, side="right"))
    last = int(np.searchsorted(share, 1.0 - cut, side="left"))
    return float(edges[first]), float(edges[min(last, len(counts) - 1) + 1])


def _session_with_tensors(model_path: Path, folder: Path, operators: Sequence[str]) -> tuple[Any, list[str]]:
    """A session whose outputs are the float tensors around `operators` that depend on the input, and their names."""
    model = onnx.load(model_path)
    around = {
        name for node in model.graph.node if node.op_type in operators for name in (*node.input, *node.output)
    }
    known = {
        value.name: value for value in (*model.graph.value_info, *model.graph.output, *model.graph.input)
    }
    outputs = {value.name for value in model.graph.output}
    inputs = {value.name for value in model.graph.input}
    names = []
    for name in dict.fromkeys(output for node in model.graph.node for output in node.output):
        value = known.get(name)
        if name not in around or value is None or value.type.tensor_type.elem_type != onnx.TensorProto.FLOAT:
            continue
        names.append(name)
        if name not in outputs:
            model.graph.output.append(value)
    path = folder / "tensors.onnx"
    save_scratch(model, path)
    return cpu_session(path, optimise=False), [*sorted(inputs), *names]


def _batches(
    session: Any, names: list[str], calibration: Iterable[Tensors]
) -> Iterator[list[tuple[str, NDArray[np.float32]]]]:
    inputs = {value.name for value in session.get_inputs()}
    outputs = [name for name in names if name not in inputs]
    for feeds in calibration:
        found = dict(zip(outputs, session.run(outputs, feeds), strict=True))
        values = {**{name: feeds[name] for name in inputs}, **found}
        yield [(name, value) for name, value in values.items() if value.dtype == np.float32 and value.size]
