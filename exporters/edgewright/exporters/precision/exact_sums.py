"""int8 weights whose products are summed rightly on every CPU, and the bound that shows it from the weights alone.

x86 without VNNI adds two products of uint8 and int8 in 16 bits (`vpmaddubsw`), and cuts off what does not fit: wrong
answers without a word. 255 x 128 fits, so that no sum is cut off where no two weights that are added so, of one sign,
come to more than 128. ONNX Runtime's kernels (MLAS) add the first to the second along the axis that is summed, the
third to the fourth and so on; of a convolution in the order of its window and, within a place of that, its channels,
which others pad there: where their number is odd it is any two neighbours here. Kernels multiply the values as they are
stored and take zero points off afterwards, so that what is stored counts.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from edgewright.exporters.precision.weight_only import int8_of
from edgewright.runtime.errors import ExportError

LARGEST_PAIR = (2**15 - 1) // 255
"""What two int8 weights of one sign may come to: 128."""

Axes = int | tuple[int, ...]
Quantiser = Callable[[NDArray[np.float32], Axes, Axes], tuple[NDArray[np.int8], NDArray[np.float32]]]
"""Makes int8 values and scales of weights, as `exact_int8` does."""

_LARGEST = 127
_UNKNOWN = 2 * 128
_WEIGHTS = {
    "MatMulInteger": (0, 1),
    "MatMulIntegerToFloat": (0, 1),
    "DynamicQuantizeMatMul": (1,),
    "DynamicQuantizeLSTM": (1, 2),
    "ConvInteger": (1,),
    "QLinearConv": (3,),
    "QLinearMatMul": (0, 3),
    "QGemm": (0, 3),
    "QAttention": (1,),
    "Conv": (1,),
    "ConvTranspose": (1,),
    "Gemm": (0, 1),
    "MatMul": (0, 1),
}
"""Operators that multiply integers, or do once ONNX Runtime has joined them with what dequantises around them, and
which of their inputs may be weights.
"""

_MOVES = ("Reshape", "Transpose", "Identity", "DequantizeLinear")
"""Operators that give the values they are given, perhaps elsewhere."""


@dataclass(frozen=True)
class Saturating:
    """A product that may be cut off: its node, and what two weights of one of its sums come to; 256 where they are not
    known before it runs.
    """

    node: str
    pair: int


def exact_int8(
    weight: NDArray[np.float32], axis: Axes, summed: Axes
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Symmetric int8 with one scale for the values along `axis`, whose sums over the axes `summed` are exact: where two
    large ones are neighbours they have 7 bits each, else 8. The scales keep the axes with size 1.
    """
    largest = np.abs(weight).max(axis=axis, keepdims=True)

    def pair(values: NDArray[Any]) -> NDArray[Any]:
        found: NDArray[Any] = np.broadcast_to(_pair(values, summed), values.shape).max(
            axis=axis, keepdims=True
        )
        return found

    reach = np.maximum(largest / _LARGEST, pair(weight) / LARGEST_PAIR)
    scale = np.where(largest > 0.0, reach, 1.0).astype(np.float32)
    while True:
        values = np.clip(np.rint(weight / scale), -_LARGEST, _LARGEST)
        over = pair(values) > LARGEST_PAIR
        if not over.any():
            return values.astype(np.int8), scale
        scale = np.where(over, np.nextafter(scale, np.float32(np.inf)), scale)  # the last bit of a division


