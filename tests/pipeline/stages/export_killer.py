"""Export one run in forked processes and kill them with SIGKILL at chosen moments. A script, not a test.

    python -m tests.pipeline.stages.export_killer RUN BUNDLE

A moment is a file operation on a path whose text holds a given part. One run and one bundle go through all of
`MOMENTS`, one after the other: killed there, the same call again. Prints one JSON object: for each moment whether
the process died there and what half-written names it left.
"""

import importlib
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from edgewright.exporters.judge import latency as timing
from edgewright.exporters.judge.timing import Latency, measure_latency
from edgewright.pipeline.stages.export import export_run

__all__ = ["MOMENTS", "half_written", "main"]

VARIANTS = ("fp32", "int8-static")

_LOADED_LATE = (
    "torch._dynamo", "torch.onnx._internal.exporter._core", "onnxscript.optimizer", "onnxruntime.quantization",
    "onnxruntime.transformers.optimizer", "timm", "scipy.stats",
)  # fmt: skip
"""By an export; the children find them loaded, each of which would need seconds for them."""

MOMENTS: tuple[tuple[str, str, int], ...] = (
    ("os.rename", "export/model.onnx", 1),
    ("os.rename", "export/model_int8_static.onnx", 1),
    ("os.rename", "export/verdict.json", 1),
    ("os.rename", "export/verdict.done.json", 1),
    ("open", ".bundle.tmp-", 1),
    ("open", ".bundle.tmp-", 9),
    ("os.rename", "/bundle", 1),
    ("", "", 0),  # gets through; what follows replaces the bundle that is now there
    ("open", ".bundle.tmp-", 9),
    ("os.rename", "/bundle", 1),  # the new one is whole, and not yet there
    ("", "", 0),
)
"""Event, part of the path that is opened or written, and which occurrence of it is the last thing that happens."""


def half_written(*folders: Path) -> list[str]:
    """Names of temporary files and folders."""
    return sorted(
        path.name.rpartition("-")[0]
        for folder in folders
        for path in folder.iterdir()
        if ".tmp-" in path.name or ".old-" in path.name
    )


def _measure_briefly(sides: Mapping[str, Callable[[], object]], _: float) -> dict[str, Latency]:
    return measure_latency(sides, 0.05)


def _export(run: Path, bundle: Path, event: str, part: str, which: int) -> bool:
    """Export in a child process; returns whether it was killed."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            count = 0

            def hook(name: str, arguments: tuple[Any, ...]) -> None:
                nonlocal count
                if name == event and part in str(arguments[1 if event == "os.rename" else 0]):
                    count += 1
                    if count == which:
                        os.kill(os.getpid(), signal.SIGKILL)

            if event:
                sys.addaudithook(hook)
            status = 0 if export_run(run, bundle, VARIANTS, provider="cpu").bundle == bundle else 3
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise SystemExit(f"the export failed in {run} on the way to {part!r} {which}")
    return os.WIFSIGNALED(status)


def main(run: Path, bundle: Path) -> list[dict[str, Any]]:
    """See the module."""
    torch.set_num_threads(1)
    for name in _LOADED_LATE:
        importlib.import_module(name)
    vars(timing)["measure_latency"] = _measure_briefly
    found = []
    for event, part, which in MOMENTS:
        killed = _export(run, bundle, event, part, which)
        left = half_written(run, run / "export", bundle.parent)
        found.append({"moment": [event, part, which], "killed": killed, "left": left})
    return found


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), Path(sys.argv[2]))))
