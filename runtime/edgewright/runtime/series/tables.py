"""Tables on disk by columns, and back: CSV, JSON lines and .npz."""

import csv
import io
import stat
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgewright.runtime.bundle.structure import StructureError, parse_json
from edgewright.runtime.errors import InputError
from edgewright.runtime.series.values import parse_number, parse_time

TABLE_SUFFIXES = frozenset({".csv", ".jsonl", ".npz"})
"""Endings of file names, lower case, that a device reads series from."""

_DELIMITERS = ",;\t"


@dataclass(frozen=True)
class Table:
    """A table by columns.

    `columns` maps a name to its cells: texts (CSV), plain JSON values (JSON lines) or an array (.npz). `lines` is the
    line of the file for each row; empty where the file has no lines.
    """

    path: Path
    columns: Mapping[str, Any]
    lines: tuple[int, ...] = ()

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return max((len(cells) for cells in self.columns.values()), default=0)

    def numbers(self, name: str) -> NDArray[np.float64]:
        """A column of cells as float64 [rows], NaN for a missing one. Raises `InputError` naming the line."""
        cells = self.columns[name]
        try:
            if not any(isinstance(cell, str) and "_" in cell for cell in cells):
                return np.array([np.nan if cell is None else float(cell) for cell in cells])
        except (TypeError, ValueError):
            pass
        result = np.empty(len(cells))
        for row, cell in enumerate(cells):
            where = f"{self.path}, line {self.lines[row]}: the column {name!r}"
            if isinstance(cell, str):
                result[row] = parse_number(cell, where)
            elif cell is None or isinstance(cell, (int, float)):
                result[row] = np.nan if cell is None else cell
            else:
                raise InputError(
                    f"{where} holds {type(cell).__name__} where a number is needed: give numbers"
                )
        return result

    def times(self, name: str) -> NDArray[np.float64]:
        """A column of cells as times, float64 [rows]. Raises `InputError` naming the line."""
        return np.array(
            [
                parse_time(
                    "" if cell is None else str(cell), f"{self.path}, line {self.lines[row]}: {name!r}"
                )
                for row, cell in enumerate(self.columns[name])
            ]
        )


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


def table_files(directory: Path) -> list[Path]:
    """Every table below `directory`, by the ending of its name, sorted. Raises `InputError` when there is none."""
    found = sorted(
        path for path in directory.rglob("*") if path.suffix.lower() in TABLE_SUFFIXES and path.is_file()
    )
    if not found:
        raise InputError(f"no table in {directory}: give a folder with .csv, .jsonl or .npz files")
    return found


def read_table(path: Path, suffix: str | None = None) -> Table:
    """Read a .csv, .jsonl or .npz file; `suffix` says which of these it is where its name does not.

    Raises `InputError` naming the file and the line.
    """
    regular_file(path, "a .csv, .jsonl or .npz file")
    readers = {".csv": _read_csv, ".jsonl": _read_jsonl, ".npz": _read_npz}
    reader = readers.get((suffix or path.suffix).lower())
    if reader is None:
        raise InputError(f"{path} is no table that a device reads: convert it to .csv, .jsonl or .npz")
    try:
        table = reader(path)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror or error}): check the disk") from None
    if not table.rows:
        raise InputError(f"{path} holds no rows: give at least one step")
    return table


def _text(path: Path) -> Iterator[str]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield from file
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text ({error.reason}): save it as UTF-8") from None


def _read_csv(path: Path) -> Table:
    lines = _text(path)
    header = next(lines, "")
    delimiter = max(_DELIMITERS, key=header.count)
    names = [name.strip() for name in next(csv.reader([header], delimiter=delimiter), [])]
    if not any(names):
        raise InputError(f"{path} is empty: give a table whose first line names the columns")
    twice = [name for index, name in enumerate(names) if name in names[:index]]
    if twice:
        raise InputError(f"{path}: the column {twice[0]!r} occurs twice: rename one")
    if all(_is_number(name) for name in names):
        raise InputError(f"{path}: the first line holds numbers: write the names of the columns above it")
    rows: list[list[str]] = []
    places: list[int] = []
    reader = csv.reader(lines, delimiter=delimiter, strict=True)  # a quote that is never closed is an error
    try:
        for row in reader:
            if not row:
                continue
            if len(row) != len(names):
                raise InputError(
                    f"{path}, line {reader.line_num + 1} has {len(row)} cells, the first line {len(names)}: "
                    "give every row all columns"
                )
            rows.append(row)
            places.append(reader.line_num + 1)
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num + 1} cannot be read ({error}): mend it") from None
    columns = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)) if rows else {}
    return Table(path, columns, tuple(places))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _read_jsonl(path: Path) -> Table:
    rows: list[dict[str, Any]] = []
    places: list[int] = []
    for number, line in enumerate(_text(path), 1):
        if not line.strip():
            continue
        try:
            row = parse_json(line)
        except StructureError as error:
            out = "write a missing value as null" if "is not JSON" in str(error) else "mend the line"
            raise InputError(f"{path}, line {number}: {error}: {out}") from None
        if not isinstance(row, dict):
            raise InputError(f"{path}, line {number} is no object: write {{column: value}} on each line")
        rows.append(row)
        places.append(number)
    names = dict.fromkeys(name for row in rows for name in row)
    return Table(path, {name: [row.get(name) for row in rows] for name in names}, tuple(places))


def _read_npz(path: Path) -> Table:
    try:
        # Opened here: numpy leaves a file open that turns out not to be an archive.
        with path.open("rb") as file:
            archive = np.load(file, allow_pickle=False)
            if isinstance(archive, np.ndarray):
                raise ValueError("it is a single array, a .npy file")
            return Table(path, {name: archive[name] for name in archive.files})
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile, NotImplementedError) as error:
        raise InputError(f"{path} is no .npz archive of plain arrays ({error}): save it again") from None


def write_csv(names: Sequence[str], columns: Sequence[Sequence[str] | NDArray[np.float64]]) -> bytes:
    """Columns of one length as CSV that reads back to the same numbers, to the last bit; NaN as "nan"."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(names)
    texts = [
        [repr(value) for value in column.tolist()] if isinstance(column, np.ndarray) else column
        for column in columns
    ]
    writer.writerows(zip(*texts, strict=True))
    return buffer.getvalue().encode()
