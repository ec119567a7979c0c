"""Weights into a module: never from a pickle, and never a part of them in silence."""

from collections.abc import Container, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from edgewright.pipeline.models.pickles import is_pickle, pickle_error
from edgewright.runtime.bundle.structure import StructureError, parse_json
from edgewright.runtime.errors import ModelError, RecipeError

_SHOWN = 6


def read_weights_file(path: Path) -> dict[str, Tensor]:
    """All tensors of a .safetensors file, on the CPU. Raises `ModelError` naming the way out."""
    if not path.is_file():
        raise ModelError(
            f"weights: there is no file {path}: give imagenet, none or the path of a .safetensors file"
        )
    if is_pickle(path):
        raise pickle_error(path)
    try:
        state: dict[str, Tensor] = load_file(path)
        return state
    except SafetensorError as error:
        raise ModelError(
            f"weights: {path} is not a whole .safetensors file ({error}): get a fresh copy"
        ) from None
    except OSError as error:
        raise ModelError(
            f"weights: {path} cannot be read ({error.strerror or error}): check the file"
        ) from None


def without_wrapper(state: Mapping[str, Tensor], own: Container[str]) -> dict[str, Tensor]:
    """`state` without what a wrapper ("module.", "_orig_mod.", "backbone.", "model.") set before all of its names.

    Only where none of them is one of `own`, the model's, and some are without it: else `state` as it is.
    """
    names = dict(state)
    while not any(name in own for name in names):
        prefix = f"{next(iter(names), '').partition('.')[0]}."
        if not names or not all(name.startswith(prefix) for name in names):
            return dict(state)
        names = {name.removeprefix(prefix): tensor for name, tensor in names.items()}
    return names


def load_state(
    module: nn.Module,
    state: Mapping[str, Tensor],
    source: str,
    heads: Sequence[str],
    auxiliary: Iterable[str],
    keep_head: bool,
) -> None:
    """Copy `state` into `module`, completely.

    Args:
        source: where the weights come from, for messages.
        keep_head: also take the head and the auxiliary heads' last layers; without it those of `module` stay
        as they
            are, and a whole auxiliary head does where `state` has none.

    Raises:
        ModelError: naming the tensors that are missing, unexpected or of another shape.
    """

    def _headed(key: str) -> bool:
        return any(_below(key, head) for head in heads)

    own = module.state_dict()
    given = dict(state)
    fresh: set[str] = set() if keep_head else {key for key in own if _headed(key)}
    for path in auxiliary:
        keys = {key for key in own if _below(key, path)}
        if not keep_head and not any(_below(key, path) for key in given):
            # an auxiliary head has done its work when training ends: weights often come without
            fresh |= keys
        elif not keep_head:
            fresh |= {key for key in keys if key.rsplit(".", 1)[0] in _last_layers(module, path)}
    for key in list(given):
        if key in fresh or (not keep_head and _headed(key)):
            del given[key]
    # the counter of old checkpoints: it only matters for a momentum of None, which no model here uses
    absent = [
        key
        for key in own
        if key not in given and key not in fresh and not key.endswith("num_batches_tracked")
    ]
    unexpected = [key for key in given if key not in own]
    mismatched = [
        f"{key} {_shape(given[key])} instead of {_shape(own[key])}"
        for key in given
        if key in own and given[key].shape != own[key].shape
    ]
    if keep_head and any(_headed(entry.split(" ")[0]) for entry in mismatched):
        theirs, ours = (tensors[f"{heads[0]}.weight"].shape[0] for tensors in (given, own))
        raise ModelError(
            f"{source} has a head for {theirs} classes and the data has {ours}: "
            "set transfer.head to new, or bring data of the same classes"
        )
    problems = [
        f"{what} {_some(keys)}"
        for what, keys in (("missing", absent), ("unexpected", unexpected), ("other shape:", mismatched))
        if keys
    ]
    if problems:
        raise ModelError(
            f"{source} does not fit the model: {'; '.join(problems)}: choose the model it was saved from"
        )
    module.load_state_dict(given, strict=False)


def _below(key: str, path: str) -> bool:
    return key.startswith(f"{path}.")


def _last_layers(module: nn.Module, path: str) -> set[str]:
    """Path of the layer inside an auxiliary head that makes its logits."""
    layers = [
        f"{path}.{name}"
        for name, layer in module.get_submodule(path).named_modules()
        if isinstance(layer, nn.Linear)
    ]
    return set(layers[-1:])


def _shape(tensor: Tensor) -> str:
    return "x".join(str(size) for size in tensor.shape) or "scalar"


def _some(entries: list[str]) -> str:
    shown = ", ".join(entries[:4])
    return f"{shown} and {len(entries) - 4} more" if len(entries) > 4 else shown


def read_weights_record(path: Path) -> dict[str, Any] | None:
    """The build record that a run left beside its weights, as plain values; None where there is none.

    Call it after `read_weights_file`, which says what is wrong with a file that cannot be read.
    """
    build = _record(path).get("build")
    return build if isinstance(build, dict) else None


def check_kept_classes(path: Path, classes: Sequence[str], renamed: bool) -> None:
    """Hold the classes of the data against those that a run gave its head, where that head is kept.

    An output means what it was trained for, whatever it is called later: by other names, or by the same in another
    order, answers would be wrong without a word. `renamed` says that the recipe lists the classes, so that new names
    are meant. Raises `RecipeError`.
    """
    names = _record(path).get("classes")
    if not isinstance(names, list) or len(names) != len(classes) or names == list(classes):
        return  # nothing is known, or another number, which loading the weights tells
    if set(names) == set(classes):
        raise RecipeError(
            f"data.classes: the head of {path} was trained for {_listed(names)}, in this order, and the data has "
            f"{_listed(classes)}: list them in the head's order in data.classes, or set transfer.head: new"
        )
    if not renamed:
        raise RecipeError(
            f"transfer.head: the head of {path} was trained for {_listed(names)}, and the data has {_listed(classes)}: "
            "list in data.classes what its outputs mean now, in order, or set transfer.head: new"
        )


def _record(path: Path) -> dict[str, Any]:
    """What a run wrote beside its weights; empty where there is nothing."""
    try:
        with safe_open(path, framework="np") as file:
            record = parse_json((file.metadata() or {}).get("edgewright") or "null")
    except (OSError, SafetensorError, StructureError):
        return {}
    return record if isinstance(record, dict) else {}


def _listed(names: Sequence[object]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(str(name) for name in names[:_SHOWN]) + more
