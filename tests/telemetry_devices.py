"""Devices with telemetry off and on: what they leave in their homes, and whom they speak to."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock

from edgewright.runtime.telemetry import SWITCH
from tests.runtime.small_bundle import make_bundle

SECONDS = 90
"""For so long a process is watched; with telemetry on it asks for the address of Microsoft's server after about 30."""

_VARIABLES = ("PATH", "LD_LIBRARY_PATH", "LANG", "TMPDIR", "OMP_NUM_THREADS")
"""All that a device sees of the environment: where `CI`, `GITHUB_ACTIONS` or such is set, telemetry is off anyway."""

_ANSWER = f"""
import os, sys, time
from pathlib import Path
from edgewright.runtime import Engine
bundle, seconds, telemetry, ended = sys.argv[1:]
if telemetry == "on":
    del os.environ[{SWITCH!r}]  # the import of edgewright has set it, and the engine has not imported onnxruntime yet
began = time.monotonic()
Engine(bundle)(bundle + "/golden/1.png")
time.sleep(float(seconds))
Path(ended).write_text(str(time.monotonic() - began))
"""

_STRACE = ("strace", "-f", "-s", "256", "-e", "trace=connect,sendto,sendmsg,sendmmsg", "-o")


@dataclass
class Device:
    """A process that answers once and then waits, in a home of its own, with telemetry "on" or "off"."""

    folder: Path
    bundle: Path
    telemetry: str
    process: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)

    def start(self, seconds: float, trace: bool = False) -> None:
        """Start it; with `trace`, strace writes down what it says to the system."""
        self.home.mkdir(parents=True)
        before = [*_STRACE, str(self.trace)] if trace else []
        words = [str(self.bundle), str(seconds), self.telemetry, str(self.ended)]
        kept = {name: os.environ[name] for name in _VARIABLES if name in os.environ}
        own = {"HOME": str(self.home), "EDGEWRIGHT_CACHE": "off", "PYTHONDONTWRITEBYTECODE": "1"}
        self.process = subprocess.Popen(
            [*before, sys.executable, "-c", _ANSWER, *words], env={**kept, **own}, cwd=self.home
        )

    def wait(self) -> float:
        """Wait until it has ended, whichever process has started it; returns for how many seconds it was there."""
        deadline = time.monotonic() + 4 * SECONDS
        while not self.ended.exists() or not self.ended.read_text():
            assert time.monotonic() < deadline, f"the device with telemetry {self.telemetry} has not ended"
            assert self.process is None or not self.process.poll(), "the device has failed"
            time.sleep(0.1)
        if self.process is not None:
            assert self.process.wait() == 0
        return float(self.ended.read_text())

    @property
    def home(self) -> Path:
        return self.folder / self.telemetry

    @property
    def trace(self) -> Path:
        return self.folder / f"{self.telemetry}.trace"

    @property
    def ended(self) -> Path:
        return self.folder / f"{self.telemetry}.ended"

    def files(self) -> list[str]:
        """Whatever it has left in its home."""
        return sorted(str(path.relative_to(self.home)) for path in self.home.rglob("*") if path.is_file())

    def lookups(self) -> list[str]:
        """The lines of its trace that speak to the network, or ask for a name in it."""
        lines = self.trace.read_text(errors="replace").splitlines()
        return [line for line in lines if re.search(r"AF_INET|nscd|events\\?\.data|data\.microsoft", line)]


def devices(folder: Path) -> tuple[Device, Device]:
    """The same device with telemetry as edgewright leaves it, and with telemetry on."""
    bundle = folder / "bundle"
    if not bundle.exists():
        make_bundle(bundle)
    return Device(folder, bundle, "off"), Device(folder, bundle, "on")


def may_trace() -> bool:
    """Whether strace is installed and this process may use it."""
    if shutil.which("strace") is None:
        return False
    done = subprocess.run(["strace", "-o", os.devnull, "true"], capture_output=True, check=False)
    return done.returncode == 0


def traced_devices(folder: Path) -> Iterator[tuple[Device, Device]]:
    """Devices under strace in `folder`, started by the first process that asks; it stays until they have ended."""
    with FileLock(f"{folder}.lock"):
        first = not folder.exists()
        off, on = devices(folder)
        if first:
            off.start(SECONDS, trace=True)
            on.start(SECONDS, trace=True)
    yield off, on
    for device in (off, on):
        if device.process is not None:
            device.process.wait()
