"""Tables on disk by columns: delimited text, JSON lines, Parquet and .npz, for the device and for training."""

from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgewright.runtime.bundle.files import regular_file
from edgewright.runtime.bundle.structure import StructureError
from edgewright.runtime.errors import InputError
from edgewright.runtime.tables.bombs import check_archive
from edgewright.runtime.tables.cells import column_numbers, column_times
from edgewright.runtime.tables.delimited import delimited_rows
from edgewright.runtime.tables.json_lines import json_lines
from edgewright.runtime.tables.packed import PackedTexts
from edgewright.runtime.tables.parquet_files import read_parquet

TABLE_SUFFIXES: Mapping[str, str] = {
    ".csv": "csv", ".tsv": "csv", ".parquet": "parquet", ".pq": "parquet", ".jsonl": "jsonl", ".ndjson": "jsonl",
    ".npz": "npz",
}  # fmt: skip
"""Ending of a file's name, lower case, to its form."""

_WANTED = ".csv, .jsonl, .parquet or .npz"


@dataclass(frozen=True)
class Table:
    """A table by columns.

    `columns` maps a name to its cells: texts as they are written (csv), plain JSON values (jsonl), a typed array or a
    list of Python values (parquet), an array of any shape (npz). `lines` is the line of the file on which each row
    ends; None where the file has no lines.
    """

    path: Path
    form: str
    columns: Mapping[str, Any]
    lines: Sequence[int] | None = None

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return max(
            (len(cells) if getattr(cells, "ndim", 1) else 1 for cells in self.columns.values()), default=0
        )

    def place(self, row: int) -> str:
        """ "line 17" for the row of this index, "row 16" in a file without lines."""
        return f"row {row + 1}" if self.lines is None else f"line {self.lines[row]}"

    def numbers(self, name: str) -> NDArray[np.float64]:
        """A column as float64 [rows], NaN for a missing cell. Raises `InputError` naming the line."""
        called = f"the column {name!r}"
        return column_numbers(
            self.columns[name],
            lambda row: f"{self.path}, {self.place(row)}: {called}",
            f"{self.path}: {called}",
        )

    def times(self, name: str) -> NDArray[np.float64]:
        """A column as times, float64 [rows]. Raises `InputError` naming the line."""
        return column_times(
            self.columns[name],
            lambda row: f"{self.path}, {self.place(row)}: {name!r}",
            f"{self.path}: {name!r}",
        )


def read_table(path: Path, form: str | None = None) -> Table:
    """Read a table; `form` (csv, jsonl, parquet, npz) says what it is where the ending of its name does not.

    Raises `InputError` naming the file and the line, `MachineError` for Parquet where pyarrow is missing.
    """
    regular_file(path, f"a {_WANTED} file")
    reader = _READERS.get(form or TABLE_SUFFIXES.get(path.suffix.lower(), ""))
    if reader is None:
        raise InputError(f"{path} is no table that a device reads: convert it to {_WANTED}")
    try:
        table = reader(path)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror or error}): check the disk") from None
    if not table.rows:
        raise InputError(f"{path} holds no rows: give at least one step")
    return table


def _read_csv(path: Path) -> Table:
    header, rows = delimited_rows(path)
    columns = [PackedTexts() for _ in header.names]
    lines = array("q")
    for some in rows:
        if set(map(len, some.cells)) != {len(columns)}:
            line, cells = next(
                (line, len(row))
                for line, row in zip(some.lines, some.cells, strict=True)
                if len(row) != len(columns)
            )
            raise InputError(
                f"{path}, line {line} has {cells} cells, the first line {len(columns)}: "
                "give every row all columns"
            )
        lines.extend(some.lines)
        for column, texts in zip(columns, zip(*some.cells, strict=True), strict=True):
            column.add(texts)
    return Table(path, "csv", dict(zip(header.names, columns, strict=True)), lines)


def _read_jsonl(path: Path) -> Table:
    rows: list[dict[str, Any]] = []
    lines: list[int] = []
    for line, row in json_lines(path):
        if isinstance(row, StructureError):
            out = "write a missing value as null" if "is not JSON" in str(row) else "mend the line"
            raise InputError(f"{path}, line {line}: {row}: {out}")
        if not isinstance(row, dict):
            raise InputError(f"{path}, line {line} is no object: write {{column: value}} on each line")
        rows.append(row)
        lines.append(line)
    names = dict.fromkeys(name for row in rows for name in row)
    return Table(path, "jsonl", {name: [row.get(name) for row in rows] for name in names}, lines)


def _read_parquet(path: Path) -> Table:
    return Table(path, "parquet", read_parquet(path))


def _read_npz(path: Path) -> Table:
    try:
        # Opened here: numpy leaves a file open that turns out not to be an archive.
        with path.open("rb") as file:
            archive = np.load(file, allow_pickle=False)
            if isinstance(archive, np.ndarray):
                raise ValueError("it is a single array, a .npy file")
            check_archive(archive.zip, path)
            return Table(path, "npz", {name: archive[name] for name in archive.files})
    except (OSError, InputError, MemoryError):
        raise
    except Exception as error:  # numpy, zipfile and what they call each have exceptions of their own
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{path} is no .npz archive of plain arrays ({reason}): save it again") from None


_READERS: Mapping[str, Callable[[Path], Table]] = {
    "csv": _read_csv,
    "jsonl": _read_jsonl,
    "parquet": _read_parquet,
    "npz": _read_npz,
}
