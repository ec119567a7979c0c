"""Trained weights into encoders: those of a checkpoint, whole or in shards, and those that a run left."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from edgewright.pipeline.models.pickles import is_pickle
from edgewright.pipeline.models.text_encoders.checkpoint import Checkpoint
from edgewright.pipeline.models.text_encoders.network import published_class, without_pooler
from edgewright.pipeline.models.text_encoders.quiet import quiet_transformers
from edgewright.pipeline.models.text_encoders.weight_files import weight_files
from edgewright.pipeline.models.weights import load_state, read_weights_file, read_weights_record
from edgewright.runtime.errors import ModelError

_NUMBER = re.compile(r"\.\d+\.")


def load_encoder(checkpoint: Checkpoint) -> nn.Module:
    """transformers' bare encoder with the checkpoint's weights, in float32. Raises `ModelError`."""
    from transformers import AutoModel

    return _load(checkpoint, AutoModel, without_pooler(checkpoint.config))


def load_published(checkpoint: Checkpoint, answer: str) -> nn.Module:
    """transformers' model with the checkpoint's own head, in float32. Raises `ModelError`."""
    return _load(checkpoint, published_class(answer), {})


def _load(checkpoint: Checkpoint, kind: Any, arguments: Mapping[str, Any]) -> nn.Module:
    import torch

    weight_files(checkpoint.folder)  # says what is missing better than transformers does
    with quiet_transformers():
        try:
            model, report = kind.from_pretrained(
                checkpoint.folder,
                config=checkpoint.config,  # whose way to compute attention is transformers' own
                dtype=torch.float32,
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=False,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # so that they are named: what is told here is an error, too
                **arguments,
            )
        except Exception as error:  # transformers, safetensors and torch raise classes of their own
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
            raise ModelError(
                f"model: the weights of {checkpoint.name} do not make a {checkpoint.architecture} ({reason}): "
                "get a fresh copy of the checkpoint"
            ) from None
    unfit = sorted(report["mismatched_keys"])
    if unfit:
        name, given, wanted = unfit[0]
        raise ModelError(
            f"model: the weights of {checkpoint.name} do not fit its config.json: {name} is "
            f"{' x '.join(map(str, given))}, and is to be {' x '.join(map(str, wanted))}: "
            "get a fresh copy of the checkpoint"
        )
    missing = sorted(report["missing_keys"])
    if missing:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise ModelError(
            f"model: the weights of {checkpoint.name} lack {', '.join(missing[:3])}{more}: "
            "get the whole checkpoint, or another one"
        )
    made: nn.Module = model
    beyond = _beyond(report["unexpected_keys"], made)
    if beyond is not None:
        raise ModelError(
            f"model: the weights of {checkpoint.name} hold {beyond}, a layer that its config.json does not count: "
            "get a fresh copy of the checkpoint"
        )
    return made


def _beyond(unexpected: Iterable[str], model: nn.Module) -> str | None:
    """The first weight of a numbered layer of which `model` has others, but not this one; heads may be left out."""
    own = {_NUMBER.sub(".N.", name) for name in model.state_dict()}
    base = f"{getattr(model, 'base_model_prefix', '')}."
    for name in sorted(unexpected):
        same = {_NUMBER.sub(".N.", one) for one in (name, name.removeprefix(base))}
        if _NUMBER.search(name) and same & own:
            return name
    return None


def read_run(path: Path, library: str) -> tuple[Mapping[str, Any], dict[str, Tensor], str]:
    """The build record, the tensors and what to call the file of weights that a run of an encoder left.

    Raises `ModelError` where the file is of anything else.
    """
    source = f"weights: {path}"
    if is_pickle(path):
        raise ModelError(
            f"{source} is a pickle, which no run left: name the folder of its checkpoint as model, "
            "with weights: pretrained"
        )
    state = read_weights_file(path)
    record = read_weights_record(path)
    if record is None:
        raise ModelError(
            f"{source} was not left by a run: name the folder of a checkpoint as model, with weights: pretrained"
        )
    if record.get("library") != library:
        raise ModelError(
            f"{source} is a {record.get('name')} of {record.get('library')}: choose the weights of an encoder"
        )
    return record, state, source


def run_into_encoder(encoder: nn.Module, state: Mapping[str, Tensor], source: str, published: bool) -> None:
    """Copy the encoder's weights out of those of a run, whatever its head was for. Raises `ModelError`."""
    own = encoder.state_dict()
    given: dict[str, Tensor] = {}
    for name, tensor in state.items():
        # "encoder.layer.0..." of a model of ours, "network.bert.layer.0..." of a published one
        parts = name.split(".", 2 if published else 1)
        if published and len(parts) == 3 and parts[2] in own:
            given[parts[2]] = tensor
        elif not published and parts[0] == "encoder":
            given[parts[1]] = tensor
    load_state(encoder, given, source, (), (), keep_head=True)
