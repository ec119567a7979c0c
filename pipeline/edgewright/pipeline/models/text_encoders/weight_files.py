"""The files that hold a checkpoint's weights: safetensors, in one file or in several."""

import re
from pathlib import Path

from edgewright.runtime.bundle.structure import StructureError, parse_json
from edgewright.runtime.errors import ModelError

_ONE, _INDEX = "model.safetensors", "model.safetensors.index.json"
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")
_PUBLISHED = re.compile(r"pytorch_model(-\d+-of-\d+)?\.bin")
_PLAIN = re.compile(r"[\w.-]+")
_OF_A_TRAINER = frozenset({"training_args.bin", "optimizer.pt", "scheduler.pt", "scaler.pt", "rng_state.pth"})


def weight_files(folder: Path) -> tuple[Path, ...]:
    """The safetensors files of the checkpoint in `folder`, in their order.

    Raises `ModelError` where there are none, or only a pickle; it tells the command that converts one.
    """
    if (folder / _ONE).is_file():
        return (folder / _ONE,)
    if (folder / _INDEX).is_file():
        return _sharded(folder)
    # A name that a shell would read as a command comes into no command that is told.
    found = {
        path.name for pattern in _PICKLES for path in folder.glob(pattern) if _PLAIN.fullmatch(path.name)
    }
    found -= _OF_A_TRAINER
    if found:
        pickles = sorted(filter(_PUBLISHED.fullmatch, found)) or sorted(found)[:1]
        if "pytorch_model.bin" in pickles:
            pickles = ["pytorch_model.bin"]  # the parts beside it hold the same
        raise ModelError(
            f"model: {folder} has its weights in a pickle ({', '.join(pickles)}), which can run code when read: "
            f'convert it once, in that folder: python -c "import torch, safetensors.torch as s; '
            f"s.save_file({{k: v.clone() for f in {pickles} "
            f"for k, v in torch.load(f, weights_only=True, map_location='cpu').items()}}, "
            f"'{_ONE}', {{'format': 'pt'}})\""
        )
    raise ModelError(
        f"model: {folder} has no {_ONE}: get the whole checkpoint, with its weights in safetensors"
    )


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
