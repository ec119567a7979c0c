"""The command as a process of its own that starts with everything imported: forked from one that does nothing else.

A process of its own because it is killed, interrupted, or has limits; what its start costs, tests/pipeline/cli/
test_start.py knows. Importing torch, transformers and the exporter takes longer than most of what tests ask for.
"""

import io
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

_IMPORTED = (
    "edgewright.pipeline.cli.main", "edgewright.pipeline.cli.ship", "edgewright.pipeline.stages.fit",
    "edgewright.pipeline.stages.export", "edgewright.pipeline.stages.compare", "torch.onnx", "torch.export",
    "torchvision.transforms.v2", "torch.utils.data", "timm", "transformers", "onnxscript", "onnxruntime.quantization",
)  # fmt: skip
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload([*_IMPORTED])


class Forked:
    """A running command, with what tests ask of a `subprocess.Popen`."""

    def __init__(
        self, words: Sequence[str], environment: Mapping[str, str], before: Callable[[], None] | None = None
    ) -> None:
        self._scratch = tempfile.TemporaryDirectory(prefix="edgewright-forked-")
        self._files = [Path(self._scratch.name) / name for name in ("out", "err")]
        self._process = _context.Process(
            target=_run,
            args=(list(words), str(Path.cwd()), dict(environment), *map(str, self._files), before),
        )
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    @property
    def returncode(self) -> int | None:
        """Of a process that a signal ended: its number below zero."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """The exit status, None while it runs."""
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Wait for the end; stdout and stderr. Raises `subprocess.TimeoutExpired`."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("edgewright", timeout or 0.0)
        out, err = (file.read_text(encoding="utf-8") if file.exists() else "" for file in self._files)
        return out, err

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self.kill()
        self._process.join()
        self._scratch.cleanup()


def _run(
    words: list[str],
    folder: str,
    environment: dict[str, str],
    out: str,
    err: str,
    before: Callable[[], None] | None,
) -> None:
    """The whole life of the process, from where it finds everything imported."""
    for path, place in ((os.devnull, 0), (out, 1), (err, 2)):
        opened = os.open(path, os.O_RDWR | os.O_CREAT)
        os.dup2(opened, place)
        os.close(opened)
    sys.stdin, sys.stdout, sys.stderr = (
        io.TextIOWrapper(io.FileIO(place, mode, closefd=False), encoding="utf-8")
        for place, mode in ((0, "r"), (1, "w"), (2, "w"))
    )
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["edgewright", *words]
    if before is not None:
        before()
    import torch

    from edgewright.exporters.judge import judge
    from edgewright.pipeline.cli.main import main

    torch.set_num_threads(int(environment["OMP_NUM_THREADS"]))  # it read the variable when it was imported
    vars(judge)["SECONDS"] = 1.0  # as in the tests' own process
    main()
