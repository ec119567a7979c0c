"""Small files that would become large: looked at before memory is taken for what they hold."""

import math
import zipfile
from pathlib import Path
from typing import IO

from numpy.lib import format as npy

from edgewright.runtime.errors import InputError

_HARMLESS = 1 << 28
"""Bytes that any file may become."""

_MOST_ARCHIVE, _MOST_CELLS = 200, 100
"""How many times as large as itself an archive may become beyond that, and how many cells of a Parquet file may stand
in one byte: what is measured repeats itself less.
"""


def check_archive(archive: zipfile.ZipFile, path: Path) -> None:
    """Raise `InputError` for an .npz archive that would take far more memory than its size tells, and `ValueError` for
    one in which an array is said to be larger than what there is of it.
    """
    entries = archive.infolist()
    _check(path, sum(entry.file_size for entry in entries), _MOST_ARCHIVE)
    for entry in entries:
        with archive.open(entry) as file:
            stored = _array_bytes(file)
        if stored is not None and stored > entry.file_size:
            raise ValueError(f"{entry.filename} ends before its array does")


def check_cells(path: Path, rows: int, columns: int) -> None:
    """Raise `InputError` for a Parquet file of far more cells than its size tells."""
    _check(path, 8 * rows * columns, 8 * _MOST_CELLS)


def _check(path: Path, bytes_made: int, most: int) -> None:
    if bytes_made > max(_HARMLESS, most * path.stat().st_size):
        raise InputError(
            f"{path} would become {bytes_made >> 20} MiB, {most} times its size and more: save what is needed of it"
        )


def _array_bytes(file: IO[bytes]) -> int | None:
    """How many bytes the values of a .npy file take by its header; None for one without a header that is known."""
    try:
        version = npy.read_magic(file)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, _, dtype = read(file)
    except (ValueError, EOFError):  # numpy says what is wrong with it
        return None
    return 0 if dtype.hasobject else math.prod(shape) * dtype.itemsize
