"""Keeps the graph that ONNX Runtime has optimised for this machine, so that the next start need not do it
again.

An optimised graph holds layouts and kernels of one ONNX Runtime on one kind of CPU, and its weights may have been
rewritten to unsigned ones, so all three are part of its key. Nothing here may ever stop an answer: a cache that cannot
be read or written is simply not used.
"""

import contextlib
import os
import platform
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edgewright.runtime.bundle.files import sha256_of_bytes, sha256_of_file, write_text
from edgewright.runtime.bundle.onnx_file import read_onnx_file
from edgewright.runtime.errors import EdgewrightError
from edgewright.runtime.graphs.cache_trust import make_private, trusted_file, trusted_folder
from edgewright.runtime.graphs.cpu import read_cpu

_LARGEST_GRAPH = 1 << 30
"""Larger graphs are not kept: protobuf ends at 2 GB, and a device has better uses for its disk."""

_LARGEST_CACHE = 2 << 30
"""Bytes of all graphs together."""

_ABANDONED_AFTER = 24 * 3600
"""Seconds after which a file that was never finished is taken for the remains of a killed process."""

_OUR_NAME = re.compile(r"[0-9a-f]{64}\.onnx|\.[0-9a-f]{64}-\d+-[0-9a-f]{8}\.onnx")


def cache_directory() -> Path | None:
    """Where optimised graphs are kept: EDGEWRIGHT_CACHE, else the user's cache folder; None for "off"."""
    chosen = os.environ.get("EDGEWRIGHT_CACHE", "")
    if chosen.lower() == "off":
        return None
    if chosen:
        return Path(chosen)
    base = os.environ.get("LOCALAPPDATA" if os.name == "nt" else "XDG_CACHE_HOME", "")
    try:
        return (Path(base) if base else Path.home() / ".cache") / "edgewright"
    except RuntimeError:  # a user without a home
        return None


@dataclass(frozen=True)
class CacheSlot:
    """The place of one optimised graph: the file, and beside it the digest that it must have."""

    graph: Path

    @property
    def _digest(self) -> Path:
        return self.graph.with_suffix(".sha256")

    def read(self) -> Path | None:
        """The optimised graph when it is there, whole, and this user's own, else None."""
        with contextlib.suppress(OSError, ValueError):
            if not trusted_file(self.graph) or not trusted_file(self._digest):
                return None
            if sha256_of_file(self.graph) == self._digest.read_text(encoding="utf-8").strip():
                with contextlib.suppress(PermissionError):  # root's, kept for everybody
                    os.utime(self.graph)  # what was used last is thrown away last
                return self.graph
        return None

    def remove(self) -> None:
        """Forget a graph that turned out to be of no use."""
        for path in (self._digest, self.graph):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def write(self) -> Iterator[Path]:
        """Yield a path for ONNX Runtime to write to, and keep what it wrote. Raises `OSError` when there is
        no place.
        """
        directory = self.graph.parent
        make_private(directory)
        # Two threads or processes may do this at once: each writes its own file, and the last rename wins.
        temporary = directory / f".{self.graph.stem}-{os.getpid()}-{os.urandom(4).hex()}.onnx"
        try:
            yield temporary
            # The digest goes first. Stopped in between, the pair does not match and is made again.
            write_text(self._digest, sha256_of_file(temporary) + "\n")
            temporary.chmod(0o600)
            self._digest.chmod(0o600)  # whatever this process lets others do by default
            temporary.replace(self.graph)
            _prune(directory)
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


def _prune(directory: Path) -> None:
    # Every model, and every update of ONNX Runtime, leaves another graph: the ones unused for longest go.
    total = 0
    # The folder may be one that the user keeps other things in: only what has our names is ours.
    graphs = [(path.stat(), path) for path in directory.iterdir() if _OUR_NAME.fullmatch(path.name)]
    for status, path in sorted(graphs, key=lambda item: -item[0].st_mtime):
        total += status.st_size
        abandoned = path.name.startswith(".") and status.st_mtime < time.time() - _ABANDONED_AFTER
        if total > _LARGEST_CACHE or abandoned:
            CacheSlot(path).remove()


def cache_slot(
    model: Path, digest: str | None, ort_version: str, provider: str, unsigned: bool = False
) -> CacheSlot | None:
    """The place for the optimised form of `model`, which depends on its bytes alone, or None where it cannot or should
    not be kept.

    `digest` is the SHA-256 of the model where the caller knows it already. `unsigned` says that the session rewrites
    int8 weights to unsigned ones.
    """
    directory = cache_directory()
    try:
        if directory is None or not trusted_folder(directory) or model.stat().st_size > _LARGEST_GRAPH:
            return None
        # Weights in files of their own would be written into it, and are no part of the key.
        if read_onnx_file(model).weights:
            return None
        weights = "unsigned weights" if unsigned else "weights as they are"
        key = "\n".join((digest or sha256_of_file(model), ort_version, provider, weights, *_machine()))
    except (OSError, EdgewrightError):  # ONNX Runtime says in a moment what is wrong
        return None
    return CacheSlot(directory / f"{sha256_of_bytes(key.encode())}.onnx")


def _machine() -> tuple[str, str]:
    cpu = read_cpu()
    return platform.machine(), " ".join(sorted(cpu.flags)) if cpu.flags else cpu.name
