"""What a word on the command line stands for, where a file is a raw input."""

from collections.abc import Callable
from pathlib import Path
from typing import Any


def is_directory(path: str | Path) -> bool:
    """Whether `path` is a folder; False for a name that no file can have."""
    try:
        return str(path) != "" and Path(path).is_dir()
    except (OSError, ValueError):  # too long, or with a zero in it; whoever opens it says so in better words
        return False


def file_inputs(argument: str, files: Callable[[Path], list[Path]]) -> list[tuple[str, Any]]:
    """A file by its path, or each file that `files` finds in a folder."""
    paths = files(Path(argument)) if is_directory(argument) else [Path(argument)]
    return [(str(path), path) for path in paths]
