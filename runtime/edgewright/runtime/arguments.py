"""Arguments of the public calls: what is of the wrong type is refused in one line, not by whoever meets it first."""

import os
from pathlib import Path
from typing import Any

import numpy as np

from edgewright.runtime.errors import InputError


def check_whole(value: Any, name: str, out: str = "give 1 or more") -> int:
    """`value`, if it is a whole number of 1 or more. Raises `InputError` naming the argument and the way `out`."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise InputError(f"{name} is {kind_of(value)}: {out}")
    if value < 1:
        raise InputError(f"{name} is {value}: {out}")
    return int(value)


def check_text(value: Any, name: str, wanted: str) -> str:
    """`value`, if it is a text. Raises `InputError` naming the argument and what is `wanted`."""
    if not isinstance(value, str):
        raise InputError(f"{name} is {kind_of(value)}: give {wanted}")
    return value


def check_flag(value: Any, name: str) -> bool:
    """`value`, if it is True or False. Raises `InputError` naming the argument."""
    if not isinstance(value, (bool, np.bool_)):
        raise InputError(f"{name} is {kind_of(value)}: give True or False")
    return bool(value)


def is_path(value: Any) -> bool:
    """Whether a value can be the path of a file."""
    return isinstance(value, (str, Path)) or (
        isinstance(value, os.PathLike) and isinstance(os.fspath(value), str)
    )


def kind_of(value: Any) -> str:
    """What a value is, in a message: a short text as it is written, anything else by its type."""
    return repr(value) if isinstance(value, str) and len(value) <= 40 else type(value).__name__
