"""fp32 -> fp16, int8 dynamic, int8 static, int4 weight-only: always from one ONNX file to another."""

import dataclasses
import importlib
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx

from edgewright.exporters.graph.export import Graph, first_line, save_model
from edgewright.exporters.graph.prepare import is_large, preprocess, save_scratch
from edgewright.exporters.graph.quiet import quiet
from edgewright.exporters.precision.calibration import METHODS
from edgewright.exporters.precision.exact_sums import (
    Quantiser,
    all_int8,
    exact_int8,
    require_exact,
    told_scales,
    tool_settings,
)
from edgewright.exporters.precision.half import to_fp16
from edgewright.exporters.precision.noise import decibels, outputs_of
from edgewright.exporters.precision.outliers import can_divide, divide_outliers
from edgewright.exporters.precision.recurrent import (
    has_recurrent,
    recurrent_int4,
    recurrent_int8,
    refuse_static,
)
from edgewright.exporters.precision.rounding import Scales, round_weights
from edgewright.exporters.precision.shared_weights import separate_weights
from edgewright.exporters.precision.static import to_int8_static
from edgewright.exporters.precision.weight_only import has_tables, require_quantized, tables_int8
from edgewright.runtime.bundle.files import explain_os_error
from edgewright.runtime.contracts import MODEL, Tensors
from edgewright.runtime.errors import EdgewrightError, ExportError

_INTEGER_LEVEL = 4
"""The accuracy level of MatMulNBits at which it rounds its input to int8: one text of some words through MiniLM takes
0.7 times as long as in fp32, one of a hundred 1.1 times (onnxruntime 1.31, AVX-512).
"""

_INTEGER_COST = 0.5
"""Decibels that this level may cost; otherwise the level stays unset, which computes in fp32."""

_INT4_BATCHES = 32


@dataclass(frozen=True)
class _Settings:
    calibration: Sequence[Tensors] = ()
    method: str = "auto"
    per_channel: bool = True
    step: bool = False
    eight_bits: bool = False
    """Whether weights of products have 8 bits, and their sums saturate on x86 without VNNI."""

    @property
    def quantise(self) -> Quantiser:
        """What makes int8 weights."""
        return all_int8 if self.eight_bits else exact_int8


_Maker = Callable[[Path, _Settings], tuple[onnx.ModelProto, str]]


@dataclass(frozen=True)
class Precision:
    """One way to store and compute a graph. `make` turns an fp32 file into a model and a note on how it was
    made. `uses_calibration` says of a graph without loaded weights whether samples make it better.
    """

    name: str
    file: str
    needs_calibration: bool
    make: _Maker
    uses_calibration: Callable[[onnx.ModelProto], bool] = lambda model: False


def make_variant(
    graph: Graph,
    precision: str,
    calibration: Iterable[Tensors],
    path: Path,
    method: str = "auto",
    per_channel: bool = True,
    stateful: bool = False,
) -> Graph:
    """Write `graph` (fp32) in another precision to `path`.

    `calibration` holds batches of real, encoded samples of the calibration split; it is read where
    `wants_calibration` says so.
    `method` is "minmax", "percentile", or "auto": both are made and the one with the higher SQNR on those
    samples is kept (`Graph.note` says which). The same graph and samples always give the same bytes.
    A `stateful` graph hands states on: its inputs and outputs stay as they are, in name, type and shape, and precisions
    that have to be calibrated are refused.

    Raises:
        ExportError: the precision is unknown, nothing in the graph could be converted, or the result does
            not run.
    """
    if method not in ("auto", *METHODS):
        raise ExportError(f"unknown calibration method {method!r}: choose from auto, {', '.join(METHODS)}")
    if stateful:
        return _make_stateful(graph, precision, path, per_channel)
    batches = list(calibration) if wants_calibration(precision, graph) else []
    return _make(graph, precision, path, _Settings(batches, method, per_channel))


def _make_stateful(graph: Graph, precision: str, path: Path, per_channel: bool) -> Graph:
    if _entry(precision).needs_calibration:
        refuse_static(graph.path)
        raise ExportError(
            f"{precision} needs calibration, which a graph with states has none of: leave {precision} out"
        )
    made = _make(graph, precision, path, _Settings(per_channel=per_channel, step=True))
    if (made.inputs, made.outputs) != (graph.inputs, graph.outputs):
        path.unlink(missing_ok=True)
        raise ExportError(
            f"the {precision} graph lost the shape of an input or output: leave {precision} out"
        )
    return made


def wants_calibration(precision: str, graph: Graph) -> bool:
    """Whether samples are of use in making this precision of `graph` (fp32). Raises `ExportError` if it is unknown."""
    entry = _entry(precision)
    if entry.needs_calibration:
        return True
    return entry.uses_calibration(onnx.load(graph.path, load_external_data=False))


