"""A whole directory put in the place of another: in one step where the system has it, mended afterwards where not.

What a writer has not finished stands beside the target as ".NAME.tmp-XXXXXXXX"; what it replaces, for a moment and only
where there is no such step, as ".NAME.old-XXXXXXXX". The writer holds a lock on both, which another container on the
same volume sees as well: what is not locked was left by a process that was killed.
"""

import contextlib
import ctypes
import errno
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from edgewright.runtime.bundle.files import explain_os_error, sync_directory
from edgewright.runtime.bundle.locks import lock_abandoned, lock_folder
from edgewright.runtime.errors import BundleError

_HERE, _EXCHANGE = -100, 2
"""AT_FDCWD and RENAME_EXCHANGE of Linux."""

_NO_EXCHANGE = (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP)

_PATIENCE = 5.0
"""Seconds to wait for a writer that lives and has moved the target away: it has one more name to change."""


def replace_directory(target: Path, fill: Callable[[Path], None]) -> None:
    """Let `fill` write a whole directory, then put it in the place of `target`.

    What stood at `target` stays untouched until `fill` has succeeded, and one of the two is there at any moment. Where
    two names cannot be exchanged at once there is neither between two renames; whoever looks for it next, see
    `recover_directory`, puts back what stood there. What a killed process left beside it is removed. Raises
    `MachineError` when the machine refuses.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(target)
        with _own_directory(target) as temporary:
            fill(temporary)
            for file in temporary.rglob("*"):
                if file.is_file():
                    with file.open("rb+") as handle:
                        os.fsync(handle.fileno())
            _put_in_place(temporary, target)
            sync_directory(target.parent)
    except OSError as error:
        raise explain_os_error(error, target) from error


def recover_directory(target: Path) -> None:
    """Put back what stood at `target` where a process was killed while it replaced it; a living one is waited for.

    Raises `BundleError` with what to do where this process may not.
    """
    deadline = time.monotonic() + _PATIENCE
    while not os.path.lexists(target):
        left = _leftovers(target, "old")
        for old in left:
            lock = lock_abandoned(old)
            if lock is not None:
                _put_back(old, target)
                lock.close()
                return
        if not left or time.monotonic() > deadline:
            return
        time.sleep(0.02)


def _put_back(old: Path, target: Path) -> None:
    try:
        old.rename(target)
    except FileNotFoundError:  # another process did it
        return
    except OSError as error:
        raise BundleError(
            f"{target} was being replaced when that was ended, and cannot be put back ({error.strerror}): "
            f"rename {old} to {target.name}"
        ) from None


@contextlib.contextmanager
def _own_directory(target: Path) -> Iterator[Path]:
    """An empty directory beside `target`, locked; what is there in the end is removed."""
    lock = None
    while lock is None:
        made = target.with_name(f".{target.name}.tmp-{os.urandom(4).hex()}")
        made.mkdir()
        lock = lock_folder(made)  # another process may have taken it for abandoned, and removed it
    try:
        yield made
    finally:
        if made.is_symlink():  # what stood at the target was a link to a folder
            made.unlink()
        shutil.rmtree(made, ignore_errors=True)
        lock.close()


def _put_in_place(temporary: Path, target: Path) -> None:
    """Afterwards `target` is what was `temporary`; what stood there before has gone, or lies at `temporary`."""
    if not os.path.lexists(target):
        temporary.rename(target)
        return
    if exchange(temporary, target):
        return
    old = temporary.with_name(temporary.name.replace(".tmp-", ".old-"))
    lock = lock_folder(target)
    try:
        target.rename(old)
        try:
            temporary.rename(target)
        except OSError:
            old.rename(target)
            raise
        shutil.rmtree(old, ignore_errors=True)
    finally:
        if lock is not None:
            lock.close()


def exchange(one: Path, other: Path) -> bool:
    """Let two paths of one disk change places in one step; False where the system or the disk cannot do that.

    Raises `OSError` where these paths cannot.
    """
    rename = (
        getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None) if sys.platform == "linux" else None
    )
    if rename is None:
        return False
    sys.audit("os.rename", str(one), str(other), -1, -1)  # as every other way to rename does
    if rename(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in _NO_EXCHANGE:
        return False
    raise OSError(number, os.strerror(number), str(one), None, str(other))


def _remove_leftovers(target: Path) -> None:
    """Remove what killed processes left of `target`, after putting it back where that is all there is."""
    recover_directory(target)
    for leftover in (*_leftovers(target, "tmp"), *_leftovers(target, "old")):
        lock = lock_abandoned(leftover)
        if lock is not None:
            shutil.rmtree(leftover, ignore_errors=True)
            lock.close()


def _leftovers(target: Path, kind: str) -> list[Path]:
    """The folders of this kind beside `target`, the one that was moved last first; none where that cannot be seen."""
    start, found = f".{target.name}.{kind}-", []
    with contextlib.suppress(OSError):
        for path in target.parent.iterdir():
            token = path.name.removeprefix(start)
            # Of decimal digits alone, the number of a process, are those of older releases.
            if token != path.name and token.isalnum() and path.is_dir() and not path.is_symlink():
                found.append((-path.lstat().st_ctime_ns, path))
    return [path for _, path in sorted(found)]
