"""Small LSTM graphs written with onnx, whole and as one step, and the same net in numpy, double precision."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgewright.runtime.contracts import GraphSpec, StateSpec, TensorSpec

FLOAT, INT32, INT64 = TensorProto.FLOAT, TensorProto.INT32, TensorProto.INT64
_TYPES = {"float32": FLOAT, "int32": INT32, "int64": INT64}


class Net:
    """An LSTM of one layer with a linear head, for one of the five tasks.

    `outputs` is the number of classes or of targets. With `horizon` the head gives `horizon` x `outputs` numbers, to
    which the anchor and the known columns (`known` of them, through weights of their own) are added. With `vocabulary`
    the inputs are tokens. `source` is what its first input is called where it is none.
    """

    def __init__(
        self,
        features: int,
        hidden: int,
        outputs: int,
        per_step: bool = False,
        horizon: int = 0,
        known: int = 0,
        vocabulary: int = 0,
        seed: int = 0,
        source: str = "values",
    ) -> None:
        random = np.random.default_rng(seed)
        self.features, self.hidden, self.outputs = features, hidden, outputs
        self.per_step, self.horizon, self.known, self.vocabulary = per_step, horizon, known, vocabulary
        width = outputs * (horizon or 1)

        def weights(*shape: int) -> NDArray[np.float32]:
            return np.asarray(random.normal(size=shape) / np.sqrt(shape[-1]), np.float32)

        self.weights = {
            "W": weights(1, 4 * hidden, features),
            "R": weights(1, 4 * hidden, hidden),
            "B": weights(1, 8 * hidden),
            "V": weights(hidden, width) * np.float32(3),
            "b": weights(width),
        }
        if known:
            self.weights["K"] = weights(known, outputs)
        if vocabulary:
            self.weights["E"] = weights(vocabulary, features) * np.float32(4)
        self.source = "input_ids" if vocabulary else source
        self.output = "prediction" if per_step or horizon else "logits"

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """The inputs of the whole graph."""
        first = (
            TensorSpec(self.source, "int64", ("batch", "time"))
            if self.vocabulary
            else TensorSpec(self.source, "float32", ("batch", "time", self.features))
        )
        return (first, TensorSpec("lengths", "int32", ("batch",)), *self._ahead)

    @property
    def _ahead(self) -> tuple[TensorSpec, ...]:
        found: list[TensorSpec] = []
        if self.horizon:
            found.append(TensorSpec("anchor", "float32", ("batch", self.horizon, self.outputs)))
        if self.known:
            found.append(TensorSpec("known", "float32", ("batch", self.horizon, self.known)))
        return tuple(found)

    @property
    def whole_outputs(self) -> tuple[TensorSpec, ...]:
        """The outputs of the whole graph."""
        shapes: Sequence[tuple[int | str, ...]] = [("batch", self.outputs)]
        if self.per_step:
            shapes = [("batch", "time", self.outputs)]
        if self.horizon:
            shapes = [("batch", self.horizon, self.outputs)]
        return (TensorSpec(self.output, "float32", shapes[0]),)

    @property
    def streaming(self) -> GraphSpec:
        """What the step graph takes and gives."""
        shape: tuple[int | str, ...] = (
            ("batch", self.horizon, self.outputs) if self.horizon else ("batch", self.outputs)
        )
        return GraphSpec(
            inputs=(TensorSpec(self.source, "float32", (1, "batch", self.features)), *self._ahead),
            outputs=(TensorSpec(self.output, "float32", shape),),
            states=tuple(
                StateSpec(f"state_{place}", f"next_state_{place}", (1, "batch", self.hidden))
                for place in range(2)
            ),
        )

    def write(self, path: Path) -> None:
        """Write the whole graph."""
        nodes = []
        source = "vectors" if self.vocabulary else self.source
        if self.vocabulary:
            nodes.append(helper.make_node("Gather", ["E", self.source], [source]))
        nodes += [
            helper.make_node("Transpose", [source], ["steps"], perm=[1, 0, 2]),
            helper.make_node(
                "LSTM", ["steps", "W", "R", "B", "lengths"], ["all", "last", "cell"], hidden_size=self.hidden
            ),
        ]
        constants: dict[str, NDArray[Any]] = {"zero": np.array([0]), "one": np.array([1])}
        if self.per_step:
            nodes += [
                helper.make_node("Squeeze", ["all", "one"], ["outs"]),
                helper.make_node("Transpose", ["outs"], ["rows"], perm=[1, 0, 2]),
                helper.make_node("MatMul", ["rows", "V"], ["product"]),
                helper.make_node("Add", ["product", "b"], ["unmasked"]),
                helper.make_node("Shape", [source], ["time"], start=1, end=2),
                helper.make_node("Squeeze", ["time", "zero"], ["count"]),
                helper.make_node("Range", ["first", "count", "next"], ["places"]),
                helper.make_node("Cast", ["lengths"], ["long"], to=INT64),
                helper.make_node("Unsqueeze", ["long", "one"], ["ends"]),
                helper.make_node("Less", ["places", "ends"], ["inside"]),
                helper.make_node("Unsqueeze", ["inside", "two"], ["mask"]),
                helper.make_node("Where", ["mask", "unmasked", "nothing"], [self.output]),
            ]
            constants |= {
                "first": np.array(0),
                "next": np.array(1),
                "two": np.array([2]),
                "nothing": np.zeros(1, np.float32),
            }
        else:
            nodes += self._head("last")
        self._save(path, nodes, constants, self.inputs, self.whole_outputs)

    def write_step(self, path: Path) -> None:
        """Write the graph of one step."""
        states = [f"state_{place}" for place in range(2)]
        nodes = [
            helper.make_node(
                "LSTM",
                [self.source, "W", "R", "B", "", *states],
                ["", "next_state_0", "next_state_1"],
                hidden_size=self.hidden,
            ),
            *self._head("next_state_0"),
        ]
        form = self.streaming
        inputs = [*form.inputs, *(TensorSpec(state.input, "float32", state.shape) for state in form.states)]
        outputs = [
            *form.outputs,
            *(TensorSpec(state.output, "float32", state.shape) for state in form.states),
        ]
        self._save(path, nodes, {"zero": np.array([0])}, inputs, outputs)

    def _head(self, state: str) -> list[Any]:
        nodes = [helper.make_node("Squeeze", [state, "zero"], ["read"])]
        if not self.horizon:
            return [*nodes, helper.make_node("Gemm", ["read", "V", "b"], [self.output])]
        total = "sum" if self.known else self.output
        nodes += [
            helper.make_node("Gemm", ["read", "V", "b"], ["flat"]),
            helper.make_node("Reshape", ["flat", "shape"], ["ahead"]),
            helper.make_node("Add", ["ahead", "anchor"], [total]),
        ]
        if self.known:
            nodes += [
                helper.make_node("MatMul", ["known", "K"], ["told"]),
                helper.make_node("Add", ["sum", "told"], [self.output]),
            ]
        return nodes

    def _save(
        self,
        path: Path,
        nodes: list[Any],
        constants: Mapping[str, NDArray[Any]],
        inputs: Sequence[TensorSpec],
        outputs: Sequence[TensorSpec],
    ) -> None:
        everything = {**self.weights, **constants}
        if self.horizon:
            everything["shape"] = np.array([0, self.horizon, self.outputs])
        used = {name for node in nodes for name in node.input}
        graph = helper.make_graph(
            nodes,
            "lstm",
            [helper.make_tensor_value_info(spec.name, _TYPES[spec.dtype], spec.shape) for spec in inputs],
            [helper.make_tensor_value_info(spec.name, _TYPES[spec.dtype], spec.shape) for spec in outputs],
            [numpy_helper.from_array(value, name) for name, value in everything.items() if name in used],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
        path.parent.mkdir(parents=True, exist_ok=True)
        onnx.save(model, path)

    def answer(self, sample: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
        """What the graph must answer to one sample without a batch axis: [steps, outputs], [horizon, outputs] or
        [outputs].
        """
        weights = {name: value.astype(np.float64) for name, value in self.weights.items()}
        given = sample[self.source]
        values = weights["E"][given] if self.vocabulary else given.astype(np.float64)
        bias = weights["B"][0, : 4 * self.hidden] + weights["B"][0, 4 * self.hidden :]
        state, cell = np.zeros(self.hidden), np.zeros(self.hidden)
        outs = []
        for row in values:
            gates = weights["W"][0] @ row + weights["R"][0] @ state + bias
            enter, leave, forget, new = np.split(gates, 4)
            cell = _sigmoid(forget) * cell + _sigmoid(enter) * np.tanh(new)
            state = _sigmoid(leave) * np.tanh(cell)
            outs.append(state @ weights["V"] + weights["b"])
        if self.per_step:
            return np.array(outs)
        if not self.horizon:
            return np.asarray(outs[-1])
        ahead = outs[-1].reshape(self.horizon, self.outputs) + sample["anchor"]
        return np.asarray(ahead + sample["known"] @ weights["K"] if self.known else ahead)


def _sigmoid(value: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(-value)))
