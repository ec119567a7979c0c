"""Node with the packages of `package-lock.json`, installed once for all runs, and what it answers."""

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

HERE = Path(__file__).parent
_FILES = ("package.json", "package-lock.json", "open_bundles.mjs")
_INSTALL = ("ci", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1", "--fetch-timeout=60000")


def _missing(reason: str) -> None:
    """As of every program that a machine may lack: CI has it, elsewhere it is said."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def node_folder() -> Path:
    """The folder in which Node finds its packages and the script; outside of the checkout, kept for the next run."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        _missing("node and npm are not installed: apt-get install nodejs npm")
    digest = hashlib.sha256(b"".join((HERE / name).read_bytes() for name in _FILES)).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edgewright-tests"
    folder = cache / f"node-{digest}"
    cache.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not (folder / "ready").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            for name in _FILES:
                shutil.copy(HERE / name, folder)
            assert npm is not None
            done = subprocess.run(
                [npm, *_INSTALL], cwd=folder, capture_output=True, text=True, check=False, timeout=600
            )
            if done.returncode:
                _missing(
                    f"npm cannot install the packages of tests/js: {done.stderr.strip().splitlines()[-1:]}"
                )
            (folder / "ready").touch()
    return folder


def ask_node(
    folder: Path, request: Path, sessions: Sequence[Mapping[str, Any]], pipelines: Sequence[Mapping[str, Any]]
) -> Any:
    """What `open_bundles.mjs` says to a request, which is written to the file `request`."""
    request.write_text(json.dumps({"sessions": sessions, "pipelines": pipelines}), encoding="utf-8")
    return json.loads(run_script(folder / "open_bundles.mjs", request).splitlines()[-1])


def run_script(script: Path, *arguments: Path) -> str:
    """What a script prints; it has to lie where Node finds the packages, and runs in its own folder."""
    own = {"ORT_DISABLE_TELEMETRY": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        ["node", str(script), *map(str, arguments)],
        cwd=script.parent,
        env={**os.environ, **own},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
