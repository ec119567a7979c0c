"""Tables of texts: what their rows are called, and what their cells hold."""

from typing import Any

import numpy as np

from edgewright.pipeline.data.files.table_files import TableFile
from edgewright.pipeline.data.files.tables import Table
from edgewright.runtime.errors import DataError

LISTS = (list, tuple, np.ndarray)
"""The types of a cell that holds a list."""


def sample_names(file: TableFile, count: int, several: bool) -> list[str]:
    """The ids of the `count` samples of a file: numbers of one width, after its name where files are `several`."""
    prefix = f"{file.name}/" if several else ""
    width = len(str(max(count - 1, 0)))
    return [f"{prefix}{number:0{width}d}" for number in range(count)]


def column_texts(table: Table, column: str) -> list[str | None]:
    """The texts of a column, None for an empty cell. Raises `DataError` for a cell that is a list or an object."""
    cells = table.cells[column]
    for row, cell in enumerate(cells if isinstance(cells, list) else ()):
        if isinstance(cell, (list, dict)):
            what = "a list" if isinstance(cell, list) else "an object"
            raise DataError(
                f"{table.name}, {table.place(row)}: the column {column!r} holds {what} where a text is needed"
            )
    return table.texts(column)


def is_missing(cell: Any) -> bool:
    """Whether a cell holds nothing: null, or the NaN that stands for it in a column of numbers."""
    return cell is None or (isinstance(cell, float) and bool(np.isnan(cell)))
