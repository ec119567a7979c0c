"""The command line as tests call it, and the one run and bundle that they share."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnx
from onnx import numpy_helper

from edgewright.runtime import open_bundle
from edgewright.runtime.bundle.files import sha256_of_file, write_json
from tests.forked import Forked
from tests.runtime.small_bundle import write_manifest

__all__ = [
    "COMMAND",
    "RECIPE",
    "Answer",
    "Call",
    "Shipped",
    "content_of",
    "environment",
    "roll_classes",
    "run_anew",
    "run_process",
    "spoil_bundle",
    "spoil_export",
    "start_anew",
    "start_process",
]

COMMAND = (sys.executable, "-m", "edgewright.pipeline")

RECIPE = """\
task: image-classification
model: timm:test_resnet
weights: none
data: {source: "builtin:digits", classes: [0, 1, 2, 3], train_per_class: 60}
input: {size: 32}
training: {epochs: 6, batch_size: 32, lr: 2e-3, seed: 0, checkpoint_seconds: 0}
"""


@dataclasses.dataclass(frozen=True)
class Answer:
    """What one call of the command left: its exit status, stdout and stderr."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Stdout as JSON."""
        return json.loads(self.out)

    def error(self) -> str:
        """The one line of an error: exit status 1, nothing on stdout, no traceback. Data and epochs may precede."""
        assert self.code == 1, (self.code, self.out, self.err)
        assert self.out == ""
        *told, line = self.err.splitlines()
        assert line.startswith("edgewright: "), self.err
        assert "internal error" not in line
        assert all(before.startswith("builtin:digits: ") or ", epoch " in before for before in told), self.err
        return line.removeprefix("edgewright: ")


class Call(Protocol):
    """Call the command line in this process."""

    def __call__(self, *arguments: object) -> Answer: ...


@dataclasses.dataclass(frozen=True)
class Shipped:
    """One `ship` of `RECIPE`: what it read, wrote, and printed with `--json`. Not to be altered: copy it first."""

    recipe: Path
    run: Path
    bundle: Path
    report: dict[str, Any]

    def copy_run(self, place: Path) -> Path:
        """A copy of the run that a test may alter."""
        return shutil.copytree(self.run, place)

    def copy_bundle(self, place: Path) -> Path:
        """A copy of the bundle that a test may alter."""
        return shutil.copytree(self.bundle, place)

    @property
    def weights(self) -> bytes:
        """The trained weights' file."""
        return (self.run / "weights.safetensors").read_bytes()


def environment(cache: str | Path = "off", **more: str) -> dict[str, str]:
    """The environment of a command: one thread, and no cache of graphs but `cache`."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "EDGEWRIGHT_CACHE": str(cache), **more}


def start_process(*arguments: object, before: Callable[[], None] | None = None) -> Forked:
    """Start the command in a process of its own, everything imported already; `before` is called there first."""
    return Forked([*map(str, arguments)], environment(), before)


def run_process(*arguments: object, before: Callable[[], None] | None = None) -> Answer:
    """Run the command in a process of its own, everything imported already; `before` is called there first."""
    with start_process(*arguments, before=before) as process:
        out, err = process.communicate()
    assert process.returncode is not None
    return Answer(process.returncode, out, err)


def start_anew(*arguments: object, **options: Any) -> "subprocess.Popen[str]":
    """Start the command as a shell does."""
    return subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **{"env": environment(), **options},
    )


def run_anew(*arguments: object, **options: Any) -> Answer:
    """Run the command as a shell does, imports and all."""
    with start_anew(*arguments, **options) as process:
        out, err = process.communicate()
    return Answer(process.returncode, out, err)


def content_of(folder: Path) -> dict[str, bytes]:
    """Every file below `folder` with its bytes."""
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def roll_classes(graph: Path, classes: int = 4) -> None:
    """Make a classifier's graph answer the next class: its last matrix of weights is turned by one class."""
    model = onnx.load(graph)
    found = [entry for entry in model.graph.initializer if len(entry.dims) == 2 and classes in entry.dims]
    assert found
    for entry in found:
        value = numpy_helper.to_array(entry)
        turned = np.roll(value, 1, axis=value.shape.index(classes))
        entry.CopyFrom(numpy_helper.from_array(turned, entry.name))
    onnx.save(model, graph)


def spoil_bundle(bundle: Path, variant: str, change: Callable[[Path], None] = roll_classes) -> Path:
    """Plant wrong answers in a bundle whose digests are right."""
    manifest = open_bundle(bundle).manifest
    change(bundle / manifest.variant(variant).graphs["model"])
    return write_manifest(bundle, manifest)


def spoil_export(run: Path, variant: str, change: Callable[[Path], None] = roll_classes) -> None:
    """Plant a wrong graph in a run as if exporting had made it: the stage's marker has its digest."""
    marker = run / "export" / f"{variant}.done.json"
    record = json.loads(marker.read_bytes())
    (name,) = record["files"]
    change(run / name)
    record["files"] = {name: sha256_of_file(run / name)}
    write_json(marker, record)
