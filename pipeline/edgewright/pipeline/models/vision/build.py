"""From a model's name and a number of classes to a model of images ready to train, and to the same again."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from edgewright.pipeline.models.model import BuiltModel
from edgewright.pipeline.models.vision.blocks import divide
from edgewright.pipeline.models.vision.input_size import check_input_size, head_input_shape, runs_at
from edgewright.pipeline.models.vision.library import Library, library_named, library_of
from edgewright.pipeline.models.vision.registry import find_model
from edgewright.pipeline.models.weights import load_state, read_weights_file, without_wrapper
from edgewright.runtime.errors import ModelError, RecipeError


def build_model(
    name: str,
    classes: int,
    weights: str | Path = "imagenet",
    input_size: int | None = None,
    head: str = "new",
    seed: int = 0,
) -> BuiltModel:
    """Build the classifier of images `name` for a number of classes.

    Args:
        name: a torchvision model, or `timm:NAME`.
        weights: "imagenet" for the library's published weights, "none" for random ones, or the path of a
            .safetensors file saved from this model; a file's head may have other classes unless it is kept.
        input_size: height and width in pixels, instead of those the published weights expect.
        head: "new" for a fresh head, "keep" to take the head of the weights too.
        seed: decides every random weight; the process's own random state is left alone.

    Returns:
        The model in eval mode, on the CPU.

    Raises:
        RecipeError: the model is unknown (near matches are named) or the arguments do not fit together.
        ModelError: the weights cannot be had or do not fit, or the input size is not possible.
    """
    if classes < 2:
        raise RecipeError(
            f"model: a classifier needs at least 2 classes, not {classes}: add data of another class"
        )
    if head not in ("new", "keep"):
        raise RecipeError(f"transfer.head: {head!r} is neither new nor keep: choose one of them")
    if head == "keep" and str(weights) == "none":
        raise RecipeError(
            "transfer.head: there is no head to keep with weights: none: set transfer.head to new"
        )
    entry = find_model(name)
    library_name, short = library_of(entry.name)
    library = library_named(library_name)
    size = library.default_size(short) if input_size is None else (input_size, input_size)
    record = {
        "library": library_name,
        "name": short,
        "classes": classes,
        "input_size": list(size),
        "seed": seed,
    }
    if str(weights) == "imagenet":
        licence = library.licence(short)
    elif str(weights) == "none":
        licence = "none (trained from random weights)"
    else:
        licence = "that of the weights file the training started from"
    built = _build(library, record, licence)
    if str(weights) == "none":
        return built
    if str(weights) == "imagenet":
        state, source = library.published_state(short, size), f"the published weights of {name}"
    else:
        state, source = read_weights_file(Path(weights)), f"weights: {weights}"
        state = without_wrapper(state, built.module.state_dict())
    dropped = [path for path in library.auxiliary_heads(short) if path not in built.auxiliary_heads]
    state = {key: tensor for key, tensor in state.items() if key.partition(".")[0] not in dropped}
    state = library.adapt_state(built.module, state)
    load_state(built.module, state, source, built.heads, built.auxiliary_heads, keep_head=head == "keep")
    return built


def rebuild_vision(build: Mapping[str, Any], licence: str = "unknown") -> BuiltModel:
    """The model of a `BuiltModel.build` record of a model of images, with random weights. Raises `ModelError`."""
    needed = {"library": str, "name": str, "classes": int, "input_size": list, "seed": int}
    for key, kind in needed.items():
        if not isinstance(build.get(key), kind):
            raise ModelError(f"the model's record has no proper {key!r}: take it from the run that made it")
    library = library_named(build["library"])
    size = build["input_size"]
    if len(size) != 2 or not all(isinstance(side, int) and side > 0 for side in size):
        raise ModelError("the model's record has no proper 'input_size': take it from the run that made it")
    prefix = "" if build["library"] == "torchvision" else f"{build['library']}:"
    find_model(f"{prefix}{build['name']}")
    return _build(library, dict(build), licence)


def _build(library: Library, record: dict[str, Any], licence: str) -> BuiltModel:
    short, classes = record["name"], record["classes"]
    size = (record["input_size"][0], record["input_size"][1])
    if min(size) < 1:
        raise RecipeError(f"input.size: {min(size)} is not a number of pixels: give 1 or more")
    name = short if record["library"] == "torchvision" else f"{record['library']}:{short}"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(record["seed"])
        module = library.construct(short, classes, size)
        heads = library.head_paths(short, module)
        for head in heads:
            _refresh(module.get_submodule(head))
    auxiliary = library.auxiliary_heads(short)
    if size != library.default_size(short):
        check_input_size(name, module, size)
        if auxiliary and not runs_at(module, size, training=True):
            # the auxiliary classifiers need larger images than the model: it trains without them
            library.drop_auxiliary(module)
            auxiliary = {}
    return BuiltModel(
        name=name,
        module=module.eval(),
        classes=classes,
        head=heads[0],
        twin_head=heads[1] if len(heads) > 1 else None,
        auxiliary_heads=auxiliary,
        settings=library.settings(short, size),
        blocks=divide(module, heads, auxiliary),
        licence=licence,
        build=record,
        feature_shape=head_input_shape(module, heads, size),
    )


def _refresh(head: nn.Module) -> None:
    """Give a head that the library fills with zeros (ViT) small random weights, so that logits differ."""
    weight = head.get_parameter("weight")
    if not weight.is_meta and not torch.any(weight):
        nn.init.trunc_normal_(weight, std=0.02)
