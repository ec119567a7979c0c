"""The files that hold a checkpoint's weights: safetensors, in one file or in several."""

import re
from pathlib import Path

from edgewright.pipeline.models.pickles import conversion_command, is_pickle
from edgewright.runtime.bundle.structure import StructureError, parse_json
from edgewright.runtime.errors import ModelError

_ONE, _INDEX = "model.safetensors", "model.safetensors.index.json"
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pth.tar")
_WHOLE, _PART = "pytorch_model.bin", re.compile(r"pytorch_model-\d+-of-\d+\.bin")
_OF_A_TRAINER = frozenset({"training_args.bin", "optimizer.pt", "scheduler.pt", "scaler.pt", "rng_state.pth"})


def weight_files(folder: Path) -> tuple[Path, ...]:
    """The safetensors files of the checkpoint in `folder`, in their order.

    Raises `ModelError` where there are none, or only a pickle; it tells the command that converts one.
    """
    if (folder / _ONE).is_file():
        return (folder / _ONE,)
    if (folder / _INDEX).is_file():
        return _sharded(folder)
    pickles = _pickles(folder)
    if pickles:
        raise ModelError(
            f"model: {folder} has its weights in a pickle ({', '.join(path.name for path in pickles)}), which can "
            f"run code when read: convert it once with {conversion_command(pickles, folder / _ONE)} "
            "and leave the recipe as it is"
        )
    raise ModelError(
        f"model: {folder} has no {_ONE}: get the whole checkpoint, with its weights in safetensors"
    )


def _pickles(folder: Path) -> list[Path]:
    """The pickles that hold the weights, in order: those of their published name, else any one."""
    if is_pickle(folder / _WHOLE):
        return [folder / _WHOLE]  # the parts beside it hold the same
    paths = {path for pattern in _PICKLES for path in folder.glob(pattern) if path.name not in _OF_A_TRAINER}
    found = sorted(path for path in paths if is_pickle(path))
    return [path for path in found if _PART.fullmatch(path.name)] or found[:1]


def _sharded(folder: Path) -> tuple[Path, ...]:
    try:
        table = parse_json((folder / _INDEX).read_bytes()).get("weight_map")
        names = sorted({str(name) for name in table.values()})
    except (OSError, StructureError, AttributeError):
        raise ModelError(
            f"model: {folder / _INDEX} cannot be read: get a fresh copy of the checkpoint"
        ) from None
    missing = [name for name in names if Path(name).name != name or not (folder / name).is_file()]
    if missing or not names:
        lacks = missing[0] if missing else "any file of weights"
        raise ModelError(f"model: {folder} lacks {lacks}, which its index names: get the whole checkpoint")
    return tuple(folder / name for name in names)
