"""GRU and RNN as cells of integer matrix products, and LSTM as ONNX Runtime's own integer operator.

ONNX Runtime has no integer form of GRU and RNN. Their cell is spelled out here: both products as DynamicQuantizeMatMul
(int8 weights, activations quantised as they come), the few operations between them in fp32; over many steps inside a
Scan, for one step as it is.
"""

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from edgewright.exporters.graph.edit import MICROSOFT, GraphEdit
from edgewright.exporters.precision.exact_sums import Quantiser


def integer_product(
    edit: GraphEdit, node: onnx.NodeProto, per_channel: bool, quantise: Quantiser
) -> list[onnx.NodeProto] | None:
    """A MatMul or Gemm with a constant matrix as one integer product; None where it is not such a one."""
    settings = attributes(node)
    if node.op_type not in ("MatMul", "Gemm") or settings.get("transA") or len(node.input) < 2:
        return None
    if settings.get("alpha", 1.0) != 1.0 or settings.get("beta", 1.0) != 1.0:
        return None
    matrix = edit.weight(node.input[1])
    if matrix is None or matrix.ndim != 2:
        return None
    matrix = matrix.T if settings.get("transB") else matrix
    bias = node.input[2] if len(node.input) > 2 else ""
    given = edit.weight(bias) if bias else None
    if bias and (given is None or given.shape != (matrix.shape[1],)):
        return None
    return [_product(edit, node.input[0], matrix, bias, node.output[0], per_channel, quantise)]


def integer_lstm(
    edit: GraphEdit, node: onnx.NodeProto, per_channel: bool, quantise: Quantiser
) -> list[onnx.NodeProto]:
    """An LSTM with constant weights as DynamicQuantizeLSTM."""
    inputs = [*node.input, *[""] * (8 - len(node.input))]
    scales: list[str] = []
    for position, part in ((1, "input"), (2, "recurrent")):
        weight = edit.weight(node.input[position])
        assert weight is not None
        turned = weight.transpose(0, 2, 1)
        values, scale = quantise(turned, 1 if per_channel else (1, 2), 1)
        scale = scale[:, 0, :] if per_channel else scale[:, 0, 0]
        hint = f"{next(name for name in node.output if name)}_{part}"
        inputs[position] = edit.add_weight(f"{hint}_int8", values)
        scales += [
            edit.add_weight(f"{hint}_scale", scale),
            edit.add_weight(f"{hint}_zero", np.zeros(scale.shape, np.int8)),
        ]
    made = helper.make_node(
        "DynamicQuantizeLSTM", [*inputs, *scales], list(node.output), name=node.name, domain=MICROSOFT
    )
    made.attribute.extend(entry for entry in node.attribute if entry.name != "layout")
    return [made]


def integer_cell(
    edit: GraphEdit, node: onnx.NodeProto, per_channel: bool, step: bool, quantise: Quantiser
) -> list[onnx.NodeProto]:
    """A GRU (linear_before_reset) or RNN with constant weights as cells of integer products, one for each direction.

    `step`: the graph is given one step at a time, and no loop is needed.
    """
    return _Cells(edit, node, per_channel, quantise).nodes(step)


def attributes(node: onnx.NodeProto) -> dict[str, Any]:
    """A node's attributes as Python values; texts as str."""
    found: dict[str, Any] = {}
    for entry in node.attribute:
        value = helper.get_attribute_value(entry)
        if isinstance(value, bytes):
            value = value.decode()
        elif isinstance(value, list) and value and isinstance(value[0], bytes):
            value = [part.decode() for part in value]
        found[entry.name] = value
    return found


def _product(
    edit: GraphEdit,
    source: str,
    matrix: NDArray[np.float32],
    bias: str,
    output: str,
    per_channel: bool,
    quantise: Quantiser,
) -> onnx.NodeProto:
    """`source` times an int8 `matrix` [inputs, outputs] plus `bias`, the name of a weight or empty."""
    values, scale = quantise(matrix, 0 if per_channel else (0, 1), 0)
    return helper.make_node(
        "DynamicQuantizeMatMul",
        [
            source,
            edit.add_weight(f"{output}_int8", values),
            edit.add_weight(f"{output}_scale", scale[0] if per_channel else scale[0, 0]),
            "",
            bias,
        ],
        [output],
        name=f"{output}/DynamicQuantizeMatMul",
        domain=MICROSOFT,
    )


