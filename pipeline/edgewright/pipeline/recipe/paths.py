"""The paths of a recipe: made absolute when it is read, and told from the names that are none."""

import os
from pathlib import Path
from typing import Any

from edgewright.pipeline.catalog import BUILTIN_PREFIX, PACKAGE_PREFIX, RUN_WEIGHTS, WEIGHT_WORDS


def resolve_paths(document: dict[str, Any], folder: Path) -> None:
    """Make the paths of `document` absolute, counted from `folder`.

    A model is a path where it begins with ".", "~" or "/", or where it has a separator and the folder exists.
    """
    data, weights, model = document.get("data"), document.get("weights"), document.get("model")
    if isinstance(data, str):
        document["data"] = _source(data, folder)
    elif isinstance(data, dict) and isinstance(data.get("source"), str):
        data["source"] = _source(data["source"], folder)
    if isinstance(weights, str) and weights not in WEIGHT_WORDS:
        document["weights"] = _weights_file(_absolute(weights, folder))
    if isinstance(model, str) and _is_path(model, folder):
        document["model"] = _absolute(model, folder)


def _source(written: str, folder: Path) -> str:
    return written if written.startswith(BUILTIN_PREFIX) else _absolute(written, folder)


def _is_path(model: str, folder: Path) -> bool:
    if model.startswith(PACKAGE_PREFIX):
        return False
    if model.startswith((".", "~", os.sep)):
        return True
    try:
        return os.sep in model and (folder / model).is_dir()
    except (ValueError, OSError):
        return False


def _weights_file(written: str) -> str:
    """The weights in the folder of a run; anything else as it is."""
    try:
        inside = Path(written) / RUN_WEIGHTS
        return str(inside) if inside.is_file() else written
    except (ValueError, OSError):
        return written


def _absolute(written: str, folder: Path) -> str:
    if not written:
        return written
    try:
        return str(Path(folder / Path(written).expanduser()).resolve())
    except (RuntimeError, ValueError, OSError):  # "~nobody", a null byte, a loop of links
        return written
