"""JSON lines, the only place where they are read."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgewright.runtime.bundle.structure import StructureError, parse_json
from edgewright.runtime.errors import InputError

_BOM = b"\xef\xbb\xbf"

_LONGEST_LINE = 64 << 20
"""Bytes of one line."""


def json_lines(path: Path) -> Iterator[tuple[int, Any]]:
    """The number and the plain value of each line that is not empty; a `StructureError` for a line that is broken.

    Read in bytes, so that a broken line takes none of the others with it. Raises `OSError`, and `InputError` for a
    line that no memory should hold.
    """
    number = 0
    with path.open("rb") as file:
        while content := file.readline(_LONGEST_LINE):
            if len(content) == _LONGEST_LINE:
                raise InputError(
                    f"{path}, line {number + 1} has more than {_LONGEST_LINE >> 20} MiB: divide it"
                )
            for line in content.splitlines():  # a lone carriage return ends a line as well
                number += 1
                line = line.removeprefix(_BOM) if number == 1 else line
                if line.strip():
                    yield number, _value(line)


def _value(line: bytes) -> Any:
    try:
        return parse_json(line.decode("utf-8"))
    except UnicodeDecodeError:
        return StructureError("not UTF-8 text")
    except StructureError as error:
        return error
