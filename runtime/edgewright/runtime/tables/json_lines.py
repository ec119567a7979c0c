"""JSON lines, the only place where they are read."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgewright.runtime.bundle.structure import StructureError, parse_json

_BOM = b"\xef\xbb\xbf"


def json_lines(path: Path) -> Iterator[tuple[int, Any]]:
    """The number and the plain value of each line that is not empty; a `StructureError` for a line that is broken.

    Read in bytes, so that a broken line takes none of the others with it. Raises `OSError`.
    """
    number = 0
    with path.open("rb") as file:
        for content in file:
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
