"""The models of timm, called `timm:NAME`."""

import contextlib
import math
import socket
import sys
import urllib.parse
import urllib.request
import warnings
from typing import Any

import huggingface_hub
import timm
import timm.data
from torch import Tensor, nn

from edgewright.pipeline.models.vision.downloads import unreachable
from edgewright.runtime.errors import ModelError
from edgewright.runtime.images.encoding import ImageSettings


def model_names() -> list[str]:
    """Every architecture, without the tags of its published weights."""
    names: list[str] = timm.list_models()
    return names


def weights_names(name: str) -> tuple[str, ...]:
    """Tags of the published weights; the one `weights: imagenet` takes comes first."""
    architecture, _, tag = name.partition(".")
    if tag:
        return (tag,)
    tags = [full.partition(".")[2] or "default" for full in timm.list_pretrained(f"{architecture}.*")]
    default = _config(name).get("tag") or ""
    return tuple(sorted(tags, key=lambda other: (other != default, other)))


def _config(name: str) -> dict[str, Any]:
    config = timm.models.get_pretrained_cfg(name)
    return config.to_dict() if config is not None else {}


def default_size(name: str) -> tuple[int, int]:
    """Height and width in pixels the published weights expect."""
    channels, height, width = _config(name).get("input_size", (3, 224, 224))
    if channels != 3:
        raise ModelError(
            f"timm:{name} takes images of {channels} channels: "
            "choose a model for colour images (edgewright models)"
        )
    return int(height), int(width)


def settings(name: str, size: tuple[int, int]) -> ImageSettings:
    """timm's own evaluation transform for this model, at this size."""
    data = timm.data.resolve_data_config({}, pretrained_cfg=_config(name))
    scaled = tuple(math.floor(side / data["crop_pct"]) for side in size)
    mode = data["crop_mode"]
    if mode == "border":
        raise ModelError(
            f"timm:{name} pads images with a border, which devices cannot do yet: "
            "choose another model (edgewright models)"
        )
    # timm resizes the shorter side only for square inputs, and both sides when squashing
    resize = scaled[0] if mode == "center" and size[0] == size[1] else scaled
    if mode == "center" and size[0] != size[1]:
        raise ModelError(f"timm:{name} wants {size[0]}x{size[1]} pixels: set input.size to use square images")
    return ImageSettings(
        resize=resize if isinstance(resize, int) else (resize[0], resize[1]),
        crop=size,
        interpolation=data["interpolation"],
        mean=tuple(data["mean"]),
        std=tuple(data["std"]),
    )


def _create(name: str, size: tuple[int, int], **options: Any) -> nn.Module:
    config = _config(name)
    if config.get("fixed_input_size") and tuple(config["input_size"][1:]) != size:
        options["img_size"] = size
    with warnings.catch_warnings(), contextlib.redirect_stdout(sys.stderr):
        warnings.simplefilter("ignore")
        module: nn.Module = timm.create_model(name, **options)
    return module


def construct(name: str, classes: int, size: tuple[int, int]) -> nn.Module:
    """The model with random weights. Raises `ModelError` when it cannot take that size."""
    try:
        return _create(name, size, pretrained=False, num_classes=classes)
    except (AssertionError, ValueError, TypeError, RuntimeError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(
            f"timm:{name} cannot be built for {size[0]}x{size[1]} pixels ({reason}): leave input.size out"
        ) from None


def head_paths(name: str, module: nn.Module) -> tuple[str, ...]:
    """Dotted path of the layer that makes the logits; two where they are the mean of two layers'.

    Raises:
        ModelError: the model has no such layer, or more than two.
    """
    classifier: Any = _config(name).get("classifier")
    if isinstance(classifier, (tuple, list)):
        if len(classifier) == 2:
            return (str(classifier[0]), str(classifier[1]))
        raise ModelError(
            f"timm:{name} mixes {len(classifier)} heads: choose another model (edgewright models)"
        )
    classifier = getattr(module, "get_classifier", lambda: None)()
    inside = list(classifier.modules()) if isinstance(classifier, nn.Module) else []
    layers = [layer for layer in inside if isinstance(layer, (nn.Linear, nn.Conv2d))]
    for path, layer in module.named_modules():
        if layers and layer is layers[-1]:
            return (str(path),)
    raise ModelError(f"timm:{name} has no classification layer: choose another model (edgewright models)")


def auxiliary_heads(name: str) -> dict[str, float]:
    """timm builds no auxiliary classifiers."""
    del name
    return {}


def drop_auxiliary(module: nn.Module) -> None:
    """Nothing to do."""
    del module


def published_state(name: str, size: tuple[int, int]) -> dict[str, Tensor]:
    """The published weights, from the hub's cache or downloaded with a progress bar on stderr."""
    if not timm.models.is_model_pretrained(name):
        raise ModelError(
            f"timm:{name} has no published weights: "
            "bring a .safetensors file as weights: path, or set weights: none"
        )
    config = _config(name)
    repository, file = config.get("hf_hub_id"), config.get("hf_hub_filename") or "model.safetensors"
    options: dict[str, Any] = {}
    if repository and not config.get("custom_load"):
        cached = huggingface_hub.try_to_load_from_cache(repository, file)
        if isinstance(cached, str):
            options["pretrained_cfg_overlay"] = {"file": cached}  # asks the hub nothing
        elif not urllib.request.getproxies():
            _resolve_hub(name)
    try:
        return dict(_create(name, size, pretrained=True, **options).state_dict())
    except Exception as error:
        # the hub's client has its own family of errors; all of them mean that there are no weights
        raise unreachable(f"timm:{name}", error) from None


def published_name(name: str) -> str:
    """What the hub calls the published weights."""
    return str(_config(name).get("hf_hub_id") or name)


def _resolve_hub(name: str) -> None:
    """Raise `ModelError` at once where the hub has no address: its client would try for most of a minute."""
    host = urllib.parse.urlsplit(huggingface_hub.constants.ENDPOINT).hostname
    try:
        socket.getaddrinfo(host, 443)
    except OSError as error:
        raise unreachable(f"timm:{name}", error) from None


def adapt_state(module: nn.Module, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """timm resamples published weights itself; a file must already have the model's size."""
    del module
    return state


def licence(name: str) -> str:
    """The licence of the published weights, as the library states it."""
    return str(_config(name).get("license") or "unknown")
