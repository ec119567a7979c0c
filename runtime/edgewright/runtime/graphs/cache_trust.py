"""Whether what lies in the cache folder can only have been written by this user: what is kept there is run."""

import os
import stat
from pathlib import Path

_told: set[str] = set()


def trusted_folder(folder: Path) -> bool:
    """Whether only this user, and root, can have put something into `folder`, which may not be there yet.

    If not, it is passed over, and a warning of the logger "edgewright" says so once.
    """
    reason = _wrong(folder)
    if reason and str(folder) not in _told:
        _told.add(str(folder))
        import logging  # which takes longer than all of this, and is mostly not needed

        logging.getLogger("edgewright").warning(
            "the cache %s is passed over, %s: give it to yourself alone (chmod 700), or name another with "
            "EDGEWRIGHT_CACHE",
            ascii(str(folder)),
            reason,
        )
    return not reason


def make_private(folder: Path) -> None:
    """Make `folder`, where it is not there yet, one that only this user may write to. Raises `OSError`."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)


def trusted_file(path: Path) -> bool:
    """Whether a file of a trusted folder is one of this user's alone, and no link. Raises `OSError`."""
    status = path.lstat()
    return stat.S_ISREG(status.st_mode) and status.st_nlink == 1 and not _foreign(status)


def _wrong(folder: Path) -> str:
    if not hasattr(os, "getuid"):  # Windows: folders of a user are that user's
        return ""
    try:
        status = folder.lstat()
    except FileNotFoundError:
        return ""
    except (OSError, ValueError) as error:
        return f"it cannot be read ({getattr(error, 'strerror', None) or error})"
    if stat.S_ISLNK(status.st_mode):
        return "it is a link"
    if not stat.S_ISDIR(status.st_mode):
        return "it is no folder"
    if status.st_uid not in (os.getuid(), 0):
        return "it belongs to another user"
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return "others may write to it"
    for parent in folder.resolve().parents:
        above = parent.stat()
        # Who may rename the folder may put another in its place; in /tmp only its owner may.
        if above.st_uid not in (os.getuid(), 0) or (
            above.st_mode & stat.S_IWOTH and not above.st_mode & stat.S_ISVTX
        ):
            return f"others may replace it ({str(parent)!a})"
    return ""


def _foreign(status: os.stat_result) -> bool:
    if not hasattr(os, "getuid"):
        return False
    return status.st_uid not in (os.getuid(), 0) or bool(status.st_mode & (stat.S_IWGRP | stat.S_IWOTH))
