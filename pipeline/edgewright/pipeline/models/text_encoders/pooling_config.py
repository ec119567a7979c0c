"""What sentence-transformers left beside a checkpoint: how tokens become one vector, and whether it has length 1."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgewright.runtime.bundle.structure import StructureError, parse_json
from edgewright.runtime.errors import ModelError
from edgewright.runtime.printable import printable

POOLINGS = ("mean", "cls", "max")
"""How the vectors of a text's tokens become one: their mean, that of the first token, the largest of each value."""

_MODES = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
}


@dataclass(frozen=True)
class Habits:
    """`pooling` and `normalise` are None where nothing is said. `max_tokens` is how many it was trained to read.
    `foreign` names a part of the model that cannot be carried, None where there is none.
    """

    pooling: str | None = None
    normalise: bool | None = None
    max_tokens: int | None = None
    foreign: str | None = None


def read_habits(folder: Path) -> Habits:
    """The habits of the checkpoint in `folder`. Raises `ModelError` for files that say nothing sensible."""
    modules = _read(folder / "modules.json")
    length = _read(folder / "sentence_bert_config.json")
    limit = length.get("max_seq_length") if isinstance(length, dict) else None
    limit = limit if isinstance(limit, int) and limit > 0 else None
    if modules is None:
        return Habits(max_tokens=limit)
    pooling: str | None = None
    normalise, foreign = False, None
    try:
        for module in modules:
            kind = str(module["type"]).rpartition(".")[2]
            if kind == "Pooling":
                pooling = _pooling(_read(folder / str(module["path"]) / "config.json"))
            elif kind == "Normalize":
                normalise = True
            elif kind != "Transformer":
                foreign = printable(kind)
    except (TypeError, KeyError):
        raise ModelError(
            f"model: {folder / 'modules.json'} is no list of modules: get a fresh copy"
        ) from None
    return Habits(pooling, normalise, limit, foreign)


def _pooling(config: Any) -> str:
    if not isinstance(config, dict):
        return "mean"  # sentence-transformers' own default
    if isinstance(config.get("pooling_mode"), str):
        return printable(config["pooling_mode"])
    chosen = [mode for mode, on in config.items() if mode.startswith("pooling_mode_") and on]
    names = [_MODES.get(mode, mode.removeprefix("pooling_mode_")) for mode in chosen]
    return printable("+".join(names)) or "mean"


def _read(path: Path) -> Any:
    try:
        return parse_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, StructureError) as error:
        raise ModelError(
            f"model: {path} cannot be read ({error}): get a fresh copy of the checkpoint"
        ) from None