class _Cells:
    """One GRU or RNN node being taken apart. Names of tensors begin with the node's first output."""

    def __init__(self, edit: GraphEdit, node: onnx.NodeProto, per_channel: bool, quantise: Quantiser) -> None:
        self.edit, self.node, self.per_channel, self.quantise = edit, node, per_channel, quantise
        settings = attributes(node)
        inputs = [*node.input, *[""] * (6 - len(node.input))]
        self.source, self.lengths, self.initial = inputs[0], inputs[4], inputs[5]
        input_weights, weights = edit.weight(inputs[1]), edit.weight(inputs[2])
        assert input_weights is not None and weights is not None
        self.input_weights, self.weights = input_weights, weights
        self.size = int(weights.shape[2])
        biases = edit.weight(inputs[3]) if inputs[3] else None
        self.biases = np.zeros((len(weights), 2 * weights.shape[1]), np.float32) if biases is None else biases
        self.directions = {"forward": [False], "reverse": [True]}.get(
            settings.get("direction", "forward"), [False, True]
        )
        self.activations: list[str] = settings.get("activations", ["Tanh"] * len(self.directions))
        self.hint = next(name for name in node.output if name)

    def nodes(self, step: bool) -> list[onnx.NodeProto]:
        """What stands in the node's place, giving its outputs."""
        made: list[onnx.NodeProto] = []
        if step and self.initial and not self.lengths and self.directions == [False]:
            self._one_step(made)
            return made
        alive = self._alive(made) if self.lengths else ""
        loops = [self._loop(made, index, backwards, alive) for index, backwards in enumerate(self.directions)]
        steps, last = self._wanted
        if steps:
            self._joined(made, [found for found, _ in loops], steps, 1)
        if last:
            self._joined(made, [found for _, found in loops], last, 0)
        return made

    @property
    def _wanted(self) -> tuple[str, str]:
        """The names of all steps and of the last state; empty where nobody reads them."""
        steps, last = [*self.node.output, ""][:2]
        return steps, last

    def _name(self, part: str) -> str:
        return self.edit.name(f"{self.hint}_{part}")

    def _const(self, part: str, value: Any, dtype: Any = np.int64) -> str:
        return self.edit.add_weight(f"{self.hint}_{part}", np.array(value, dtype))

    def _add(self, made: list[onnx.NodeProto], kind: str, inputs: list[str], output: str, **more: Any) -> str:
        made.append(helper.make_node(kind, inputs, [output], name=f"{output}/{kind}", **more))
        return output

    def _joined(self, made: list[onnx.NodeProto], parts: list[str], output: str, axis: int) -> None:
        """Add the axis of directions to every part, and put them together."""
        where = self._const("direction_axis", [axis])
        names = [output] if len(parts) == 1 else [self._name("direction") for _ in parts]
        for part, name in zip(parts, names, strict=True):
            self._add(made, "Unsqueeze", [part, where], name)
        if len(parts) > 1:
            self._add(made, "Concat", names, output, axis=axis)

    def _gates(self, made: list[onnx.NodeProto], source: str, index: int) -> str:
        """The input's share of all gates, for every step at once; with the biases that need no reset gate."""
        count = self.weights.shape[1]
        bias = self.biases[index, :count].copy()
        if self.node.op_type == "RNN":
            bias += self.biases[index, count:]
        name = self.edit.add_weight(f"{self.hint}_input_bias", bias)
        output = self._name("gates")
        matrix = self.input_weights[index].T
        made.append(_product(self.edit, source, matrix, name, output, self.per_channel, self.quantise))
        return output

    def _cell(self, made: list[onnx.NodeProto], gates: str, before: str, after: str, index: int) -> None:
        """One step [batch, size] from `gates` and the state `before` it to the state `after` it."""
        count, size = self.weights.shape[1], self.size
        own, matrix = self._name("own"), self.weights[index].T
        if self.node.op_type == "RNN":
            made.append(_product(self.edit, before, matrix, "", own, self.per_channel, self.quantise))
            self._add(
                made,
                self.activations[index],
                [self._add(made, "Add", [gates, own], self._name("sum"))],
                after,
            )
            return
        bias = self.edit.add_weight(f"{self.hint}_bias", self.biases[index, count:])
        made.append(_product(self.edit, before, matrix, bias, own, self.per_channel, self.quantise))
        two, one = self._const("two_gates", [2 * size, size]), self._const("one_gate", [size, size])
        given, given_new, kept, kept_new = (
            self._name(part) for part in ("given", "given_new", "kept", "kept_new")
        )
        made += [
            helper.make_node("Split", [gates, two], [given, given_new], name=f"{given}/Split", axis=-1),
            helper.make_node("Split", [own, two], [kept, kept_new], name=f"{kept}/Split", axis=-1),
        ]
        both = self._add(made, "Add", [given, kept], self._name("both"))
        opened = self._add(made, "Sigmoid", [both], self._name("opened"))
        update, reset = self._name("update"), self._name("reset")
        made.append(
            helper.make_node("Split", [opened, one], [update, reset], name=f"{update}/Split", axis=-1)
        )
        after_reset = self._add(made, "Mul", [reset, kept_new], self._name("after_reset"))
        summed = self._add(made, "Add", [given_new, after_reset], self._name("summed"))
        new = self._add(made, "Tanh", [summed], self._name("new"))
        change = self._add(made, "Sub", [before, new], self._name("change"))
        share = self._add(made, "Mul", [update, change], self._name("share"))
        self._add(made, "Add", [new, share], after)

    def _one_step(self, made: list[onnx.NodeProto]) -> None:
        """The only step. Everything keeps its leading axis of 1: each node saved is a microsecond of ten."""
        steps, last = self._wanted
        state = last or self._name("state")
        self._cell(made, self._gates(made, self.source, 0), self.initial, state, 0)
        if steps:
            self._add(made, "Unsqueeze", [state, self._const("direction_axis", [1])], steps)

    def _loop(self, made: list[onnx.NodeProto], index: int, backwards: bool, alive: str) -> tuple[str, str]:
        """Every step in a Scan: all steps [time, batch, size] and the last state [batch, size].

        Steps beyond a row's length (where `alive` is not) leave its state alone, and give zeros.
        """
        wants_steps, wants_last = (bool(name) for name in self._wanted)
        gates = self._gates(made, self.source, index)
        body: list[onnx.NodeProto] = []
        before, now, after, given = (self._name(part) for part in ("before", "now", "after", "step_gates"))
        self._cell(body, given, before, now, index)
        inputs, sequences = [_floats(before, self.size), _floats(given, self.weights.shape[1])], [gates]
        if alive and (backwards or wants_last):
            here = self._name("alive_now")
            inputs.append(helper.make_tensor_value_info(here, onnx.TensorProto.BOOL, [None, 1]))
            sequences.append(alive)
            self._add(body, "Where", [here, now, before], after)
        else:  # forwards, what follows a row's end changes nothing that is read
            self._add(body, "Identity", [now], after)
        outputs = [_floats(after, self.size), _floats(now, self.size)][: 1 + wants_steps]
        state, steps = self._name("last"), self._name("all")
        made.append(
            helper.make_node(
                "Scan",
                [self._first_state(made, index), *sequences],
                [state, steps][: 1 + wants_steps],
                name=f"{state}/Scan",
                body=helper.make_graph(body, f"{self.hint}_cell", inputs, outputs, self._own_weights(body)),
                num_scan_inputs=len(sequences),
                scan_input_directions=[int(backwards)] * len(sequences),
                **({"scan_output_directions": [int(backwards)]} if wants_steps else {}),
            )
        )
        if alive and wants_steps:
            zero = self._const("zero", 0.0, np.float32)
            steps = self._add(made, "Where", [alive, steps, zero], self._name("masked"))
        return steps, state

    def _own_weights(self, body: list[onnx.NodeProto]) -> list[onnx.TensorProto]:
        """The int8 weights of the loop's products, for the loop to hold.

        Where sums of products would saturate ONNX Runtime rewrites weights, but in a loop only those that it holds.
        """
        products = (node for node in body if node.op_type == "DynamicQuantizeMatMul")
        return [self.edit.take_weight(node.input[1]) for node in products]

    def _first_state(self, made: list[onnx.NodeProto], index: int) -> str:
        """The state before the first step, [batch, size]."""
        if self.initial:
            which = self._const("which", index)
            return self._add(made, "Gather", [self.initial, which], self._name("first"), axis=0)
        batch = self._shape_part(made, 1)
        shape = self._add(
            made, "Concat", [batch, self._const("size", [self.size])], self._name("first_shape"), axis=0
        )
        return self._add(made, "ConstantOfShape", [shape], self._name("first"))

    def _shape_part(self, made: list[onnx.NodeProto], axis: int) -> str:
        shape = self._add(made, "Shape", [self.source], self._name("shape"))
        return self._add(made, "Gather", [shape, self._const("axis", [axis])], self._name("extent"), axis=0)

    def _alive(self, made: list[onnx.NodeProto]) -> str:
        """Which steps lie within their row's length: bool [time, batch, 1]."""
        zero, one = self._const("range_start", 0), self._const("range_step", 1)
        extent = self._shape_part(made, 0)
        limit = self._add(made, "Squeeze", [extent], self._name("limit"))
        numbers = self._add(made, "Range", [zero, limit, one], self._name("numbers"))
        column = self._add(made, "Unsqueeze", [numbers, self._const("columns", [1, 2])], self._name("column"))
        whole = self._add(made, "Cast", [self.lengths], self._name("lengths"), to=onnx.TensorProto.INT64)
        rows = self._add(made, "Unsqueeze", [whole, self._const("last_axis", [1])], self._name("rows"))
        return self._add(made, "Less", [column, rows], self._name("alive"))


def _floats(name: str, size: int) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [None, size])
