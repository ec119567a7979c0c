"""Large delimited text by pyarrow: every cell as the text that is written, as the plain reader gives it, but faster and
smaller.

Whatever pyarrow would read in another way, or could not explain, is left to the plain reader.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, overload

import numpy as np
from numpy.typing import NDArray

from edgewright.runtime.errors import InputError
from edgewright.runtime.tables.delimited import Header, read_header

_BLOCK = 16 << 20
_TRIES = 64
_AT_ONCE = 1 << 16
_BOM = b"\xef\xbb\xbf"
_QUOTE, _LINE_FEED, _RETURN = b'"\n\r'


class TextColumn(Sequence[str]):
    """A column of texts in the form of pyarrow, a tenth of the size of a list; cells become `str` as they are read."""

    def __init__(self, column: Any) -> None:
        self._column = column

    def __len__(self) -> int:
        return len(self._column)

    def __iter__(self) -> Iterator[str]:
        for start in range(0, len(self), _AT_ONCE):
            yield from self[start : start + _AT_ONCE]

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> list[str]: ...

    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            texts: list[str] = self._column.slice(start, max(stop - start, 0)).to_pylist()
            return texts[::step] if step > 0 else list(self)[index]
        text: str = self._column[index].as_py()
        return text

    def floats(self) -> NDArray[np.float64] | None:
        """float64 [rows], NaN for an empty cell, where pyarrow reads every cell as Python would; None elsewhere."""
        import pyarrow
        from pyarrow import compute

        try:
            if compute.any(
                compute.match_substring(self._column, "(")
            ).as_py():  # nan(1) is one of its numbers
                return None
            filled = compute.if_else(compute.equal(self._column, ""), None, self._column)
            values: NDArray[np.float64] = filled.cast(pyarrow.float64()).to_numpy()
        except pyarrow.ArrowInvalid:
            return None
        return values


def read_large_csv(path: Path) -> tuple[dict[str, TextColumn], Sequence[int] | None] | None:
    """The columns of a table, and the line of each row where rows and lines go together.

    None where the plain reader has to say what is wrong. Raises `OSError`.
    """
    import pyarrow
    from pyarrow import csv

    try:
        header = read_header(path)
        lines = _lines(path, header)
        block = _block_size(path)
        if lines is None or block is None:
            return None
        read = csv.read_csv(
            path,
            read_options=csv.ReadOptions(
                column_names=list(header.names), skip_rows=header.lines, block_size=block
            ),
            parse_options=csv.ParseOptions(delimiter=header.delimiter, newlines_in_values=True),
            convert_options=csv.ConvertOptions(
                column_types=dict.fromkeys(header.names, pyarrow.string()), strings_can_be_null=False
            ),
        )
    except (InputError, pyarrow.ArrowException):
        return None
    if not read.num_rows:
        return None
    plain = lines == header.lines + read.num_rows  # no empty lines, and no line breaks within cells
    columns = {name: TextColumn(read.column(name)) for name in header.names}
    return columns, range(header.lines + 1, lines + 1) if plain else None


def _block_size(path: Path) -> int | None:
    """How many bytes pyarrow may read at once: it loses the line feed of a CR LF that begins the next block, and so
    alters a quoted cell with such a line break.
    """
    end = path.stat().st_size
    with path.open("rb") as file:
        for size in range(_BLOCK, _BLOCK + _TRIES):
            if not any(_pair(file, place) == b"\r\n" for place in range(size, end, size)):
                return size
    return None


def _pair(file: BinaryIO, place: int) -> bytes:
    """The bytes before and behind a place."""
    file.seek(place - 1)
    return file.read(2)


def _lines(path: Path, header: Header) -> int | None:
    """How many lines the file has, 0 where that is hard to say; None for quotes that the plain reader refuses."""
    lines, inside, returns = 0, False, False
    with path.open("rb") as file:
        if file.read(len(_BOM)) != _BOM:
            file.seek(0)
        while content := file.read(_BLOCK) + file.readline():  # whole lines
            state = _quotes(np.frombuffer(content, np.uint8), ord(header.delimiter), inside)
            if state is None:
                return None
            inside = state
            lines += content.count(b"\n") + (not content.endswith(b"\n"))
            returns = returns or content.count(b"\r") != content.count(b"\r\n")
    return None if inside else 0 if returns else lines


def _quotes(content: NDArray[np.uint8], delimiter: int, inside: bool) -> bool | None:
    """Whether a quoted cell is open behind `content`, whole lines before which one was open if `inside`.

    None for a quote that does not begin a cell, end one, or stand twice for itself: some readers let them pass.
    """
    quotes = np.flatnonzero(content == _QUOTE)
    if not len(quotes):
        return inside
    first = np.flatnonzero(np.diff(quotes, prepend=-2) > 1)  # runs of quotes: "" within a cell is one
    sizes = np.diff(first, append=len(quotes))
    starts = quotes[first]
    ends = starts + sizes
    opened = np.cumsum(np.concatenate(([inside], sizes[:-1] % 2 == 1))) % 2 == 1  # before each run
    closes = (opened & (sizes % 2 == 1)) | (~opened & (sizes % 2 == 0))
    limit = np.zeros(256, bool)
    limit[[delimiter, _LINE_FEED, _RETURN]] = True
    begins = (starts == 0) | limit[content[starts - 1]]
    stops = (ends == len(content)) | limit[content[np.minimum(ends, len(content) - 1)]]
    if not ((opened | begins) & (~closes | stops)).all():
        return None
    return bool((int(inside) + int(sizes.sum())) % 2)
