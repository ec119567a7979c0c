"""ONNX Runtime's telemetry is off: in every module before it is imported, and by what the system sees of a process."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from edgewright.runtime.telemetry import SWITCH
from tests.telemetry_devices import SECONDS, Device, devices

ROOT = Path(__file__).parent.parent
SOURCES = {
    "edgewright.pipeline": ROOT / "pipeline" / "edgewright" / "pipeline",
    "edgewright.exporters": ROOT / "exporters" / "edgewright" / "exporters",
    "edgewright.runtime": ROOT / "runtime" / "edgewright" / "runtime",
    "benchmarks": ROOT / "benchmarks",
}
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


def test_a_device_leaves_no_file_of_telemetry(tmp_path: Path) -> None:
    off, on = devices(tmp_path / "devices")
    off.start(1)
    on.start(1)
    off.wait()
    on.wait()
    assert on.files(), "with telemetry on there are files, otherwise this test sees nothing"
    assert off.files() == []


def test_a_device_speaks_to_nobody(traced: tuple[Device, Device] | None) -> None:
    if traced is None:
        pytest.skip("strace is not installed or may not trace here: apt-get install strace")
    off, on = traced
    assert min(off.wait(), on.wait()) >= SECONDS
    assert on.lookups() and on.files(), "with telemetry on it does, otherwise this test sees nothing"
    assert (off.lookups(), off.files()) == ([], [])
