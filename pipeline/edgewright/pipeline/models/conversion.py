"""Pickles of torch to safetensors: checked here, read in a process of its own, written whole or not at all."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgewright.pipeline.models.pickles import (
    begins_safetensors,
    converted_path,
    file_head,
    is_pickle,
    is_zip,
    weights_line,
)
from edgewright.runtime.bundle.files import write_atomically
from edgewright.runtime.bundle.structure import StructureError, parse_json
from edgewright.runtime.errors import ModelError

_CHILD = "edgewright.pipeline.models.conversion_child"


@dataclass(frozen=True)
class Converted:
    """What became of pickles.

    Attributes:
        out: the .safetensors file, absolute.
        keys: for each pickle, the keys that led to its tensors, joined by dots; "." for the outermost mapping.
        tensors: how many were written.
        values: how many numbers they hold in all.
        left_out: names of the other entries, which are no weights.
        stripped: what a wrapper had set before all names.
    """

    out: str
    keys: tuple[str, ...]
    tensors: int
    values: int
    left_out: tuple[str, ...]
    stripped: tuple[str, ...]


def convert_pickles(
    paths: Sequence[Path], out: Path | None = None, key: str | None = None, force: bool = False
) -> Converted:
    """Write the tensors of the pickles at `paths` to one .safetensors file, running no code that they name.

    Args:
        out: where; without it beside the first, under its name.
        key: which of several sets of weights, as the error names them.
        force: also where `out` is there already.

    Raises:
        ModelError: a file is not there, not whole, no pickle of torch, or holds more than weights.
        MachineError: `out` cannot be written.
    """
    for path in paths:
        _check(path)
    made = converted_path(paths[0]) if out is None else out.absolute()
    _check_free(made, paths, force)
    with write_atomically(made) as temporary:
        report = _in_child([[str(path) for path in paths], str(temporary), key])
        _check_free(made, paths, force)  # the reading may have taken minutes
    return Converted(
        out=str(made),
        keys=tuple(report["keys"]),
        tensors=report["tensors"],
        values=report["values"],
        left_out=tuple(report["left_out"]),
        stripped=tuple(report["stripped"]),
    )


def _check(path: Path) -> None:
    if path.is_dir():
        raise ModelError(f"{path} is a folder: name the file in it that holds the weights")
    if not path.is_file():
        raise ModelError(f"there is no file {path}: check its name")
    try:
        head = file_head(path)
    except OSError as error:
        raise ModelError(f"{path} cannot be read ({error.strerror or error}): check the file") from None
    if begins_safetensors(head):
        raise ModelError(f"{path} is in safetensors already: write in the recipe {weights_line(path)}")
    if not is_pickle(path):
        raise ModelError(f"{path} {_kind(head)}: name a file that torch.save wrote, or get a fresh copy")


def _kind(head: bytes) -> str:
    if not head:
        return "is empty"
    return "is a zip file without a pickle" if is_zip(head) else f"is no pickle (it begins with {head[:8]!r})"


def _check_free(out: Path, paths: Sequence[Path], force: bool) -> None:
    if not out.exists():
        return
    if any(out.samefile(path) for path in paths):
        raise ModelError(f"{out} is the pickle itself: name another file with --out")
    if not force:
        raise ModelError(
            f"{out} is there already: write in the recipe {weights_line(out)}, name another file with --out, "
            "or replace it with --force"
        )


def _in_child(order: list[Any]) -> dict[str, Any]:
    # -P: no file of the current folder is taken for a module
    done = subprocess.run(
        [sys.executable, "-P", "-m", _CHILD, json.dumps(order)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    try:
        report = parse_json((done.stdout.splitlines() or [""])[-1])
    except StructureError:
        report = None
    if done.returncode or not isinstance(report, dict):
        raise ModelError(f"{order[0][0]} could not be converted: {_crash(done)}")
    if "error" in report:
        raise ModelError(report["error"])
    return report


def _crash(done: "subprocess.CompletedProcess[str]") -> str:
    if done.returncode == -9:
        return "reading it was killed, perhaps for lack of memory: convert it on a machine with more"
    if done.returncode < 0:
        return f"reading it crashed with signal {-done.returncode}: get a fresh copy"
    return f"reading it failed ({(done.stderr.strip().splitlines() or ['no reason'])[-1][:200]}): get a fresh copy"