def role_file(model_file: str, role: str) -> str:
    """The name of a variant's graph of `role` beside that of its model: "model_fp16.onnx" to "step_fp16.onnx"."""
    return model_file.replace(MODEL, role, 1)


def _entry(precision: str) -> Precision:
    if precision not in PRECISIONS:
        raise ExportError(f"unknown precision {precision!r}: choose from {', '.join(PRECISIONS)}")
    return PRECISIONS[precision]


def _make(graph: Graph, precision: str, path: Path, settings: _Settings) -> Graph:
    try:
        with quiet():
            model, note = PRECISIONS[precision].make(graph.path, settings)
            variant = save_model(model, path, precision, note)
            # First, for on a malformed graph onnxruntime may crash instead of raising.
            onnx.checker.check_model(path)
            _check_in_a_child(path, precision)
    except OSError as error:
        raise explain_os_error(error, path) from error
    except EdgewrightError:
        path.unlink(missing_ok=True)
        raise
    except Exception as error:  # onnxruntime raises a class of its own for every failure
        path.unlink(missing_ok=True)
        raise ExportError(
            f"no {precision} variant could be made ({first_line(error)}): leave {precision} out"
        ) from error
    return variant


def _check_in_a_child(path: Path, precision: str) -> None:
    """Open the graph in another process: a crash of onnxruntime ends that one, and becomes an error here."""
    code = "import sys; from edgewright.runtime.graphs.session_options import cpu_session; cpu_session(sys.argv[1])"
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        reason = (
            f"it crashed with signal {-done.returncode}"
            if done.returncode < 0
            else (lines or ["no reason"])[-1][:200]
        )
        raise ExportError(
            f"onnxruntime cannot open the {precision} variant ({reason}): leave {precision} out"
        )


def _to_fp32(source: Path, settings: _Settings) -> tuple[onnx.ModelProto, str]:
    return onnx.load(source), ""


def _to_fp16(source: Path, settings: _Settings) -> tuple[onnx.ModelProto, str]:
    return to_fp16(source), ""


def _to_int8_dynamic(source: Path, settings: _Settings) -> tuple[onnx.ModelProto, str]:
    quantization = importlib.import_module("onnxruntime.quantization")
    with tempfile.TemporaryDirectory(prefix="edgewright-") as name:
        folder = Path(name)
        prepared = preprocess(source, folder)
        structure = onnx.load(prepared, load_external_data=False)
        if has_recurrent(structure):
            return recurrent_int8(
                onnx.load(prepared), settings.per_channel, settings.step, quantise=settings.quantise
            )
        notes, operators = [], None
        # Convolutions run twice as fast with unsigned weights (measured, onnxruntime 1.31 on AVX-512 VNNI), whose sums
        # are exact everywhere.
        unsigned = any(node.op_type == "Conv" for node in structure.graph.node)
        scales: Scales = {}
        if settings.calibration and settings.per_channel and can_divide(structure):
            model, changed, count = divide_outliers(
                onnx.load(prepared), settings.calibration, settings.quantise
            )
            notes.append(f"outliers of {changed} of {count} activations divided")
            if not unsigned:
                model, scales = round_weights(model, settings.calibration, settings.quantise)
                notes.append(f"{len(scales)} weights rounded by what samples say of their channels together")
            save_scratch(model, prepared)
        if settings.per_channel and has_tables(structure):
            # ONNX Runtime's tool would give a whole table one scale, and the table of the scales another.
            save_scratch(tables_int8(onnx.load(prepared)), prepared)
            notes.append("embedding tables with a scale for each row")
            registry = importlib.import_module("onnxruntime.quantization.registry")
            operators = sorted({*registry.IntegerOpsRegistry} - {"Gather"})
        target = folder / "quantized.onnx"
        if unsigned and settings.eight_bits:
            raise ExportError(
                "int8-dynamic has weights of 8 bits already where there are convolutions: leave int8-dynamic-vnni out"
            )
        kind = quantization.QuantType.QUInt8 if unsigned else quantization.QuantType.QInt8
        weights = {} if unsigned else _told_of_weights(prepared, settings, scales)
        quantization.quantize_dynamic(
            prepared,
            target,
            per_channel=settings.per_channel,
            weight_type=kind,
            op_types_to_quantize=operators,
            use_external_data_format=is_large(prepared),
            **weights,
        )
        model = onnx.load(target)
    separate_weights(model)
    require_quantized(model, f"int8-dynamic{'-vnni' if settings.eight_bits else ''}")
    if not settings.eight_bits:
        require_exact(model, "int8-dynamic")
    return model, "; ".join(notes)


