"""Checkpoints: tensors in safetensors, everything else in JSON, the JSON written last.

A checkpoint is valid when its JSON is whole and the tensors have the digest that stands in it. Whatever else
lies in the folder (half a file, tensors without JSON) is what a killed process left behind, and is ignored.
"""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from edgewright.runtime.bundle.files import sha256_of_bytes, write_bytes, write_json
from edgewright.runtime.bundle.structure import StructureError, from_plain, parse_json, to_plain

_KEPT = 2


@dataclass
class Best:
    """The best epoch of early stopping: its metric, its loss, where it was, and the file of its weights."""

    value: float
    loss: float
    phase: int
    epoch: int
    file: str = ""
    sha256: str = ""


@dataclass
class State:
    """How far a training has come: the next step to take and what has been found so far.

    `serial` numbers the checkpoints. `rates` has the peak rate of each phase begun. `loss_sum` and
    `weight_sum` belong to the running epoch. `frozen` is the digest of what may not move now. `waited` counts
    epochs without improvement. `gradients` has what reached each time step, where that was looked at.
    """

    serial: int = 0
    phase: int = 0
    epoch: int = 0
    step: int = 0
    rates: tuple[float, ...] = ()
    loss_sum: float = 0.0
    weight_sum: float = 0.0
    frozen: str = ""
    curves: tuple[Mapping[str, Any], ...] = ()
    best: Best | None = None
    waited: int = 0
    finished: bool = False
    scaler: Mapping[str, Any] | None = field(default=None)
    gradients: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class Checkpoint:
    """A state with its tensors: those of the model that may move, the optimiser's, and the best epoch's."""

    state: State
    model: Mapping[str, torch.Tensor]
    optimizer: Mapping[str, torch.Tensor]
    best: Mapping[str, torch.Tensor] | None = None


@dataclass(frozen=True)
class _Document:
    fingerprint: str
    file: str
    sha256: str
    state: State


def write_tensors(
    path: Path, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str] | None = None
) -> str:
    """Write a safetensors file atomically; returns its hex SHA-256. At most one `metadata` key keeps it
    reproducible.
    """
    ready = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    # Through memory: the library's own writer makes files that only their owner may read.
    content = save(ready, metadata=None if metadata is None else dict(metadata))
    write_bytes(path, content)
    return sha256_of_bytes(content)


def save_checkpoint(folder: Path, fingerprint: str, checkpoint: Checkpoint) -> None:
    """Write `checkpoint` into `folder` and remove all but the last two. Raises `MachineError`.

    Gives `checkpoint.state` its next serial number, and `state.best` its file where that is not written yet.
    """
    state = checkpoint.state
    state.serial += 1
    name = f"checkpoint-{state.serial:06d}"
    if state.best is not None and not state.best.file:
        state.best.file = f"best-{state.serial:06d}.safetensors"
        state.best.sha256 = write_tensors(folder / state.best.file, checkpoint.best or {})
    tensors = {f"model/{key}": tensor for key, tensor in checkpoint.model.items()}
    tensors |= {f"optimizer/{key}": tensor for key, tensor in checkpoint.optimizer.items()}
    file = f"{name}.safetensors"
    digest = write_tensors(folder / file, tensors)
    write_json(folder / f"{name}.json", to_plain(_Document(fingerprint, file, digest, state)))
    _prune(folder, state.serial)


def load_checkpoint(folder: Path, fingerprint: str) -> Checkpoint | None:
    """The newest valid checkpoint of the training with this `fingerprint`, or None."""
    for marker in sorted(folder.glob("checkpoint-*.json"), reverse=True):
        with contextlib.suppress(OSError, StructureError, SafetensorError):
            document = from_plain(_Document, parse_json(marker.read_bytes()))
            if document.fingerprint != fingerprint:
                continue
            tensors = _read(folder / document.file, document.sha256)
            best = document.state.best
            best_tensors = None if best is None else _read(folder / best.file, best.sha256)
            return Checkpoint(
                document.state, _under("model/", tensors), _under("optimizer/", tensors), best_tensors
            )
    return None


def _read(path: Path, sha256: str) -> dict[str, torch.Tensor]:
    content = path.read_bytes()
    if sha256_of_bytes(content) != sha256:
        raise StructureError(f"{path.name} was altered")
    tensors: dict[str, torch.Tensor] = load(content)
    return tensors


def _under(prefix: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _prune(folder: Path, serial: int) -> None:
    """Remove checkpoints before the last two (the JSON first, so that none looks whole), and what nothing
    names.
    """
    markers = sorted(folder.glob("checkpoint-*.json"))
    keep = {f"checkpoint-{number:06d}" for number in range(serial - _KEPT + 1, serial + 1)}
    needed = set()
    for marker in markers:
        if marker.stem not in keep:
            marker.unlink(missing_ok=True)
            continue
        needed.add(f"{marker.stem}.safetensors")
        with contextlib.suppress(OSError, StructureError):
            best = from_plain(_Document, parse_json(marker.read_bytes())).state.best
            needed.add(best.file if best is not None else "")
    for file in folder.iterdir():
        if file.name not in needed and (file.suffix == ".safetensors" or ".tmp-" in file.name):
            file.unlink(missing_ok=True)
