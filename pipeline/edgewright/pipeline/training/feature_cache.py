"""Features on disk: each sample goes through the frozen backbone once, and never again for the same backbone
and data.

A split is one .npy file that grows row by row, and a JSON beside it that says how many rows are valid. A
killed pass goes on at the last valid row; batches always begin at the same rows, so the bits do not depend on
where it was killed.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray

from edgewright.pipeline.training.batching import cut
from edgewright.pipeline.training.distributed import World
from edgewright.pipeline.training.sources import Source
from edgewright.runtime.files import explain_os_error, sha256_of_file, write_json
from edgewright.runtime.structure import StructureError, from_plain, parse_json, to_plain

__all__ = ["FEATURE_BATCH", "CachedFeatures", "Extract", "cache_is_complete", "cached_features"]

FEATURE_BATCH = 32
"""Samples that go through the backbone together. Fixed, because the last bits of a result may depend on it.
"""

Extract = Callable[[torch.Tensor], NDArray[np.float32]]
"""Inputs of a batch to its features, float32 [batch, F]."""

_NOTE_EVERY = 1.0  # seconds of work that a kill may cost


@dataclass(frozen=True)
class _Note:
    """What is valid in the file beside it; `sha256` is that of the whole file, "" until it is complete."""

    key: str
    count: int
    width: int
    rows: int
    sha256: str


@dataclass(frozen=True)
class CachedFeatures:
    """Features [N, F] of a split, and how many of the rows were already there."""

    rows: NDArray[np.float32]
    found: int


def cache_is_complete(path: Path, key: str) -> bool:
    """Whether the features for `key` lie whole at `path`."""
    note = _read_note(path, key)
    return note is not None and note.sha256 != "" and path.is_file() and sha256_of_file(path) == note.sha256


def cached_features(
    path: Path,
    key: str,
    source: Source,
    width: int,
    extract: Callable[[], Extract],
    world: World,
    progress: Callable[[int, int], None],
) -> CachedFeatures:
    """The features of all samples of `source`, float32 [N, `width`], memory-mapped in the process that leads.

    `extract` makes the backbone; it is called only when rows are missing. `key` is the digest of everything
    that the features depend on. The processes share the batches; only the leading one writes. Raises
    `MachineError`.
    """
    count = len(source.targets)
    complete = world.from_leader(world.leads and cache_is_complete(path, key))
    found = (
        count if complete else world.from_leader(_valid_rows(path, key, count, width) if world.leads else 0)
    )
    if not complete:
        _fill(path, _Note(key, count, width, found, ""), source, extract(), world, progress)
    rows: NDArray[np.float32] | None = np.load(path, mmap_mode="r") if world.leads else None
    if world.size > 1:
        tensors = world.tensors_from_leader(
            None if rows is None else {"rows": torch.from_numpy(np.array(rows))}
        )
        rows = tensors["rows"].cpu().numpy() if rows is None else rows
    assert rows is not None
    return CachedFeatures(rows, found)


def _note_path(path: Path) -> Path:
    return path.with_suffix(".json")


def _read_note(path: Path, key: str) -> _Note | None:
    try:
        note = from_plain(_Note, parse_json(_note_path(path).read_bytes()))
    except (OSError, StructureError):
        return None
    return note if note.key == key else None


def _header(count: int, width: int) -> bytes:
    header = np.lib.format.header_data_from_array_1_0(np.empty((0, width), np.float32))
    header["shape"] = (count, width)

    class Collector(list[bytes]):
        write = list.append

    pieces = Collector()
    np.lib.format.write_array_header_1_0(pieces, header)
    return b"".join(pieces)


def _valid_rows(path: Path, key: str, count: int, width: int) -> int:
    """How many rows of a pass that was killed can be kept."""
    note = _read_note(path, key)
    if note is None or (note.count, note.width) != (count, width) or note.rows >= count:
        return 0  # also when it says complete: it was not, or its digest would have matched
    header = _header(count, width)
    try:
        with path.open("rb") as file:
            whole = file.read(len(header)) == header
        long_enough = path.stat().st_size >= len(header) + note.rows * width * 4
    except OSError:
        return 0
    return note.rows if whole and long_enough else 0


def _fill(
    path: Path,
    note: _Note,
    source: Source,
    extract: Extract,
    world: World,
    progress: Callable[[int, int], None],
) -> None:
    batches = cut(np.arange(note.count, dtype=np.int64), FEATURE_BATCH)[note.rows // FEATURE_BATCH :]
    rounds = [batches[start : start + world.size] for start in range(0, len(batches), world.size)]
    mine = [turn[world.rank] if world.rank < len(turn) else turn[0][:0] for turn in rounds]
    inputs = source.batches([batch for batch in mine if len(batch)], None)
    if not world.leads:
        for turn, own in zip(rounds, mine, strict=True):
            _round(turn, own, inputs, note.width, extract, world)
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("r+b" if note.rows else "wb") as file:
            header = _header(note.count, note.width)
            file.truncate(len(header) + note.rows * note.width * 4 if note.rows else 0)
            file.seek(0)
            file.write(header)
            file.seek(0, os.SEEK_END)
            noted = time.monotonic()
            for turn, own in zip(rounds, mine, strict=True):
                file.write(np.ascontiguousarray(_round(turn, own, inputs, note.width, extract, world)).data)
                done = int(turn[-1][-1]) + 1
                progress(done, note.count)
                if time.monotonic() - noted > _NOTE_EVERY:
                    _sync(file)
                    write_json(_note_path(path), to_plain(_Note(note.key, note.count, note.width, done, "")))
                    noted = time.monotonic()
            _sync(file)
    except OSError as error:
        raise explain_os_error(error, path) from error
    final = _Note(note.key, note.count, note.width, note.count, sha256_of_file(path))
    write_json(_note_path(path), to_plain(final))


def _round(
    turn: list[NDArray[np.int64]],
    own: NDArray[np.int64],
    inputs: Any,
    width: int,
    extract: Extract,
    world: World,
) -> NDArray[np.float32]:
    """One batch for each process; returns the rows of all of them in order."""
    if world.size == 1:
        return extract(next(inputs))
    start = int(turn[0][0])
    rows = torch.zeros(sum(len(batch) for batch in turn), width, device=world.device)
    if len(own):
        rows[torch.from_numpy(own - start).to(world.device)] = torch.from_numpy(extract(next(inputs))).to(
            world.device
        )
    return world.sum(rows).cpu().numpy()


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
