"""The rows of a table as raw inputs of a text model; a row that cannot be read takes none of the others with it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgewright.runtime.bundle.files import regular_file
from edgewright.runtime.bundle.structure import StructureError, parse_json
from edgewright.runtime.errors import InputError
from edgewright.runtime.inputs import Unreadable
from edgewright.runtime.tables.cells import cell_text
from edgewright.runtime.tables.delimited import delimited_rows
from edgewright.runtime.tables.json_lines import json_lines
from edgewright.runtime.tables.parquet_files import parquet_parts
from edgewright.runtime.tables.reading import TABLE_SUFFIXES

RowReader = Callable[[Path], Iterator[tuple[str, Any]]]
"""A file with many inputs to these, each with its name, one after another: some thousands at most are in memory."""


def table_rows(path: Path) -> Iterator[tuple[str, Any]]:
    """Every row of a table, as it is read, with its name, the path and its line (of Parquet its number): columns by
    name, a text, or `Unreadable`, which is also the last one where the file cannot be read on.

    Raises `MachineError` for Parquet where pyarrow is missing.
    """
    try:
        regular_file(path, "a file")
        yield from _FORMS[TABLE_SUFFIXES[path.suffix.lower()]](path)
    except InputError as error:
        yield str(path), Unreadable(str(error))
    except OSError as error:
        yield str(path), Unreadable(f"{path} cannot be read ({error.strerror or error}): check the disk")


def json_input(content: str, where: str) -> Any:
    """A text that is JSON as a raw input, or `Unreadable`."""
    try:
        return _from_json(parse_json(content), where)
    except StructureError as error:
        return _from_json(error, where)


def _from_json(value: Any, where: str) -> Any:
    if isinstance(value, StructureError):
        return Unreadable(f"{where}: {value}: write one JSON object on each line")
    if not isinstance(value, (dict, str)):
        return Unreadable(f"{where} is no object and no text: write {{column: text}}")
    return value


def _csv_rows(path: Path) -> Iterator[tuple[str, Any]]:
    header, rows = delimited_rows(path)
    line = 0
    for line, row in ((line, row) for some in rows for line, row in zip(some.lines, some.cells, strict=True)):
        if len(row) == len(header.names):
            yield f"{path}:{line}", dict(zip(header.names, row, strict=True))
        else:
            yield f"{path}:{line}", Unreadable(f"{path}, line {line} has another number of cells: mend it")
    if not line:
        raise InputError(f"{path} names columns and has no rows: write one input on each line")


def _json_rows(path: Path) -> Iterator[tuple[str, Any]]:
    line = 0
    for line, value in json_lines(path):
        raw = _from_json(value, f"{path}, line {line}")
        yield f"{path}:{line}", _as_written(raw) if isinstance(raw, dict) else raw
    if not line:
        raise InputError(f"{path} is empty: write one input on each line")


def _parquet_rows(path: Path) -> Iterator[tuple[str, Any]]:
    number = 0
    for part in parquet_parts(path):
        columns = [_plain(cells) for cells in part.values()]
        for row in zip(*columns, strict=True):
            number += 1
            yield f"{path}:{number}", _as_written(dict(zip(part, row, strict=True)))
    if not number:
        raise InputError(f"{path} has no rows: write one input into each")


def _plain(cells: Any) -> Sequence[Any]:
    """Cells as plain values; times as the texts that training reads them as."""
    if not isinstance(cells, np.ndarray):
        plain: Sequence[Any] = cells
        return plain
    values: list[Any] = [cell_text(cell) for cell in cells] if cells.dtype.kind == "M" else cells.tolist()
    return values


def _as_written(row: dict[str, Any]) -> dict[str, Any]:
    """Numbers and missing cells as the texts that training reads them as."""
    return {
        name: (cell_text(cell) or "") if cell is None or isinstance(cell, (int, float)) else cell
        for name, cell in row.items()
    }


_FORMS = {"csv": _csv_rows, "jsonl": _json_rows, "parquet": _parquet_rows}

ROW_READERS: Mapping[str, RowReader] = {
    suffix: table_rows for suffix, form in TABLE_SUFFIXES.items() if form in _FORMS
}
"""Ending of the name of a file that holds many texts, lower case, to what reads it."""
