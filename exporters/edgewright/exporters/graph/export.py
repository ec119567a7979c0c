"""torch -> ONNX: one file, a dynamic batch axis that really is one, the same bytes for the same module."""

import contextlib
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import nn

from edgewright.exporters.graph.axes import Axes, resized, torch_dimensions
from edgewright.exporters.graph.operators import only_what_is_used
from edgewright.exporters.graph.quiet import quiet
from edgewright.exporters.graph.recurrent import onnx_weights
from edgewright.exporters.graph.transformers import convert_encoder, run_encoder_at_other_sizes
from edgewright.runtime.bundle.files import explain_os_error, write_atomically
from edgewright.runtime.contracts import TensorSpec
from edgewright.runtime.errors import ExportError, MachineError
from edgewright.runtime.graphs.session_options import cpu_session
from edgewright.runtime.tasks.labels import LOGITS

ROUTES = ("torch.export", "torchscript", "transformers")
"""Ways from torch to ONNX: torch's own, and that of transformers for what it has made."""

_AUTO = ("torch.export", "torchscript")
ONE_FILE_LIMIT = 2_000_000_000
"""Bytes of weights up to which a graph is one file; protobuf itself ends at 2 GiB."""

_NAME_SCOPES = "pkg.torch.onnx.name_scopes"
_ROUTE, _NOTE = "edgewright.route", "edgewright.note"


@dataclass(frozen=True)
class Graph:
    """One ONNX graph on disk. `route` says how it came to be: one of `ROUTES`, or the precision made from it."""

    path: Path
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    route: str
    note: str = ""

    @property
    def files(self) -> tuple[Path, ...]:
        """The graph's own file, then the file of its weights when they did not fit inside."""
        sidecar = self.path.with_name(self.path.name + ".data")
        return (self.path, sidecar) if sidecar.exists() else (self.path,)

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return sum(file.stat().st_size for file in self.files)


def export_graph(
    module: nn.Module,
    example: Mapping[str, torch.Tensor] | Sequence[torch.Tensor],
    path: Path,
    input_names: Sequence[str] = ("pixel_values",),
    output_names: Sequence[str] = (LOGITS,),
    dynamic_axes: Axes | None = None,
    route: str = "auto",
    limits: Mapping[str, int] | None = None,
) -> Graph:
    """Write `module` to `path` as ONNX.

    `example` holds one tensor per input (positional, or by name as in `input_names`). `dynamic_axes` names
    the axes that may change; the default is axis 0 of every input, called "batch". Route "auto" takes
    torch.export and, where that cannot carry the module, TorchScript; `Graph.route` and `Graph.note` say
    which and why. Route "transformers" is for encoders of text: inputs int64 [batch, time]. `limits` is the largest
    size of an axis, by its name, for this route. The module's training flags are as before afterwards. Axes that may
    change are run at other sizes before the graph is accepted.

    Raises:
        ExportError: neither route gives a graph that runs and agrees with torch in its output shapes.
        MachineError: `path` cannot be written.
    """
    axes = {name: {0: "batch"} for name in input_names} if dynamic_axes is None else dynamic_axes
    # torch.export takes a size of 1 for a constant
    tensors = resized(_in_order(example, input_names), input_names, axes, lambda size, _: max(size, 2))
    routes = _AUTO if route == "auto" else (route,)
    if any(name not in ROUTES for name in routes):
        raise ExportError(f"unknown export route {route!r}: choose one of auto, {', '.join(ROUTES)}")
    reasons: list[str] = []
    for name in routes:
        try:
            model = _convert(name, module, tensors, input_names, output_names, axes, limits or {})
            graph = save_model(model, path, name, f"{reasons[0]}; took TorchScript" if reasons else "")
            _run_at_other_sizes(graph, module, tensors, axes, limits or {})
            return graph
        except MachineError:  # a full disk is not the route's fault
            raise
        except OSError as error:
            raise explain_os_error(error, path) from error
        except Exception as error:  # the exporters raise anything at all; the reason is kept and shown
            reasons.append(f"{name}: {first_line(error)}")
    for leftover in (path, path.with_name(path.name + ".data")):
        leftover.unlink(missing_ok=True)
    raise ExportError(
        f"{type(module).__name__} cannot be exported to ONNX ({'; '.join(reasons)}): "
        "try another model, or remove the operation that is named"
    )