def all_int8(
    weight: NDArray[np.float32], axis: Axes, summed: Axes
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """The same with 8 bits for all, whose sums are exact where a CPU has 32 bits for them."""
    return int8_of(weight, axis)


def _pair(values: NDArray[Any], summed: Axes) -> NDArray[Any]:
    """What two weights of one sign that are added first come to at most, along the axes `summed`: channels and, after
    them, a window. They stay with size 1.
    """
    axes = (summed,) if isinstance(summed, int) else summed
    moved = np.moveaxis(values, (*axes[1:], axes[0]), range(len(axes)))
    flat = moved.reshape(-1, *moved.shape[len(axes) :])
    if len(axes) > 1 and values.shape[axes[0]] % 2:
        pairs = [_both(flat[:-1], flat[1:])]
    else:
        pairs = [_both(flat[: len(flat) - 1 : 2], flat[1::2])]
    alone = np.abs(flat[-1:])  # the last one of an odd number
    return np.expand_dims(np.concatenate([*pairs, alone]).max(axis=0), axes)


def _both(left: NDArray[Any], right: NDArray[Any]) -> NDArray[Any]:
    """What each two come to: the sum of those of one sign, else the larger."""
    found: NDArray[Any] = np.maximum(
        np.maximum(left, 0) + np.maximum(right, 0), np.maximum(-left, 0) + np.maximum(-right, 0)
    )
    return found


def saturating(model: onnx.ModelProto) -> tuple[Saturating, ...]:
    """The products of `model`, its weights loaded, that would be cut off on some CPU for some input; none is best."""
    return tuple(_of_graph(model.graph, {}, {}))


def _of_graph(
    graph: onnx.GraphProto, weights: dict[str, onnx.TensorProto], makers: dict[str, onnx.NodeProto]
) -> Iterator[Saturating]:
    """Those of a graph that sees `weights` and the `makers` of tensors around it."""
    weights = {**weights, **{tensor.name: tensor for tensor in graph.initializer}}
    makers = {**makers, **{output: node for node in graph.node for output in node.output}}
    for node in graph.node:
        for place in _WEIGHTS.get(node.op_type, ()):
            pair = _pair_of(node, place, weights, makers) if place < len(node.input) else 0
            if pair > LARGEST_PAIR:
                yield Saturating(node.name or node.output[0], pair)
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _of_graph(attribute.g, weights, makers)


def _pair_of(
    node: onnx.NodeProto, place: int, weights: dict[str, onnx.TensorProto], makers: dict[str, onnx.NodeProto]
) -> int:
    """What two weights of a sum come to at most, among those that `node` takes at `place`; 0 where none is int8."""
    values = _stored(node.input[place], weights, makers)
    if values is None:
        right = place == _WEIGHTS[node.op_type][-1]
        return _UNKNOWN if right and _gives_int8(node.input[place], weights, makers) else 0
    if values.dtype != np.int8 or not values.size:
        return 0
    pairs = _pair(values.astype(np.int16), _summed(node, place, values.ndim))
    return int(pairs.max())


def _summed(node: onnx.NodeProto, place: int, rank: int) -> tuple[int, ...]:
    """The axes of the weights at `place` over which `node` sums."""
    if "Conv" in node.op_type:
        output = 1 if node.op_type == "ConvTranspose" else 0
        return tuple(axis for axis in range(rank) if axis != output)
    turned = {entry.name for entry in node.attribute if entry.name in ("transA", "transB") and entry.i}
    left = place == 0
    last = left != (("transA" if left else "transB") in turned)
    return (rank - 1,) if last or rank == 1 else (rank - 2,)


def _stored(
    name: str, weights: dict[str, onnx.TensorProto], makers: dict[str, onnx.NodeProto]
) -> NDArray[Any] | None:
    """The constant values, as they are stored, that `name` has; None where they are computed from an input."""
    if name in weights:
        kept: NDArray[Any] = numpy_helper.to_array(weights[name])
        return kept
    node = makers.get(name)
    if node is None or node.op_type not in _MOVES:
        return None
    values = _stored(node.input[0], weights, makers)
    if values is None:
        return None
    moved: NDArray[Any] = values
    if node.op_type == "Transpose":
        turned = (list(entry.ints) for entry in node.attribute if entry.name == "perm")
        moved = values.transpose(next(turned, None))
    if node.op_type == "Reshape":
        shape = _stored(node.input[1], weights, makers)
        if shape is None:
            return None
        sides = [values.shape[axis] if side == 0 else int(side) for axis, side in enumerate(shape)]
        moved = values.reshape(sides)
    return moved


def _gives_int8(name: str, weights: dict[str, onnx.TensorProto], makers: dict[str, onnx.NodeProto]) -> bool:
    """Whether `name`, which is computed, holds int8 values, or float values that were such."""
    node = makers.get(name)
    if node is None:
        return False
    if node.op_type in ("QuantizeLinear", "DequantizeLinear") and len(node.input) > 2:
        zero = weights.get(node.input[2])
        return zero is not None and zero.data_type == onnx.TensorProto.INT8
    return node.op_type in _MOVES and _gives_int8(node.input[0], weights, makers)


def require_exact(model: onnx.ModelProto, precision: str) -> None:
    """Raise `ExportError` for a graph with a product that may be cut off."""
    found = saturating(model)
    if found:
        raise ExportError(
            f"sums of {precision} would saturate on x86 without VNNI, first in {found[0].node} (weights come to "
            f"{found[0].pair}, {LARGEST_PAIR} fit): leave {precision} out"
        )


def tool_settings(
    model: onnx.ModelProto, per_channel: bool, known: Mapping[str, NDArray[np.float32]] | None = None
) -> dict[str, Any]:
    """What ONNX Runtime's tool is told of `model` (fp32) so that sums are exact: weights have 7 bits, and where each
    channel has a scale, the one that `exact_int8` finds. `known` has those of weights that are rounded already.
    """
    scales, axes = dict(known or {}), {}
    weights = {tensor.name: tensor for tensor in model.graph.initializer} if per_channel else {}
    for name, outputs in _output_axes(model, weights).items():
        if len(outputs) == 1:
            (axes[name],) = outputs
            if name not in scales:
                value: NDArray[np.float32] = numpy_helper.to_array(weights[name])
                others = tuple(axis for axis in range(value.ndim) if axis != axes[name])
                scales[name] = exact_int8(value, others, others)[1]
    return {"reduce_range": True, **told_scales(scales, axes)}


def told_scales(
    scales: Mapping[str, NDArray[np.float32]], axes: Mapping[str, int] | None = None
) -> dict[str, Any]:
    """How the tool is told the scales of weights, by their names; outputs lie along the axis 1, or that in `axes`."""
    zero = np.int8(0)
    told = {
        name: [
            {"axis": (axes or {}).get(name, 1), "scale": one, "zero_point": zero} for one in scale.reshape(-1)
        ]
        for name, scale in scales.items()
    }
    return {"extra_options": {"TensorQuantOverrides": told}}


def _output_axes(model: onnx.ModelProto, weights: dict[str, onnx.TensorProto]) -> dict[str, set[int]]:
    """The axes of each weight of a product along which its outputs lie; several where products use it differently."""
    axes: dict[str, set[int]] = {}
    for node in model.graph.node:
        tensor = weights.get(node.input[1]) if node.op_type in ("Conv", "MatMul", "Gemm") else None
        if tensor is None or tensor.data_type != onnx.TensorProto.FLOAT:
            continue
        rank = len(tensor.dims)
        if rank == 2 or (node.op_type == "Conv" and rank > 2):
            outputs = {*range(rank)} - {*_summed(node, 1, rank)}
            axes.setdefault(tensor.name, set()).update(outputs)
    return axes
