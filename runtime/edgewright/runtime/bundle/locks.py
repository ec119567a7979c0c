"""Locks by which others see that a folder is still being written: they end with the process that holds them."""

import contextlib
import importlib
import os
import sys
import time
from pathlib import Path
from typing import Any

try:
    fcntl: Any = importlib.import_module("fcntl")
except ImportError:  # Windows
    fcntl = None

_LONG_AGO = 24 * 3600
"""Seconds after which what cannot be locked, where there are no locks, counts as left behind."""


class Lock:
    """A lock on a folder, held until it is closed."""

    def __init__(self, descriptor: int | None = None) -> None:
        self._descriptor = descriptor

    def close(self) -> None:
        """Let go of it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def lock_folder(path: Path) -> Lock | None:
    """Lock the folder at `path` until the lock is closed; None where somebody else holds it or has taken it away.

    Where the system or the disk has no locks it is as if nobody else were there.
    """
    if fcntl is None or sys.platform == "win32":
        return Lock()
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    lock = Lock(descriptor)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return None
    except OSError:  # a disk without locks
        return lock
    with contextlib.suppress(OSError):
        if os.path.samestat(os.fstat(descriptor), path.lstat()):
            return lock
    lock.close()
    return None


def lock_abandoned(path: Path) -> Lock | None:
    """The lock on a folder whose writer has ended; None where it still writes. Where there are no locks, what is older
    than a day is taken for abandoned.
    """
    lock = lock_folder(path)
    if lock is not None and not _has_locks(path):
        with contextlib.suppress(OSError):
            if path.lstat().st_mtime < time.time() - _LONG_AGO:
                return lock
        lock.close()
        return None
    return lock


def _has_locks(path: Path) -> bool:
    """Whether a lock on `path`, which this process holds, is seen by others."""
    if fcntl is None or sys.platform == "win32":
        return False
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
        finally:
            os.close(descriptor)
    return False
