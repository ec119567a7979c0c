"""Files written whole or not at all, digests of files, and which files can be opened."""

import contextlib
import errno
import hashlib
import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgewright.runtime.errors import InputError, MachineError

_CHUNK = 1 << 20


def regular_file(path: Path, wanted: str) -> None:
    """Raise `InputError` unless `path` is a file that can be opened; `wanted` says what to give instead."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        raise InputError(f"{path} does not exist: check the path") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path} cannot be read ({reason}): check the path") from None
    if stat.S_ISDIR(mode):
        raise InputError(f"{path} is a folder: give {wanted}")
    if not stat.S_ISREG(mode):  # opening a pipe would wait forever
        raise InputError(f"{path} is not a regular file: give {wanted}")


def sha256_of_bytes(content: bytes) -> str:
    """Hex SHA-256 of `content`."""
    return hashlib.sha256(content).hexdigest()


def sha256_of_file(path: Path) -> str:
    """Hex SHA-256 of the file at `path`, read in 1 MiB pieces."""
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        buffer = bytearray(_CHUNK)
        view = memoryview(buffer)
        while count := file.readinto(buffer):
            digest.update(view[:count])
    return digest.hexdigest()


def canonical_json(value: Any) -> str:
    """`value` as JSON that is the same text for the same value: sorted keys, two-space indent, no NaN."""
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def explain_os_error(error: OSError, path: Path) -> MachineError:
    """The one-line error for an `OSError` met while writing `path`."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return MachineError(
            f"no disk space left while writing {path}: free some space and run the same command again"
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return MachineError(f"cannot write {path} ({error.strerror}): choose a folder you may write to")
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        return MachineError(f"cannot write {path} ({error.strerror}): a file stands where a folder is needed")
    return MachineError(f"cannot write {path}: {error.strerror or error}")


def sync_directory(directory: Path) -> None:
    """See to it that what was renamed in `directory` survives a power cut."""
    # A rename survives a power cut only once its directory is on disk. Not every file system can do it.
    with contextlib.suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def write_atomically(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it is synced and renamed to `path`, else removed.

    For writers that want a path of their own. Raises `MachineError` when the machine refuses.
    """
    # Not by the number of this process: one in another container on the same volume may have the same.
    temporary = path.with_name(f".{path.name}.tmp-{os.urandom(4).hex()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_directory(path.parent)
    except OSError as error:
        raise explain_os_error(error, path) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path` atomically."""
    with write_atomically(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` atomically, UTF-8."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Write `value` to `path` atomically as canonical JSON."""
    write_text(path, canonical_json(value))
