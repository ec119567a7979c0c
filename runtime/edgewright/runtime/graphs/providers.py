"""Which execution providers this machine can start, found out without starting one."""

import contextlib
import ctypes.util
import importlib
import io
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from edgewright.runtime.errors import MachineError, no_memory, out_of_memory

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"
PROVIDERS = {"cpu": CPU, "cuda": CUDA}
"""The names that users give, and ONNX Runtime's."""


def load_onnxruntime() -> ModuleType:
    """Import ONNX Runtime. Raises `MachineError` naming the two extras that bring it."""
    try:
        module = importlib.import_module("onnxruntime")
        if not hasattr(module, "InferenceSession"):  # an emptied package folder still imports, as a namespace
            raise ModuleNotFoundError
    except ImportError as error:
        if out_of_memory(error):
            raise no_memory("to load onnxruntime") from None
        reason = (
            "is not installed"
            if isinstance(error, ModuleNotFoundError)
            else f"cannot be used ({reason_of(error)})"
        )
        raise MachineError(
            f"onnxruntime {reason}: pip install 'edgewright[cpu]', or 'edgewright[gpu]' for an NVIDIA GPU"
        ) from None
    return module


def reason_of(error: BaseException) -> str:
    """What `error` says in one line, without ONNX Runtime's error codes and the places in its source."""
    line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    line = re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", line)
    # "/onnxruntime_src/....cc:729 void function(...) What is wrong."
    sentence = line.rpartition(") ")[2] if line.startswith("/") else line
    return sentence.rstrip(" .:") or type(error).__name__


def step_failed(error: BaseException) -> MachineError:
    """What a streaming step that ONNX Runtime could not run is reported as."""
    if isinstance(error, MachineError):  # it was stopped, which has been said
        return error
    if out_of_memory(error):
        return no_memory("for a step")
    return MachineError(
        f"onnxruntime failed in a step ({reason_of(error)}): reset the stream, or try another variant"
    )


def nvidia_driver_present() -> bool:
    """Whether an NVIDIA driver is loaded here. Looks for its device files only, which takes microseconds."""
    if sys.platform == "win32":
        return ctypes.util.find_library("nvcuda") is not None
    # A server, a Jetson, and Linux inside of Windows each show the driver in their own place.
    places = ("/proc/driver/nvidia/version", "/dev/nvidiactl", "/dev/nvhost-gpu", "/dev/nvgpu")
    if any(Path(place).exists() for place in places):
        return True
    return Path("/dev/dxg").exists() and Path("/usr/lib/wsl/lib/libcuda.so.1").exists()


@contextlib.contextmanager
def quiet_cuda_start(onnxruntime: ModuleType) -> Iterator[None]:
    """Make the CUDA libraries of pip packages known, and keep what ONNX Runtime says about it off the
    terminal.

    What it says comes back as an exception or in the session's provider list, which is what counts.
    """
    onnxruntime.set_default_logger_severity(4)
    try:
        preload = getattr(onnxruntime, "preload_dlls", None)
        if preload is not None:
            # A missing library shows when the provider does not start; what is printed about it helps nobody.
            with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(Exception):
                preload()
        yield
    finally:
        onnxruntime.set_default_logger_severity(2)