def load_graph(path: Path) -> Graph:
    """The graph that lies at `path`, equal to what `export_graph` or `make_variant` returned when they wrote it.

    Raises `ExportError` when it is not readable as ONNX.
    """
    try:
        model = onnx.load(path, load_external_data=False)
    except FileNotFoundError:
        raise ExportError(f"{path} does not exist: export the model first") from None
    except Exception as error:  # protobuf's own error class is private
        raise ExportError(
            f"{path} is not an ONNX graph ({first_line(error)}): export the model again"
        ) from None
    kept = {entry.key: entry.value for entry in model.metadata_props}
    inputs, outputs = _specs(model.graph.input), _specs(model.graph.output)
    return Graph(path, inputs, outputs, kept.get(_ROUTE, ""), kept.get(_NOTE, ""))


def save_model(model: onnx.ModelProto, path: Path, route: str, note: str = "", data_name: str = "") -> Graph:
    """Write an ONNX model held in memory, stripped of everything that differs between two equal runs.

    Weights beyond `ONE_FILE_LIMIT` go to a file beside it, `path`'s name with ".data" added (or `data_name`).
    """
    model = only_what_is_used(model)
    _strip(model)
    model.metadata_props.add(key=_ROUTE, value=route)
    model.metadata_props.add(key=_NOTE, value=note)
    sidecar = path.with_name(data_name or path.name + ".data")
    weights = sum(_nbytes(tensor) for tensor in model.graph.initializer)
    with write_atomically(path) as temporary:
        if weights > ONE_FILE_LIMIT:
            with write_atomically(sidecar) as temporary_data:
                onnx.save_model(
                    model,
                    temporary,
                    save_as_external_data=True,
                    all_tensors_to_one_file=True,
                    location=temporary_data.name,
                    size_threshold=1024,
                )
                _point_at(temporary, sidecar.name)
        else:
            sidecar.unlink(missing_ok=True)
            temporary.write_bytes(model.SerializeToString(deterministic=True))
    return Graph(path, _specs(model.graph.input), _specs(model.graph.output), route, note)


def copy_graph(graph: Graph, path: Path) -> tuple[Path, ...]:
    """Copy a graph's files to `path` (and a sidecar beside it); returns what was written."""
    shutil.copyfile(graph.path, path)
    if len(graph.files) == 1:
        return (path,)
    sidecar = path.with_name(path.name + ".data")
    shutil.copyfile(graph.files[1], sidecar)
    _point_at(path, sidecar.name)
    return (path, sidecar)


def name_scopes(node: onnx.NodeProto) -> tuple[str, ...]:
    """The torch modules a node came from, outermost first, as dotted paths; empty where the exporter did not
    say.
    """
    for entry in node.metadata_props:
        if entry.key == _NAME_SCOPES:
            names = [part.strip().strip("'\"") for part in entry.value.strip("[]").split(",")]
            return tuple(name for name in names[:-1] if name)  # the last one is the operation itself
    return ()


def _in_order(
    example: Mapping[str, torch.Tensor] | Sequence[torch.Tensor], names: Sequence[str]
) -> tuple[torch.Tensor, ...]:
    if isinstance(example, Mapping):
        missing = [name for name in names if name not in example]
        if missing:
            raise ExportError(
                f"the example has no tensor called {missing[0]!r}: give one for each of {', '.join(names)}"
            )
        return tuple(example[name] for name in names)
    if len(example) != len(names):
        raise ExportError(
            f"the example has {len(example)} tensors for {len(names)} input names: give one for each"
        )
    return tuple(example)


