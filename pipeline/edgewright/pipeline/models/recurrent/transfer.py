"""Weights of another run into a recurrent model: only where its layers and inputs are the same."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from edgewright.pipeline.models.model import BuiltModel
from edgewright.pipeline.models.weights import (
    load_state,
    read_weights_file,
    read_weights_record,
    without_wrapper,
)
from edgewright.runtime.errors import ModelError

_SHAPING = (
    "layers",
    "hidden",
    "bidirectional",
    "residual",
    "layer_norm",
    "activation",
    "readout",
    "embedding",
)
"""What of a network decides what its weights mean, beside the cell; dropout and initialisation do not."""


def load_weights(built: BuiltModel, path: Path, keep_head: bool) -> None:
    """Copy the weights of the file at `path` into `built`; without `keep_head` its head stays as it is.

    Raises:
        ModelError: the file is not readable, or was left by another cell, network, tokenizer, or other features;
            what differs is named.
    """
    state = without_wrapper(read_weights_file(path), built.module.state_dict())
    source = f"weights: {path}"
    record = read_weights_record(path)
    if record is not None:
        for difference in _differences(record, built.build, keep_head):
            raise ModelError(f"{source} {difference}")
    if keep_head and "head.weight" in state:
        theirs, ours = (tensors["head.weight"].shape for tensors in (state, built.module.state_dict()))
        if theirs != ours:
            raise ModelError(
                f"{source} has a head of {theirs[0]} outputs from {theirs[1]} values, this one needs "
                f"{ours[0]} from {ours[1]}: set transfer.head to new, or bring data of the same targets"
            )
    load_state(built.module, state, source, built.heads, (), keep_head=keep_head)


def _differences(theirs: Mapping[str, Any], ours: Mapping[str, Any], keep_head: bool) -> Iterator[str]:
    """What of the other run's record does not fit, the most telling first."""
    if theirs.get("library") != ours["library"]:
        yield f"is a {theirs.get('name')} of {theirs.get('library')}: choose the weights of a recurrent model"
    before, now = theirs.get("network"), ours["network"]
    if not isinstance(before, Mapping):
        return
    if before.get("cell") != now["cell"]:
        yield f"was trained as {before.get('cell')}, the recipe says {now['cell']}: set model: {before.get('cell')}"
    tokens = ours["task"] == "text-classification"
    for key in _SHAPING:
        if before.get(key) == now[key] or (key == "embedding" and not tokens):
            continue
        if key == "readout" and not keep_head:
            continue
        yield (
            f"was trained with {key} {_text(before.get(key))}, the recipe says {_text(now[key])}: "
            f"set network.{key}: {_text(before.get(key))}"
        )
    settings, own = theirs.get("settings") or {}, ours["settings"]
    for key, way_out in (
        ("features", "give these columns in this order (data.features)"),
        ("mels", "set audio.mels to the former"),
    ):
        if settings.get(key) != own.get(key):
            yield f"was trained on {key} {_text(settings.get(key))}, the data has {_text(own.get(key))}: {way_out}"
    if (theirs.get("assets") or {}) != ours["assets"]:
        yield "was trained with another tokenizer: tokens would not mean the same: train from weights: none"


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return ", ".join(str(entry) for entry in value)
    return str(value)
