"""Exports without what costs the same every time: the exporter's registry, and a process that opens what was made."""

import copy
import functools
import importlib
import os
import signal
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

_PATIENCE = 20.0
"""Seconds that a fork may take to open a graph."""


def remember_operators() -> None:
    """From now on in this process torch.onnx builds its registry of operators once, and copies it for every export.

    That takes a second of each, and a run of all tests exports some two hundred times. What an export may add to its
    registry stays in its copy.
    """
    kind: Any = importlib.import_module("torch.onnx._internal.exporter._registration").ONNXRegistry
    made = functools.cache(kind.from_torchlib)

    def from_torchlib(*arguments: Any, **options: Any) -> Any:
        found = made(*arguments, **options)
        registry = copy.copy(found)
        registry.functions = {name: list(metas) for name, metas in found.functions.items()}
        return registry

    kind.from_torchlib = staticmethod(from_torchlib)


def open_variants_in_forks() -> None:
    """From now on in this process a fork opens each variant that was made, instead of a new Python: half a second less.

    Where that does not succeed, for any reason, the new Python has the last word.
    """
    registry: Any = importlib.import_module("edgewright.exporters.precision.registry")
    anew: Callable[[Path, str], None] = registry._check_in_a_child

    def check(path: Path, precision: str) -> None:
        if not _opens_in_a_fork(path):
            anew(path, precision)

    registry._check_in_a_child = check


def _opens_in_a_fork(path: Path) -> bool:
    from edgewright.runtime.graphs.session_options import cpu_session

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # threads do not come along, and are not missed
        child = os.fork()
    if child == 0:
        code = 1
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            cpu_session(path)
            code = 0
        finally:
            os._exit(code)
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status == 0
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False
