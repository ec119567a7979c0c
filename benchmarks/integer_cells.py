"""Which int8 form of a recurrent layer earns its place: one step and a hundred, fp32 against every form there is.

    python -m benchmarks.integer_cells

One thread; the fastest of many rounds in turn, for other work on the machine only adds. The rule of
exporters/recurrent_precision.py (`INTEGER_FROM`) is read off this table.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from edgewright.exporters.graph.export import load_graph, save_model
from edgewright.exporters.judge.timing import measure_latency
from edgewright.exporters.precision.recurrent import recurrent_int8
from edgewright.runtime.graphs.session_options import cpu_session

FEATURES = 64
STEPS = 100
UNITS = (64, 128, 256, 384, 512)
BATCHES = (1, 16)
_GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


def layer(kind: str, units: int, step: bool) -> onnx.ModelProto:
    """One layer with random weights: of many steps with lengths, or of one step with its states."""
    random, rows, reach = np.random.default_rng(units), _GATES[kind] * units, units**-0.5
    shapes = {"W": (1, rows, FEATURES), "R": (1, rows, units), "B": (1, 2 * rows)}
    weights = [
        numpy_helper.from_array(random.uniform(-reach, reach, shape).astype(np.float32), name)
        for name, shape in shapes.items()
    ]
    states = (["hidden", "cell"] if kind == "LSTM" else ["hidden"]) if step else []
    inputs = [_floats("values", [1 if step else "time", "batch", FEATURES])]
    inputs += [_floats(name, [1, "batch", units]) for name in states]
    if not step:
        inputs.append(helper.make_tensor_value_info("lengths", onnx.TensorProto.INT32, ["batch"]))
    after = [f"next_{name}" for name in states]
    outputs = [_floats(name, [1, "batch", units]) for name in after] or [
        _floats("steps", ["time", 1, "batch", units])
    ]
    node = helper.make_node(
        kind,
        ["values", "W", "R", "B", "" if step else "lengths", *states],
        ["", *after] if step else ["steps"],
        name="layer",
        hidden_size=units,
        **({"linear_before_reset": 1} if kind == "GRU" else {}),
    )
    graph = helper.make_graph([node], "layer", inputs, outputs, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)


def forms(kind: str, units: int, step: bool) -> dict[str, onnx.ModelProto]:
    """fp32 and every int8 form of a layer."""
    found = {"fp32": layer(kind, units, step)}
    if kind == "LSTM":
        for name, per_channel in (("per channel", True), ("per tensor", False)):
            found[name] = recurrent_int8(layer(kind, units, step), per_channel, step)[0]
        return found
    for name, least in (("weights only", 1 << 30), ("integer cell", 1)):
        found[name] = recurrent_int8(layer(kind, units, step), True, step, least)[0]
    return found


def measure(kind: str, units: int, batch: int, step: bool, seconds: float = 1.5) -> list[dict[str, Any]]:
    """Every form of one layer in turn: microseconds of its fastest run, how many times as fast and as large as fp32,
    and how far its answers lie from fp32's, relative to the largest.
    """
    made = forms(kind, units, step)
    random = np.random.default_rng(0)
    feeds: dict[str, NDArray[Any]] = {
        "values": random.standard_normal((1 if step else STEPS, batch, FEATURES)).astype(np.float32)
    }
    for value in made["fp32"].graph.input[1:]:
        shape = (1, batch, units)
        feeds[value.name] = (
            np.full(batch, STEPS, np.int32)
            if value.name == "lengths"
            else random.uniform(-1, 1, shape).astype(np.float32)
        )
    calls: dict[str, Callable[[], object]] = {}
    sizes, outputs = {}, {}
    repeats = 25 if step else 1
    with tempfile.TemporaryDirectory() as folder:
        for name, model in made.items():
            path = Path(folder) / f"{name}.onnx"
            save_model(model, path, name)
            sizes[name] = load_graph(path).size
            session = _session(path)
            outputs[name] = session.run(None, feeds)[0]
            calls[name] = _bound(session, feeds, repeats)
        found = {
            name: min(side.rounds) * 1e3 / repeats for name, side in measure_latency(calls, seconds).items()
        }
    scale = float(np.abs(outputs["fp32"]).max())
    return [
        {
            "layer": kind,
            "units": units,
            "steps": 1 if step else STEPS,
            "batch": batch,
            "form": name,
            "microseconds": round(found[name], 1),
            "times_as_fast": round(found["fp32"] / found[name], 2),
            "size": round(sizes[name] / sizes["fp32"], 2),
            "apart": float(f"{np.abs(outputs[name] - outputs['fp32']).max() / scale:.1e}"),
        }
        for name in made
    ]


def main() -> None:
    """Print the whole table."""
    columns = ("layer", "units", "steps", "batch", "form", "microseconds", "times_as_fast", "size", "apart")
    print(" ".join(f"{name:>13}" for name in columns))
    for kind in _GATES:
        for step in (True, False):
            for units in UNITS:
                for batch in BATCHES:
                    for row in measure(kind, units, batch, step):
                        print(" ".join(f"{row[name]!s:>13}" for name in columns), flush=True)


def _floats(name: str, shape: list[int | str]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)


def _session(path: Path) -> Any:
    return cpu_session(path, threads=1)


def _bound(session: Any, feeds: dict[str, NDArray[Any]], repeats: int) -> Callable[[], object]:
    """`repeats` runs on buffers that are bound once, so that the graph is timed and not the call."""
    binding, value = session.io_binding(), onnxruntime.OrtValue.ortvalue_from_numpy
    kept = [value(array) for array in feeds.values()]
    for name, array in zip(feeds, kept, strict=True):
        binding.bind_ortvalue_input(name, array)
    for output, array in zip(session.get_outputs(), session.run(None, feeds), strict=True):
        kept.append(value(array))
        binding.bind_ortvalue_output(output.name, kept[-1])

    def runs() -> None:
        for _ in range(repeats):
            session.run_with_iobinding(binding)

    runs.kept = kept  # type: ignore[attr-defined]
    return runs


if __name__ == "__main__":
    main()
