"""What a stream remembers, as a value and as a file: bound to the graph and the settings it came from."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgewright.runtime.bundle.files import regular_file, write_bytes
from edgewright.runtime.errors import InputError

_FORMAT = "edgewright-stream-1"
_LARGEST_FILE = 1 << 30


@dataclass(frozen=True, eq=False)
class StreamState:
    """The state of one stream.

    `model` is the digest of the step graph and of the settings it belongs to; `arrays` holds the states of the graph
    and, below "front.", what is remembered of the raw input; `series` is the name of the series, mostly empty.
    """

    model: str
    series: str
    arrays: Mapping[str, NDArray[Any]]


def save_state(state: StreamState, path: Path) -> None:
    """Write a state as a safetensors file, atomically. Raises `MachineError` when the machine refuses."""
    from safetensors.numpy import save

    arrays = {name: np.ascontiguousarray(array) for name, array in state.arrays.items()}
    write_bytes(path, save(arrays, {"format": _FORMAT, "model": state.model, "series": state.series}))


def load_state(path: Path) -> StreamState:
    """Read a state that `save_state` wrote. Raises `InputError` for any other file."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    regular_file(path, "the state of a stream")
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise ValueError("too large")
        content = path.read_bytes()
        length = int.from_bytes(content[:8], "little")
        found = json.loads(content[8 : 8 + length])["__metadata__"]
        if found["format"] != _FORMAT:
            raise ValueError("another format")
        return StreamState(str(found["model"]), str(found["series"]), load(content))
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror or error}): check the disk") from None
    except (SafetensorError, KeyError, TypeError, ValueError, RecursionError):
        raise InputError(
            f"{path} is not the state of a stream: give a file that Stream.save has written"
        ) from None


def check_state(state: StreamState, model: str, wanted: Mapping[str, NDArray[Any]], whose: str) -> None:
    """Raise `InputError` unless `state` came from `model` and holds arrays like those of `wanted`."""
    if state.model != model:
        raise InputError(
            f"{whose} comes from another model, variant or settings: use the bundle it was saved with, or begin anew"
        )
    for name in sorted({*wanted, *state.arrays}):
        mine, given = wanted.get(name), state.arrays.get(name)
        if mine is None or given is None or mine.shape != given.shape or mine.dtype != given.dtype:
            raise InputError(f"{whose} does not fit this stream ({name}): begin anew")
        if given.dtype.kind == "f" and not np.isfinite(given).all():
            raise InputError(f"{whose} holds NaN or infinity ({name}): begin anew")
