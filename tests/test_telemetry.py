"""ONNX Runtime's telemetry is off: in every module before it is imported, and by what the system sees of a process."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from edgewright.runtime.telemetry import SWITCH
from tests.runtime.small_bundle import make_bundle

ROOT = Path(__file__).parent.parent
SOURCES = {
    "edgewright.pipeline": ROOT / "pipeline" / "edgewright" / "pipeline",
    "edgewright.exporters": ROOT / "exporters" / "edgewright" / "exporters",
    "edgewright.runtime": ROOT / "runtime" / "edgewright" / "runtime",
    "benchmarks": ROOT / "benchmarks",
}
SECONDS = 90
"""For so long a process is watched; with telemetry on it asks for the address of Microsoft's server after about 30."""

DEVICE_VARIABLES = ("PATH", "LD_LIBRARY_PATH", "LANG", "TMPDIR", "OMP_NUM_THREADS")
"""All that a device sees of the environment: where `CI`, `GITHUB_ACTIONS` or such is set, telemetry is off anyway."""

ANSWER = f"""
import os, sys, time
from edgewright.runtime import Engine
if sys.argv[3] == "on":
    del os.environ[{SWITCH!r}]  # the import of edgewright has set it, and the engine has not imported onnxruntime yet
Engine(sys.argv[1])(sys.argv[1] + "/golden/1.png")
time.sleep(float(sys.argv[2]))
"""

IMPORTS = """
import importlib, importlib.abc, importlib.machinery, json, os, sys
switch, modules = sys.argv[1], sys.argv[2:]
seen = []

class Stop(Exception):
    pass

class Watch(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path, target=None):
        return importlib.machinery.ModuleSpec(name, self) if name == "onnxruntime" else None

    def exec_module(self, module):
        seen.append(os.environ.get(switch))
        raise Stop

sys.meta_path.insert(0, Watch())
for name in modules:
    os.environ.pop(switch, None)
    for old in [old for old in sys.modules if old.split(".")[0] in ("edgewright", "benchmarks")]:
        del sys.modules[old]
    seen.clear()
    try:
        importlib.import_module(name)
    except Stop:
        pass
    print(json.dumps([name, seen, os.environ.get(switch)]))
"""
"""Import each module as the first one of a process; the import of onnxruntime ends it, and tells what was set then."""


def users() -> list[str]:
    """Every module that imports onnxruntime or a part of it, now or later."""
    found = []
    for package, folder in SOURCES.items():
        for file in sorted(folder.rglob("*.py")):
            if re.search(r"import(_module\()? ?\"?onnxruntime", file.read_text(encoding="utf-8")):
                words = [package, *file.relative_to(folder).with_suffix("").parts]
                found.append(".".join(words).removesuffix(".__init__"))
    return found


def test_it_is_off_before_any_module_imports_onnxruntime() -> None:
    environment = {name: value for name, value in os.environ.items() if name != SWITCH}
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS, SWITCH, *users()],
        capture_output=True, text=True, check=True, env=environment, cwd=ROOT,
    )  # fmt: skip
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [name for name, _, _ in rows] == users()
    assert {name for name, seen, after in rows if after != "1" or set(seen) - {"1"}} == set()
    importers = {name.removeprefix("edgewright.").split(".")[0] for name, seen, _ in rows if seen}
    assert importers >= {"pipeline", "benchmarks"}, "otherwise this test sees nothing"


def test_the_user_s_own_value_stays() -> None:
    program = f"import os, edgewright.pipeline, edgewright.exporters; print(os.environ[{SWITCH!r}])"
    for value in ("0", "1", ""):
        done = subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True, text=True, check=True, env={**os.environ, SWITCH: value},
        )  # fmt: skip
        assert done.stdout == f"{value}\n"


@dataclass(frozen=True)
class Device:
    """A process that answers once and then waits, in a home of its own, with telemetry "on" or "off"."""

    folder: Path
    bundle: Path
    telemetry: str

    def start(self, seconds: float, *before: str) -> "subprocess.Popen[str]":
        """Start it; `before` is what it is run by."""
        self.home.mkdir(parents=True)
        kept = {name: os.environ[name] for name in DEVICE_VARIABLES if name in os.environ}
        words = [*before, sys.executable, "-c", ANSWER, str(self.bundle), str(seconds), self.telemetry]
        own = {"HOME": str(self.home), "EDGEWRIGHT_CACHE": "off", "PYTHONDONTWRITEBYTECODE": "1"}
        return subprocess.Popen(words, env={**kept, **own}, cwd=self.home, stderr=subprocess.PIPE, text=True)

    @property
    def home(self) -> Path:
        return self.folder / self.telemetry

    @property
    def trace(self) -> Path:
        return self.folder / f"{self.telemetry}.trace"

    def files(self) -> list[str]:
        """Whatever it has left in its home."""
        return sorted(str(path.relative_to(self.home)) for path in self.home.rglob("*") if path.is_file())

    def lookups(self) -> list[str]:
        """The lines of its trace that speak to the network, or ask for a name in it."""
        lines = self.trace.read_text(errors="replace").splitlines()
        return [line for line in lines if re.search(r"AF_INET|nscd|events\\?\.data|data\.microsoft", line)]


def devices(folder: Path) -> tuple[Device, Device]:
    """The same device with telemetry as edgewright leaves it, and with telemetry on."""
    bundle = make_bundle(folder / "bundle")
    return Device(folder, bundle, "off"), Device(folder, bundle, "on")


def finish(*processes: "subprocess.Popen[str]") -> None:
    errors = [process.communicate()[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes), errors


def may_trace() -> bool:
    """Whether strace is installed and this process may use it."""
    if shutil.which("strace") is None:
        return False
    done = subprocess.run(["strace", "-o", os.devnull, "true"], capture_output=True, check=False)
    return done.returncode == 0


def test_a_device_leaves_no_file_of_telemetry(tmp_path: Path) -> None:
    off, on = devices(tmp_path)
    finish(off.start(1), on.start(1))
    assert on.files(), "with telemetry on there are files, otherwise this test sees nothing"
    assert off.files() == []


@pytest.mark.xdist_group("telemetry-trace")  # it waits: the other workers go on meanwhile
def test_a_device_speaks_to_nobody(tmp_path: Path) -> None:
    if not may_trace():
        pytest.skip("strace is not installed or may not trace here: apt-get install strace")
    off, on = devices(tmp_path)
    strace = ("strace", "-f", "-s", "256", "-e", "trace=connect,sendto,sendmsg,sendmmsg", "-o")
    started = time.monotonic()
    finish(*(device.start(SECONDS, *strace, str(device.trace)) for device in (off, on)))
    assert time.monotonic() - started >= SECONDS
    assert on.lookups() and on.files(), "with telemetry on it does, otherwise this test sees nothing"
    assert (off.lookups(), off.files()) == ([], [])
