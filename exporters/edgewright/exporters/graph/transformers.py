"""torch -> ONNX for encoders of text, through transformers' own exporter: it knows what their code needs.

What it freezes, it freezes in silence: a batch of 1, a length of 1, a mask that hides nothing. So it is shown a batch
that has none of these, told the bounds of every axis, and what it wrote is run at other sizes and compared with torch.
"""

import contextlib
import importlib
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edgewright.exporters.graph.attention import simplify_attention
from edgewright.exporters.graph.axes import Axes, bounded_dimensions, resized
from edgewright.runtime.errors import ExportError
from edgewright.runtime.graphs.session_options import cpu_session

EXAMPLE_SIZE = (3, 17)
"""Texts and tokens of an example; a model that reads fewer tokens gets as many as it reads."""

_MASK, _IDS, _TYPES = "attention_mask", "input_ids", "token_type_ids"
_TOLERANCE = 1e-3
"""Largest error that a graph may have at another size, as a share of torch's largest output. Rounding stays far below
it, a frozen axis or mask far above; the judge measures what lies between.
"""


def example_batch(
    inputs: Sequence[str], vocabulary: int, pad_id: int = 0, max_tokens: int = 512
) -> tuple[Tensor, ...]:
    """Token ids and what belongs to them, int64 [texts, tokens] each, in the order of `inputs`: texts of different
    lengths, one of them padded, and a second part in another.
    """
    texts, time = EXAMPLE_SIZE[0], max(2, min(EXAMPLE_SIZE[1], max_tokens))
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(0, vocabulary, (texts, time), generator=generator)
    ids[ids == pad_id] = (pad_id + 1) % vocabulary
    mask = torch.ones((texts, time), dtype=torch.int64)
    mask[1, (time + 1) // 2 :] = 0
    ids[mask == 0] = pad_id
    types = torch.zeros((texts, time), dtype=torch.int64)
    types[0, time // 2 :] = 1
    made = {_IDS: ids, _MASK: mask, _TYPES: types}
    return tuple(made[name] for name in inputs)


def encoder_batch(
    example: Sequence[Tensor], names: Sequence[str], batch: int, time: int
) -> tuple[Tensor, ...]:
    """Inputs of this size, int64 [batch, time], made of those of `example`; every second text is padded.

    A text alone is not padded: nobody pads one.
    """
    axes = {name: {0: "batch", 1: "time"} for name in names}
    sizes = {"batch": batch, "time": time}
    made = [tensor.clone() for tensor in resized(example, names, axes, lambda _, label: sizes[label])]
    if _MASK not in names:
        return tuple(made)
    given = example[names.index(_MASK)]
    hidden = torch.zeros((batch, time), dtype=torch.bool)
    for text in range(1, batch, 2):
        hidden[text, time - max(1, (text * time) // (2 * batch)) :] = time > 1
    for place, name in enumerate(names):
        filler = example[place][given == 0]
        if name == _MASK:
            made[place] = (~hidden).to(given.dtype)
        elif len(filler):
            seen = example[place][given == 1]
            gone = made[place] == filler[0] if name == _IDS else torch.zeros_like(hidden)
            made[place][gone] = seen[0]
            made[place][hidden] = filler[0]
    return tuple(made)


def convert_encoder(
    module: nn.Module,
    tensors: Sequence[Tensor],
    input_names: Sequence[str],
    output_names: Sequence[str],
    axes: Axes,
    limits: Mapping[str, int],
) -> onnx.ModelProto:
    """`module`, in eval mode, as an ONNX model with these names and axes.

    Args:
        tensors: one for each input, at least 2 texts of at least 2 tokens.
        limits: largest size of an axis, by its name; what the model has no positions for must not be promised.
    """
    import onnx_ir

    exporters: Any = importlib.import_module("transformers.exporters")  # it has no types for its lazy names

    given = _with_padding(tensors, input_names)
    dimensions = bounded_dimensions(axes, limits)
    shapes = {name: dimensions[name] if name in axes else None for name in input_names}
    with _called_by_name(module, input_names):
        config = exporters.OnnxConfig(dynamic=True, dynamic_shapes=shapes)
        named = dict(zip(input_names, given, strict=True))
        program, _ = exporters.OnnxExporter().export_program(module, named, config)
    found = [value.name for value in program.graph.inputs]
    missing = [name for name in input_names if name not in found]
    if missing:
        raise ExportError(f"the graph does not read {', '.join(missing)}")
    if len(program.graph.outputs) != len(output_names):
        raise ExportError(f"the graph gives {len(program.graph.outputs)} outputs, not {len(output_names)}")
    _name_outputs(program, output_names)
    model: onnx.ModelProto = onnx_ir.to_proto(program)
    _order_inputs(model, input_names)
    _name_axes(model, axes)
    return simplify_attention(model)


def run_encoder_at_other_sizes(
    path: Path,
    module: nn.Module,
    tensors: Sequence[Tensor],
    input_names: Sequence[str],
    limits: Mapping[str, int],
) -> None:
    """Compare the graph at `path` with `module`, in eval mode, at sizes that the exporter never saw.

    Raises `ExportError` naming the size at which they differ.
    """
    longest = limits.get("time", 512)
    sizes = {(1, 1), (1, min(23, longest)), (2, min(longest, 512)), (7, min(29, longest))}
    session = cpu_session(path, optimise=False)
    specs = session.get_outputs()
    for batch, time in sorted(sizes):
        given = encoder_batch(tensors, input_names, batch, time)
        feeds = {name: tensor.numpy() for name, tensor in zip(input_names, given, strict=True)}
        found = session.run(None, feeds)
        with torch.no_grad():
            wanted = module(*given)
        wanted = (wanted,) if isinstance(wanted, Tensor) else tuple(wanted)
        for spec, ours, theirs in zip(specs, found, wanted, strict=True):
            # what stands at padding is read by nobody
            read = feeds[_MASK] == 1 if _MASK in feeds and "time" in spec.shape[1:2] else ...
            where = f"at {batch} text(s) of {time} token(s)"
            if ours.shape != tuple(theirs.shape):
                shapes = f"{ours.shape} where torch gives {tuple(theirs.shape)}"
                raise ExportError(f"output {spec.name} has shape {shapes}, {where}")
            error = _relative_error(ours[read], theirs.numpy()[read])
            if not error <= _TOLERANCE:
                raise ExportError(f"output {spec.name} is {error:.1g} of its size away from torch's {where}")


def _relative_error(ours: NDArray[Any], theirs: NDArray[Any]) -> float:
    """The largest difference, as a share of the largest of `theirs`."""
    largest = float(np.abs(theirs).max())
    return float(np.abs(ours.astype(np.float64) - theirs).max()) / max(largest, 1e-12)


def _with_padding(tensors: Sequence[Tensor], names: Sequence[str]) -> list[Tensor]:
    """Tensors of their own, for the exporter takes one object for one input, with a padded text among them."""
    made = [tensor.clone() for tensor in tensors]
    if _MASK in names:
        mask = made[names.index(_MASK)]
        if bool((mask == 1).all()):
            mask[-1, -1] = 0
    return made


@contextlib.contextmanager
def _called_by_name(module: nn.Module, names: Sequence[str]) -> Iterator[None]:
    """While open, `module` takes its inputs by name; afterwards it is as it was.

    The exporter puts a function of its own in the place of `forward` and leaves it on the module, where a copy of the
    module would still call the first one.
    """
    before = vars(module).get("forward")
    original = module.forward

    def forward(**given: Tensor) -> Any:
        return original(*(given[name] for name in names))

    try:
        module.forward = forward
        yield
    finally:
        if before is None:
            vars(module).pop("forward", None)
        else:
            module.forward = before


def _name_outputs(program: Any, names: Sequence[str]) -> None:
    """Give the outputs their names; an inner value that is called like one gets another."""
    outputs = list(program.graph.outputs)
    inner = [
        value
        for node in program.graph.all_nodes()
        for value in node.outputs
        if not any(value is output for output in outputs)
    ]
    inner += [value for value in program.graph.initializers.values() if value not in outputs]
    for value in inner:
        if value.name in names:
            value.name = f"{value.name}_inner"
    for value, name in zip(outputs, names, strict=True):
        value.name = name


def _order_inputs(model: onnx.ModelProto, names: Sequence[str]) -> None:
    by_name = {value.name: value for value in model.graph.input}
    ordered = [by_name[name] for name in names]
    copies = [onnx.ValueInfoProto.FromString(value.SerializeToString()) for value in ordered]
    del model.graph.input[:]
    model.graph.input.extend(copies)


def _name_axes(model: onnx.ModelProto, axes: Axes) -> None:
    """The axes' own names in the place of the exporter's (s18), in every shape of the graph."""
    labels: dict[str, str] = {}
    for value in model.graph.input:
        for axis, label in axes.get(value.name, {}).items():
            symbol = value.type.tensor_type.shape.dim[axis].dim_param
            if symbol:
                labels[symbol] = label
    if not labels:
        return
    pattern = re.compile(rf"\b({'|'.join(map(re.escape, labels))})\b")
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        for dimension in value.type.tensor_type.shape.dim:
            if dimension.dim_param:
                dimension.dim_param = pattern.sub(lambda match: labels[match.group()], dimension.dim_param)
