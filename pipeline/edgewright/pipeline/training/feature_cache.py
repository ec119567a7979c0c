"""Features on disk: each sample goes through the frozen backbone once, and never again for the same backbone
and data.

A split is one .npy file that grows row by row, and a JSON beside it that says how many rows are valid. A
sample is one row; where every step is answered, it is as many rows as it has steps. A killed pass goes on at the
last valid row; batches always begin at the same rows, so the bits do not depend on where it was killed.
"""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray

from edgewright.pipeline.training.batching import cut
from edgewright.pipeline.training.distributed import World
from edgewright.pipeline.training.sources import Inputs, Source
from edgewright.runtime.bundle.files import explain_os_error, sha256_of_file, write_json
from edgewright.runtime.bundle.structure import StructureError, from_plain, parse_json, to_plain

FEATURE_BATCH = 32
"""Samples that go through the backbone together. Fixed, because the last bits of a result may depend on it.
"""

Extract = Callable[..., NDArray[np.float32]]
"""Inputs of a batch, one tensor each, to its features: float32 [batch, F], or [batch, time, F] for every step."""

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


class _Plan:
    """Which batches go through the backbone, and which rows of the file each of them fills."""

    def __init__(self, rows_of: NDArray[np.int64]) -> None:
        """`rows_of` is how many rows each sample has, [N]."""
        self.rows_of = rows_of
        self.total = int(rows_of.sum())
        self.batches = cut(np.arange(len(rows_of), dtype=np.int64), FEATURE_BATCH)
        ends = np.cumsum(rows_of)
        self.ends = [int(ends[batch[-1]]) for batch in self.batches]

    def done(self, rows: int) -> int | None:
        """How many batches have their rows among the first `rows`; None where `rows` ends inside of a batch."""
        return self.ends.index(rows) + 1 if rows in self.ends else None if rows else 0

    def start(self, number: int) -> int:
        """The first row of a batch."""
        return self.ends[number - 1] if number else 0

    def flat(self, number: int, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """The rows of a batch, from features [batch, F] or, padded, [batch, time, F]."""
        if features.ndim == 2:
            return features
        lengths = self.rows_of[self.batches[number]]
        return features[np.arange(features.shape[1]) < lengths[:, np.newaxis]]


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
    steps: bool = False,
) -> CachedFeatures:
    """The features of all samples of `source`, float32 [N, `width`], memory-mapped in the process that leads.

    With `steps` they are those of every step, [sum of lengths, `width`], sample after sample. `extract` makes the
    backbone; it is called only when rows are missing. `key` is the digest of everything that the features depend
    on. The processes share the batches; only the leading one writes. Raises `MachineError`.
    """
    rows_of = source.lengths if steps else np.ones(len(source.targets), np.int64)
    assert rows_of is not None, "only sequences have steps"
    plan = _Plan(rows_of)
    count = plan.total
    complete = world.from_leader(world.leads and cache_is_complete(path, key))
    found = (
        count if complete else world.from_leader(_valid_rows(path, key, plan, width) if world.leads else 0)
    )
    if not complete:
        _fill(path, _Note(key, count, width, found, ""), plan, source, extract(), world, progress)
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


def _valid_rows(path: Path, key: str, plan: _Plan, width: int) -> int:
    """How many rows of a pass that was killed can be kept."""
    note = _read_note(path, key)
    if note is None or (note.count, note.width) != (plan.total, width) or note.rows >= plan.total:
        return 0  # also when it says complete: it was not, or its digest would have matched
    if plan.done(note.rows) is None:
        return 0
    header = _header(plan.total, width)
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
    plan: _Plan,
    source: Source,
    extract: Extract,
    world: World,
    progress: Callable[[int, int], None],
) -> None:
    numbers = range(plan.done(note.rows) or 0, len(plan.batches))
    rounds = [numbers[start : start + world.size] for start in range(0, len(numbers), world.size)]
    own = [turn[world.rank] for turn in rounds if world.rank < len(turn)]
    inputs = source.batches([plan.batches[number] for number in own], None)
    if not world.leads:
        for turn in rounds:
            _round(turn, plan, inputs, note.width, extract, world)
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
            for turn in rounds:
                file.write(np.ascontiguousarray(_round(turn, plan, inputs, note.width, extract, world)).data)
                done = plan.ends[turn[-1]]
                progress(int(plan.batches[turn[-1]][-1]) + 1, len(plan.rows_of))
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
    turn: range, plan: _Plan, inputs: Iterator[Inputs], width: int, extract: Extract, world: World
) -> NDArray[np.float32]:
    """One batch for each process; returns the rows of all of them in order."""
    if world.size == 1:
        return plan.flat(turn[0], extract(*next(inputs)))
    start = plan.start(turn[0])
    rows = torch.zeros(plan.ends[turn[-1]] - start, width, device=world.device)
    if world.rank < len(turn):
        number = turn[world.rank]
        made = torch.from_numpy(plan.flat(number, extract(*next(inputs)))).to(world.device)
        rows[plan.start(number) - start : plan.ends[number] - start] = made
    return world.sum(rows).cpu().numpy()


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
