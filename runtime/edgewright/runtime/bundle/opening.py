"""Opens a bundle: nothing in it is parsed before every file has shown the digest the manifest promises."""

import contextlib
import os
import stat
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from edgewright.runtime.arguments import is_path, kind_of
from edgewright.runtime.bundle.files import sha256_of_file
from edgewright.runtime.bundle.graph_files import check_graph_files
from edgewright.runtime.bundle.manifest import (
    MANIFEST_NAME,
    MAX_MANIFEST_BYTES,
    FileEntry,
    Manifest,
    manifest_from_json,
)
from edgewright.runtime.bundle.replacing import recover_directory
from edgewright.runtime.errors import BundleError

_FRESH = "get a fresh copy of the bundle"


@dataclass(frozen=True)
class Bundle:
    """A bundle whose files have all been checked."""

    root: Path
    manifest: Manifest

    def path(self, relative: str) -> Path:
        """The place of the bundle's file `relative`. Raises `BundleError` for a file that the manifest does
        not list.
        """
        if all(entry.path != relative for entry in self.manifest.files):
            raise BundleError(f"the bundle {self.root} lists no file {relative!r}: {_FRESH}")
        return self.root / relative

    def digest(self, relative: str) -> str:
        """The hex SHA-256 of the bundle's file `relative`. Raises `BundleError` as `path` does."""
        for entry in self.manifest.files:
            if entry.path == relative:
                return entry.sha256
        raise BundleError(f"the bundle {self.root} lists no file {relative!r}: {_FRESH}")

    def assets(self) -> dict[str, bytes]:
        """The content of each asset by its role. Raises `BundleError` for one that cannot be read."""
        found = {}
        for role, file in self.manifest.assets.items():
            try:
                found[role] = self.path(file).read_bytes()
            except OSError as error:
                raise BundleError(
                    f"{file} in the bundle cannot be read ({error.strerror}): {_FRESH}"
                ) from None
        return found


def open_bundle(path: str | Path) -> Bundle:
    """Check the bundle at `path`, a folder, and open it.

    Links, odd files, missing, extra, resized and altered files are refused, sizes before digests, and digests
    before anything but the manifest is parsed; then graphs that ask for more than they may. Where a process was killed
    while it replaced the bundle, what stood there is put back. Raises `BundleError` naming
    the first file that is wrong.
    """
    if not is_path(path):
        raise BundleError(
            f"a bundle is named by the path of its folder, not by {kind_of(path)}: give a str or a Path"
        )
    root = Path(path)
    try:
        if not root.exists():
            with contextlib.suppress(ValueError):  # a name that no system can have
                recover_directory(root.resolve())
        if not root.exists():
            raise BundleError(f"{root} does not exist: give the folder of a bundle")
        if not root.is_dir():
            raise BundleError(f"{root} is not a folder: give the folder that holds {MANIFEST_NAME}")
        manifest = manifest_from_json(_read_manifest(root))
        _check_tree(root, manifest.files)
        _check_digests(root, manifest.files)
        check_graph_files(root, manifest)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise BundleError(
            f"the bundle {root} cannot be read ({reason}): check its permissions and disk"
        ) from None
    return Bundle(root, manifest)


def _regular_size(path: Path | os.DirEntry[str], name: str) -> int:
    status = path.stat(follow_symlinks=False)
    if stat.S_ISLNK(status.st_mode):
        raise BundleError(f"{name} in the bundle is a link: copy the bundle with its links resolved (cp -rL)")
    if not stat.S_ISREG(status.st_mode):
        raise BundleError(f"{name} in the bundle is not a regular file: {_FRESH}")
    if status.st_nlink > 1:  # whoever holds the other name can change the file after it was checked
        raise BundleError(f"{name} in the bundle is a hard link to another file: copy the bundle (cp -r)")
    return status.st_size


def _read_manifest(root: Path) -> bytes:
    path = root / MANIFEST_NAME
    if not os.path.lexists(path):
        raise BundleError(f"{root} is not a bundle, it has no {MANIFEST_NAME}: give the folder of a bundle")
    size = _regular_size(path, MANIFEST_NAME)
    if size > MAX_MANIFEST_BYTES:
        raise BundleError(
            f"{MANIFEST_NAME} has {size} bytes, more than the {MAX_MANIFEST_BYTES} allowed: {_FRESH}"
        )
    with path.open("rb") as file:
        return file.read(MAX_MANIFEST_BYTES + 1)


def _check_tree(root: Path, entries: Iterable[FileEntry]) -> None:
    sizes = {entry.path: entry.size for entry in entries}
    folders = {folder for path in sizes for folder in _parents(path)}
    found: set[str] = set()
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        with os.scandir(root / folder) as listing:
            for item in listing:
                name = f"{folder}/{item.name}" if folder else item.name
                if item.is_dir(follow_symlinks=False):
                    if name not in folders:
                        raise BundleError(f"the bundle holds a folder {name!r} that it should not: remove it")
                    waiting.append(name)
                    continue
                size = _regular_size(item, name)
                if name == MANIFEST_NAME:
                    continue
                if name not in sizes:
                    raise BundleError(f"the bundle holds a file {name!r} that it should not: remove it")
                if size != sizes[name]:
                    raise BundleError(
                        f"{name} in the bundle has {size} bytes instead of {sizes[name]}: {_FRESH}"
                    )
                found.add(name)
    missing = sorted(sizes.keys() - found)
    if missing:
        raise BundleError(f"{missing[0]} is missing from the bundle {root}: {_FRESH}")


def _parents(path: str) -> Iterable[str]:
    parts = path.split("/")
    return ("/".join(parts[:count]) for count in range(1, len(parts)))


def _check_digests(root: Path, entries: Iterable[FileEntry]) -> None:
    waiting = sorted(entries, key=lambda entry: entry.size)
    helpers = min(4, os.cpu_count() or 1) - 1 if sum(entry.size for entry in waiting) > 1 << 20 else 0
    trouble: list[Exception] = []

    def work() -> None:
        # Hashing lets go of the interpreter, so that the cores share the work; a list's pop is safe among
        # threads.
        while waiting and not trouble:
            try:
                entry = waiting.pop()
                if sha256_of_file(root / entry.path) != entry.sha256:
                    raise BundleError(
                        f"{entry.path} in the bundle has been altered, its digest differs: {_FRESH}"
                    )
            except IndexError:
                return
            except (BundleError, OSError) as error:
                trouble.append(error)

    # Plain threads: the pools of concurrent.futures would double the time that importing this package takes.
    threads = [threading.Thread(target=work, name="edgewright-digest") for _ in range(helpers)]
    started = []
    with contextlib.suppress(RuntimeError):  # no memory for more of them: the others do the work
        for thread in threads:
            thread.start()
            started.append(thread)
    work()
    for thread in started:
        thread.join()
    if trouble:
        raise trouble[0]