class _Wrapped(nn.Module):
    """Gives every module the same call, so that `.eval()` and the names apply to the whole."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *tensors: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, ...]:
        result: torch.Tensor | tuple[torch.Tensor, ...] = self.module(*tensors)
        return result


@contextlib.contextmanager
def _in_eval_mode(module: nn.Module) -> Iterator[None]:
    flags = {part: part.training for part in module.modules()}
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for part, training in flags.items():
            part.training = training


def _convert(
    route: str,
    module: nn.Module,
    tensors: tuple[torch.Tensor, ...],
    input_names: Sequence[str],
    output_names: Sequence[str],
    axes: Axes,
    limits: Mapping[str, int],
) -> onnx.ModelProto:
    with _in_eval_mode(module), quiet(), onnx_weights(module):
        if route == "transformers":
            model = convert_encoder(module, tensors, input_names, output_names, axes, limits)
        elif route == "torch.export":
            program = torch.onnx.export(
                module,
                tensors,
                dynamo=True,
                verbose=False,
                input_names=list(input_names),
                output_names=list(output_names),
                dynamic_shapes=torch_dimensions(module, input_names, axes),
            )
            if program is None:
                raise ExportError("the exporter returned nothing")
            model = program.model_proto
        else:
            with _scratch_file() as scratch:
                wrapped = _Wrapped(module).eval()
                outputs = {
                    name: dict(axes[input_names[0]]) for name in output_names if input_names[0] in axes
                }
                torch.onnx.export(
                    wrapped,
                    tensors,
                    scratch,
                    dynamo=False,
                    opset_version=17,
                    input_names=list(input_names),
                    output_names=list(output_names),
                    dynamic_axes={**{name: dict(axes[name]) for name in axes}, **_batch_only(outputs)},
                )
                model = onnx.load(scratch)
    return model


def _batch_only(outputs: Axes) -> dict[str, dict[int, str]]:
    # TorchScript wants to be told which output axes move; only the leading one is certain.
    return {name: {0: axes[0]} for name, axes in outputs.items() if 0 in axes}


@contextlib.contextmanager
def _scratch_file() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="edgewright-") as folder:
        yield str(Path(folder) / "model.onnx")


def _strip(model: onnx.ModelProto) -> None:
    """Remove stack traces, source paths and free text: they tell of the machine, and differ between equal
    runs.
    """
    model.doc_string = ""
    model.graph.doc_string = ""
    model.producer_version = ""
    for holder in (model, model.graph, *model.graph.input, *model.graph.output, *model.graph.value_info):
        _keep(holder, ())
    # A weight needs no shape beside its own: the quantiser transposes weights and trips over the stale one.
    weights = {tensor.name for tensor in model.graph.initializer}
    shapes = [value for value in model.graph.value_info if value.name not in weights]
    del model.graph.value_info[:]
    model.graph.value_info.extend(shapes)
    for tensor in model.graph.initializer:
        tensor.doc_string = ""
        _keep(tensor, ())
    pending = list(model.graph.node) + [node for function in model.functions for node in function.node]
    while pending:
        node = pending.pop()
        node.doc_string = ""
        _keep(node, (_NAME_SCOPES,))
        for attribute in node.attribute:
            pending.extend(attribute.g.node)
            for graph in attribute.graphs:
                pending.extend(graph.node)


def _keep(holder: object, keys: tuple[str, ...]) -> None:
    properties = getattr(holder, "metadata_props", None)
    if properties is None:
        return
    kept = [(entry.key, entry.value) for entry in properties if entry.key in keys]
    del properties[:]
    for key, value in kept:
        properties.add(key=key, value=value)


def _nbytes(tensor: onnx.TensorProto) -> int:
    return len(tensor.raw_data) or int(np.prod(tensor.dims, dtype=np.int64)) * 4


def _point_at(path: Path, data_name: str) -> None:
    """Make the weights' entries of the graph at `path` name the file `data_name`."""
    model = onnx.load(path, load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = data_name
    path.write_bytes(model.SerializeToString(deterministic=True))


def _specs(values: Sequence[onnx.ValueInfoProto]) -> tuple[TensorSpec, ...]:
    specs = []
    for value in values:
        kind = value.type.tensor_type
        dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type).name
        shape: list[int | str] = []
        for axis, dimension in enumerate(kind.shape.dim):
            if dimension.HasField("dim_value"):
                shape.append(dimension.dim_value)
            else:
                shape.append(dimension.dim_param or f"axis_{axis}")
        specs.append(TensorSpec(value.name, dtype, tuple(shape)))
    return tuple(specs)


def _run_at_other_sizes(
    graph: Graph,
    module: nn.Module,
    tensors: tuple[torch.Tensor, ...],
    axes: Axes,
    limits: Mapping[str, int],
) -> None:
    """Run the graph at a size the exporter never saw: an axis it froze silently shows here, not at the
    user's.
    """
    names = [spec.name for spec in graph.inputs]
    for spec in graph.inputs:
        for axis, label in axes.get(spec.name, {}).items():
            if spec.shape[axis] != label:
                raise ExportError(
                    f"axis {axis} of {spec.name} became {spec.shape[axis]} where {label} should be dynamic"
                )
    if graph.route == "transformers":
        with _in_eval_mode(module):
            run_encoder_at_other_sizes(graph.path, module, tensors, names, limits)
        return
    labels = sorted({label for entry in axes.values() for label in entry.values()})
    other = resized(tensors, names, axes, lambda size, label: size + 1 + labels.index(label))
    session = cpu_session(graph.path, optimise=False)
    found = session.run(None, {name: tensor.cpu().numpy() for name, tensor in zip(names, other, strict=True)})
    with _in_eval_mode(module):
        wanted = module(*other)
    wanted = (wanted,) if isinstance(wanted, torch.Tensor) else tuple(wanted)
    for spec, ours, theirs in zip(graph.outputs, found, wanted, strict=True):
        if ours.shape != tuple(theirs.shape):
            raise ExportError(
                f"output {spec.name} has shape {ours.shape} where torch gives {tuple(theirs.shape)}"
            )


def first_line(error: BaseException) -> str:
    """What a library's exception says about its deepest cause, as one line without terminal colours."""
    while error.__cause__ is not None:
        error = error.__cause__
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__