def _told_of_weights(prepared: Path, settings: _Settings, scales: Scales) -> dict[str, Any]:
    """What the tool is told of the graph at `prepared`, every Gemm of which becomes a MatMul: it would do so itself,
    but only after it has checked what it is told. `scales` are those of weights that are rounded already.
    """
    if settings.eight_bits:
        return told_scales(scales)
    onnx_model = importlib.import_module("onnxruntime.quantization.onnx_model")
    model = onnx.load(prepared)
    onnx_model.ONNXModel(model).replace_gemm_with_matmul()
    told = tool_settings(model, settings.per_channel, scales)
    save_scratch(model, prepared)
    return told


def _gains_by_samples(structure: onnx.ModelProto) -> bool:
    return not has_recurrent(structure) and can_divide(structure)


def _has_products(structure: onnx.ModelProto) -> bool:
    """Whether int4 has two ways to compute the graph, of which samples tell the better."""
    kinds = {node.op_type for node in structure.graph.node}
    return bool(kinds & {"MatMul", "Gemm"}) and not has_recurrent(structure)


def _to_int8_static(source: Path, settings: _Settings) -> tuple[onnx.ModelProto, str]:
    refuse_static(source)
    return to_int8_static(
        source, settings.calibration, settings.method, settings.per_channel, settings.eight_bits
    )


def _with_eight_bits(make: _Maker) -> _Maker:
    """The maker of a variant whose weights have 8 bits, as fast only where the CPU sums their products in 32."""
    return lambda source, settings: make(source, dataclasses.replace(settings, eight_bits=True))


def _to_int4(source: Path, settings: _Settings) -> tuple[onnx.ModelProto, str]:
    structure = onnx.load(source, load_external_data=False)
    if has_recurrent(structure):
        with tempfile.TemporaryDirectory(prefix="edgewright-") as name:
            return recurrent_int4(onnx.load(preprocess(source, Path(name))))
    levels = (None, _INTEGER_LEVEL) if settings.calibration else (None,)
    made = {level: _blocks_of_int4(source, level) for level in levels}
    model, notes = made[None], ["weights only, blocks of 32"]
    if has_tables(structure):
        notes.append("embedding tables in int8 with a scale for each row")
    if len(made) == 2:
        few = settings.calibration[:_INT4_BATCHES]
        reference = outputs_of(source, few)
        exact, integer = (decibels(reference, _run_large(made[level], few)) for level in levels)
        kept = _INTEGER_LEVEL if integer >= exact - _INTEGER_COST else None
        model = made[kept]
        notes.append(
            f"accuracy level {kept or 'unset'} (on the calibration samples: unset {exact:.1f} dB, "
            f"{_INTEGER_LEVEL} {integer:.1f} dB)"
        )
    return model, "; ".join(notes)


def _blocks_of_int4(source: Path, level: int | None) -> onnx.ModelProto:
    quantizer_module = importlib.import_module("onnxruntime.quantization.matmul_nbits_quantizer")
    model = onnx.load(source)
    if has_tables(model):
        model = tables_int8(model)
    quantizer_module.ONNXModel(model).replace_gemm_with_matmul()
    quantizer = quantizer_module.MatMulNBitsQuantizer(
        model, block_size=32, is_symmetric=True, accuracy_level=level
    )
    quantizer.process()
    model = quantizer.model.model
    if not any(node.op_type == "MatMulNBits" for node in model.graph.node):
        raise ExportError(
            "int4 found no matrix product to convert (it leaves convolutions alone): leave int4 out"
        )
    return model


def _run_large(model: onnx.ModelProto, batches: Sequence[Tensors]) -> list[Tensors]:
    """The outputs of a graph that may be too large for one message."""
    with tempfile.TemporaryDirectory(prefix="edgewright-") as folder:
        path, copied = Path(folder) / "model.onnx", onnx.ModelProto()
        copied.CopyFrom(model)
        save_scratch(copied, path)
        return outputs_of(path, batches)


PRECISIONS: Mapping[str, Precision] = {
    entry.name: entry
    for entry in (
        Precision("fp32", "model.onnx", False, _to_fp32),
        Precision("fp16", "model_fp16.onnx", False, _to_fp16),
        Precision("int8-dynamic", "model_int8_dynamic.onnx", False, _to_int8_dynamic, _gains_by_samples),
        Precision("int8-static", "model_int8_static.onnx", True, _to_int8_static),
        Precision(
            "int8-dynamic-vnni",
            "model_int8_dynamic_vnni.onnx",
            False,
            _with_eight_bits(_to_int8_dynamic),
            _gains_by_samples,
        ),
        Precision("int8-static-vnni", "model_int8_static_vnni.onnx", True, _with_eight_bits(_to_int8_static)),
        Precision("int4", "model_q4.onnx", False, _to_int4, _has_products),
    )
}
"""Every precision by name; `file` is its name in a bundle (an int8 that ships is called
model_quantized.onnx).
"""
