"""The options that every session of ONNX Runtime is opened with, so that int8 is right on every CPU."""

import functools
import os
import platform
from pathlib import Path
from typing import Any

import numpy as np

from edgewright.runtime.graphs.cpu import class_of, read_cpu
from edgewright.runtime.graphs.providers import CPU, load_onnxruntime

UNSIGNED_WEIGHTS = "session.x64quantprecision"
"""ONNX Runtime's name of the entry that has int8 weights rewritten to uint8 ones, where it optimises the graph."""

_PRODUCT = (
    b'\x08\x08:\\\n\x18\n\x01a\n\x01b\x12\x01y"\rMatMulInteger\x12\x01pZ\x13\n\x01a\x12\x0e\n\x0c\x08\x02\x12\x08\n'
    b"\x02\x08\x04\n\x02\x08@Z\x13\n\x01b\x12\x0e\n\x0c\x08\x03\x12\x08\n\x02\x08@\n\x02\x08\x10b\x13\n\x01y\x12\x0e"
    b"\n\x0c\x08\x06\x12\x08\n\x02\x08\x04\n\x02\x08\x10B\x04\n\x00\x10\x11"
)
"""The ONNX graph y = MatMulInteger(a uint8 [4, 64], b int8 [64, 16]), for a trial without the onnx package."""


def session_options(threads: int | None = None, optimise: bool = True) -> Any:
    """Options of a session that keeps off the terminal and whose integer products are exact.

    `threads` is how many one run may use; None for the cores that this process may use. Without `optimise` the graph
    runs as it is written, so there the products of uint8 and int8 are what the CPU gives. Raises `MachineError` when
    ONNX Runtime is not installed.
    """
    onnxruntime = load_onnxruntime()
    options = _silent(onnxruntime.SessionOptions())
    level = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = level.ORT_ENABLE_ALL if optimise else level.ORT_DISABLE_ALL
    count = threads if threads is not None else _cores_when_restricted()
    if count:
        options.intra_op_num_threads = count
    if products_saturate():
        options.add_session_config_entry(UNSIGNED_WEIGHTS, "1")
    return options


def cpu_session(model: Path | bytes, threads: int | None = None, optimise: bool = True) -> Any:
    """ONNX Runtime's own session on the CPU, for who looks inside of a graph. Raises what ONNX Runtime raises."""
    options = session_options(threads, optimise)
    return load_onnxruntime().InferenceSession(model, options, providers=[CPU])


@functools.cache
def products_saturate() -> bool:
    """Whether sums of products of uint8 and int8 overflow on this CPU: those of x86 without VNNI, in 16 bits.

    A trial of half a millisecond tells, which no list of flags does: not every system has one, an emulator shows
    its host's, and what counts is what the library's kernel does. Raises `MachineError` when ONNX Runtime is not
    installed.
    """
    onnxruntime = load_onnxruntime()
    options = _silent(onnxruntime.SessionOptions())
    options.intra_op_num_threads = 1
    a, b = np.full((4, 64), 255, np.uint8), np.full((64, 16), 127, np.int8)
    try:
        session = onnxruntime.InferenceSession(_PRODUCT, options, providers=[CPU])
        product = session.run(None, {"a": a, "b": b})[0]
    except Exception:  # a build without this operator: unsigned weights are right everywhere
        return True
    return bool((product != 64 * 255 * 127).any())


@functools.cache
def cpu_class() -> str:
    """The class of the CPU that this process runs on, see `class_of`. Raises as `products_saturate` does."""
    return class_of(read_cpu(), platform.machine(), products_saturate())


def _silent(options: Any) -> Any:
    options.log_severity_level = 4  # whatever is wrong comes as an exception; stderr belongs to the program
    return options


def _cores_when_restricted() -> int:
    # ONNX Runtime counts the machine's cores. A process that may use only some of them would get too many
    # threads.
    if not hasattr(os, "sched_getaffinity"):
        return 0
    allowed = len(os.sched_getaffinity(0))
    return allowed if allowed != os.cpu_count() else 0
