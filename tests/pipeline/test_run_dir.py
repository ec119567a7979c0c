"""The lock of a run: one process at a time, and gone with its process however that dies."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from edgewright.pipeline.run_dir import finished_stage, lock_run
from edgewright.runtime.errors import MachineError
from tests.messages import refused

HOLD = (
    "import sys\nfrom pathlib import Path\nfrom edgewright.pipeline.run_dir import lock_run\n"
    "with lock_run(Path(sys.argv[1])):\n    print('held', flush=True)\n    sys.stdin.read()"
)


def test_a_lock_dies_with_its_process(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        with refused(MachineError):
            lock_run(tmp_path).__enter__()
        holder.kill()
    assert (tmp_path / ".lock").exists(), "killed, it could not tidy up"
    for _ in range(2):
        with lock_run(tmp_path), refused(MachineError):
            lock_run(tmp_path).__enter__()
    assert (tmp_path / ".lock").read_bytes() == b""


def test_a_child_that_outlives_its_parent_holds_nothing(tmp_path: Path) -> None:
    with lock_run(tmp_path):
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    with lock_run(tmp_path):
        child.communicate(b"\n")


def test_a_device_needs_no_lock() -> None:
    program = "import sys\nimport edgewright.pipeline.run_dir\nassert 'filelock' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize(
    "document", [[], {}, {"key": "k", "files": ["a"]}, {"key": "k", "files": "a"}, 3, None]
)
def test_a_marker_that_says_nothing_is_no_finished_stage(tmp_path: Path, document: object) -> None:
    (tmp_path / "export.done.json").write_text(json.dumps(document))
    assert finished_stage(tmp_path, "export", "k") is None
