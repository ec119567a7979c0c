"""Looking at every file once: does it really decode, and what is its digest.

Results are kept in the user's cache folder, so that a second run reads nothing, for as long as a file keeps its size,
its place on the disk and both of its times: that of its last change no program can set.
`EDGEWRIGHT_CACHE` names another folder for it, or "off".
"""

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import PIL

from edgewright.pipeline.data.samples import SampleKind
from edgewright.pipeline.progress import Count
from edgewright.runtime.bundle.files import sha256_of_bytes, sha256_of_file, write_json
from edgewright.runtime.bundle.structure import StructureError, from_plain, parse_json, to_plain
from edgewright.runtime.errors import InputError, MachineError
from edgewright.runtime.graphs.cache import cache_directory
from edgewright.runtime.graphs.cache_trust import make_private, trusted_folder
from edgewright.runtime.images.decoding import IMAGE_SUFFIXES, load_image
from edgewright.runtime.inputs import suffix_reason

_Item = TypeVar("_Item")

_BATCH = 256
_SAVE_SECONDS = 30.0


def reported(items: Sequence[_Item], progress: Count | None) -> Iterator[_Item]:
    """Items one by one; `progress` hears of each when the work on it is done."""
    for done, item in enumerate(items, 1):
        yield item
        if progress is not None:
            progress(done, len(items))


@dataclass(frozen=True)
class CheckedFile:
    """What was found in one file: hex SHA-256 of its bytes, and why it cannot be used (None when it can).

    `seen` is what tells that it is still the same file: size, time of its content, time of any change, inode.
    """

    seen: tuple[int, ...]
    content: str
    reason: str | None


@dataclass(frozen=True)
class _Cache:
    reader: str
    files: Mapping[str, CheckedFile]


@dataclass(frozen=True)
class FileKind:
    """A kind of file of which each holds one raw input.

    `load` decodes a file and raises `InputError` when the device could not; `mismatch` says why the name of a file that
    decodes is wrong, None when it is right. `reader` is what decides the outcome besides the file, for the cache; `key`
    tells the caches of one folder apart.
    """

    noun: SampleKind
    suffixes: frozenset[str]
    load: Callable[[Path], object]
    mismatch: Callable[[Path], str | None]
    reader: str
    key: str = ""


def check_files(
    root: Path, names: Sequence[str], progress: Count | None = None, kind: FileKind | None = None
) -> dict[str, CheckedFile]:
    """Decode the files `names` (relative to `root`) in parallel; a bad file raises nothing. No kind: images."""
    kind = kind or IMAGES
    cache_file = _cache_file(root, kind.key)
    known = _read_cache(cache_file, kind.reader)
    result: dict[str, CheckedFile] = {}
    fresh = 0
    saved = time.monotonic()
    workers = min(8, os.cpu_count() or 1)
    with _threads(workers) as executor:
        try:
            for start in range(0, len(names), _BATCH):
                batch = names[start : start + _BATCH]
                checked = executor.map(
                    lambda name: _check_or_recall(root / name, known.get(name), kind), batch
                )
                for name, found in zip(batch, checked, strict=True):
                    fresh += found is not known.get(name)
                    result[name] = found
                if progress is not None:
                    progress(len(result), len(names))
                if fresh and time.monotonic() - saved > _SAVE_SECONDS:
                    _write_cache(cache_file, kind.reader, {**known, **result})
                    saved = time.monotonic()
        finally:
            if fresh:
                _write_cache(
                    cache_file, kind.reader, result if len(result) == len(names) else {**known, **result}
                )
    return result


@contextlib.contextmanager
def _threads(workers: int) -> Iterator[ThreadPoolExecutor]:
    executor = ThreadPoolExecutor(workers, thread_name_prefix="edgewright-data")
    try:
        yield executor
    finally:
        executor.shutdown(cancel_futures=True)  # Ctrl-C does not wait for the rest of the batch


def _check_or_recall(path: Path, known: CheckedFile | None, kind: FileKind) -> CheckedFile:
    try:
        status = path.stat()
    except OSError as error:
        return CheckedFile((), "", f"cannot be read ({error.strerror or error})")
    seen = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
    if known and known.seen == seen:
        return known
    return CheckedFile(seen, *_check(path, kind))


def _check(path: Path, kind: FileKind) -> tuple[str, str | None]:
    """Digest and reason of one file."""
    reason = suffix_reason(path, kind.noun.one, kind.suffixes)
    if reason is not None:
        return "", reason
    try:
        kind.load(path)
        reason = kind.mismatch(path)
        return ("", reason) if reason else (sha256_of_file(path), None)
    except InputError as error:
        return "", error_reason(path, error)
    except OSError as error:
        return "", f"cannot be read ({error.strerror or error})"


def error_reason(path: Path, error: InputError) -> str:
    """What an error says of a file, without the path."""
    return str(error).removeprefix(str(path)).strip(" :,")


def _image_mismatch(path: Path) -> str | None:
    with path.open("rb") as file:
        kind = _kind(file.read(16))
    return (
        None
        if path.suffix.lower() in _SUFFIXES[kind]
        else f"is a {kind} image but ends in {path.suffix}: rename it"
    )


_SUFFIXES = {
    "JPEG": frozenset({".jpg", ".jpeg", ".jpe", ".jfif"}),
    "PNG": frozenset({".png"}),
    "WebP": frozenset({".webp"}),
    "BMP": frozenset({".bmp"}),
    "GIF": frozenset({".gif"}),
}


def _kind(head: bytes) -> str:
    starts = {b"\xff\xd8": "JPEG", b"\x89PNG": "PNG", b"RIFF": "WebP", b"BM": "BMP"}
    return next((kind for start, kind in starts.items() if head.startswith(start)), "GIF")


# Raise the number when `_check` or `load_image` judge differently. The function is looked up at each call.
IMAGES = FileKind(
    SampleKind(),
    IMAGE_SUFFIXES,
    lambda path: load_image(path),
    _image_mismatch,
    f"1 pillow {PIL.__version__}",
)
"""Image files."""


def _cache_file(root: Path, key: str) -> Path | None:
    base = cache_directory()
    if base is None or not trusted_folder(base):
        return None
    name = sha256_of_bytes(os.fsencode(root.resolve()) + key.encode())[:32]
    return base / "data" / f"{name}.json"


def _read_cache(path: Path | None, reader: str) -> dict[str, CheckedFile]:
    if path is None:
        return {}
    try:
        cache = from_plain(_Cache, parse_json(path.read_bytes()))
    except (OSError, StructureError):
        return {}
    return dict(cache.files) if cache.reader == reader else {}


def _write_cache(path: Path | None, reader: str, files: Mapping[str, CheckedFile]) -> None:
    if path is None:
        return
    plain = {name: to_plain(file) for name, file in files.items() if file.seen}
    with contextlib.suppress(MachineError, OSError):  # a cache that cannot be written only costs time
        make_private(path.parent.parent)
        write_json(path, {"reader": reader, "files": plain})
