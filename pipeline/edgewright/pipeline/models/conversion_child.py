"""The only place where a pickle is read: `weights_only`, in a process that does nothing else.

Run as `python -m edgewright.pipeline.models.conversion_child ORDER`; the order and the report are JSON.
"""

import contextlib
import json
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from edgewright.pipeline.models.pickles import file_head, is_zip, printable
from edgewright.pipeline.models.saved_states import (
    ROOT,
    SavedState,
    choose_state,
    saved_states,
    without_wrappers,
)
from edgewright.runtime.errors import ModelError

_SAVE_TENSORS = "save its tensors alone, torch.save(model.state_dict(), 'weights.pt'), and convert that file"

_REASONS = {
    "TorchScript": "is a program of TorchScript, not weights",
    "Unsupported operand": "is of a pickle protocol that is not read safely",
    "Invalid magic number": "is a pickle that torch.save did not write",
}
"""What a part of torch's error means."""


class _LeftOut:
    """Stands for an object that is no weight, whatever it was made of: no code of its class or package runs."""

    def __new__(cls, *_arguments: Any) -> "_LeftOut":
        return super().__new__(cls)

    def __setstate__(self, state: Any) -> None:
        pass


def _empty(*_arguments: Any) -> dict[Any, Any]:
    return {}


_PATHS = ("Path", "PosixPath", "WindowsPath", "PurePath", "PurePosixPath", "PureWindowsPath")
_STAND_INS: Mapping[str, Callable[..., Any]] = {
    "collections.defaultdict": _empty,
    **dict.fromkeys(
        ("argparse.Namespace", "types.SimpleNamespace", "numpy.dtype", "numpy.ndarray"), _LeftOut
    ),
    **{
        f"numpy.{core}.multiarray.{name}": _LeftOut
        for core in ("core", "_core")
        for name in ("scalar", "_reconstruct")
    },
    **{f"{module}.{name}": _LeftOut for module in ("pathlib", "pathlib._local") for name in _PATHS},
    **{f"builtins.{name}": _LeftOut for name in ("bool", "dict", "float", "int", "list", "str", "tuple")},
}
"""What trainers leave beside weights: arguments, paths, scores. The classes themselves are never called: a crafted
`numpy.dtype`, for one, makes numpy follow addresses that the file chooses."""


def convert(paths: list[Path], out: Path, key: str | None) -> dict[str, Any]:
    """Write the tensors of the pickles at `paths` to `out`; what was taken and what was not. Raises `ModelError`."""
    states, left_out = list[SavedState](), list[str]()
    for path in paths:
        document = _load(path)
        with _naming(path):
            states.append(choose_state(saved_states(document), key))
            _check_plain(states[-1].tensors)
        left_out += _left_out(document, states[-1])
    tensors, stripped = without_wrappers(_joined(states, paths))
    _write(_separate(tensors), out)
    return {
        "keys": [printable(state.key) for state in states],
        "tensors": len(tensors),
        "values": sum(tensor.numel() for tensor in tensors.values()),
        "left_out": [printable(name) for name in left_out],
        "stripped": list(stripped),
    }


def _load(path: Path, map_it: bool = True) -> Any:
    # torch takes a file of this name for one in safetensors, unless it is given open
    mapped = map_it and is_zip(file_head(path)) and path.suffix != ".safetensors"
    try:
        return _unpickled(path, mapped)
    except Exception as error:  # torch raises what it likes, and so does what a broken pickle asks for
        if mapped and "mmap" in str(error):  # a file system that maps no files
            return _load(path, map_it=False)
        raise ModelError(f"{path} {_reason(error)}") from None


def _unpickled(path: Path, mapped: bool) -> Any:
    allowed = torch.serialization.safe_globals([(made, name) for name, made in _STAND_INS.items()])
    with contextlib.ExitStack() as stack:
        stack.enter_context(allowed)
        # about pickles of another protocol, which nobody here chose
        stack.enter_context(warnings.catch_warnings(action="ignore"))
        source = path if mapped else stack.enter_context(path.open("rb"))
        return torch.load(source, map_location="cpu", weights_only=True, mmap=mapped)


def _reason(error: Exception) -> str:
    text = str(error)
    named = re.search(r"GLOBAL (\S{1,100})", text)
    if named and "is blocked" in text:
        return f"names {named[1]}, which runs commands when read: do not use this file"
    if named:
        return f"holds a {named[1]}, whose code would run when read: where you trust it, {_SAVE_TENSORS}"
    for part, reason in _REASONS.items():
        if part in text:
            return f"{reason}: where it was made, {_SAVE_TENSORS}"
    if "allocate memory" in text or isinstance(error, MemoryError):
        return "needs more memory than there is: convert it on a machine with more"
    told = (text.partition("WeightsUnpickler error:")[2] or text).strip().splitlines()
    return f"is not whole, or no file of torch.save ({(told or [type(error).__name__])[0][:160]}): get a fresh copy"


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    try:
        yield
    except ModelError as error:
        raise ModelError(f"{path} {error}") from None


def _check_plain(tensors: Mapping[str, Tensor]) -> None:
    for name, tensor in tensors.items():
        if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_nested or tensor.is_meta:
            raise ModelError(
                f"holds {name}, a sparse, quantized, nested or empty tensor, which safetensors cannot hold: where it "
                f"was made, make it a plain one, {_SAVE_TENSORS}"
            )


def _left_out(document: Any, state: SavedState) -> list[str]:
    """Names of what is not written: the entries beside the way to `state`, and those in it that are no tensors."""
    if state.key == ROOT:
        return list(state.left_out)
    beside = [str(name) for name in document if not f"{state.key}.".startswith(f"{name}.")]
    return [*beside, *state.left_out]


def _joined(states: list[SavedState], paths: list[Path]) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    for state, path in zip(states, paths, strict=True):
        twice = next((name for name in state.tensors if name in tensors), None)
        if twice is not None:
            raise ModelError(f"{path} holds {twice}, as another of these files does: convert each alone")
        tensors.update(state.tensors)
    return tensors


def _separate(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Each tensor contiguous and in memory of its own, as safetensors wants it: tied ones are written twice."""
    separate, used = dict[str, Tensor](), set[int]()
    for name, tensor in tensors.items():
        plain = tensor.detach().resolve_conj().resolve_neg().contiguous()
        place = plain.untyped_storage().data_ptr()
        separate[name] = plain.clone() if place in used else plain
        used.add(place)
    return separate


def _write(tensors: dict[str, Tensor], out: Path) -> None:
    try:
        save_file(tensors, out, {"format": "pt"})
    except (
        Exception
    ) as error:  # safetensors has a class of its own, and KeyError for a type that it does not know
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
        raise ModelError(
            f"{out.parent} does not take the tensors ({reason}): see to its space and rights"
        ) from None


def main(order: str) -> None:
    """Do as the JSON `order` says and print the report as JSON."""
    paths, out, key = json.loads(order)
    try:
        report = convert([Path(path) for path in paths], Path(out), key)
    except ModelError as error:
        report = {"error": str(error)}
    print(json.dumps(report))


if __name__ == "__main__":
    main(sys.argv[1])
