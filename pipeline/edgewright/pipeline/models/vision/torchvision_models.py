"""The classification models of torchvision: every one that the library itself lists."""

import contextlib
import copy
import re
import sys
import warnings
from typing import Any

import torchvision
from torch import Tensor, nn
from torchvision.models.vision_transformer import interpolate_embeddings

from edgewright.pipeline.models.vision.downloads import unreachable
from edgewright.runtime.errors import ModelError
from edgewright.runtime.images.encoding import ImageSettings

_AUXILIARY_HEADS = {"googlenet": {"aux1": 0.3, "aux2": 0.3}, "inception_v3": {"AuxLogits": 0.4}}
"""The loss weights of the two papers (Szegedy et al. 2014 and 2015)."""

_DENSENET_OLD_KEY = re.compile(
    r"^(.*denselayer\d+\.(?:norm|relu|conv))\.((?:[12])\.(?:weight|bias|running_mean|running_var))$"
)


def model_names() -> list[str]:
    """Every classification model, sorted."""
    return sorted(torchvision.models.list_models(module=torchvision.models))


def _weights(name: str) -> Any:
    return torchvision.models.get_model_weights(name).DEFAULT


def weights_names(name: str) -> tuple[str, ...]:
    """Names of the published weights; the one `weights: imagenet` takes comes first."""
    default = _weights(name)
    return (
        default.name,
        *(member.name for member in torchvision.models.get_model_weights(name) if member is not default),
    )


def parameter_count(name: str) -> int:
    """Number of parameters, with the published head of 1000 classes and without auxiliary heads."""
    return int(_weights(name).meta["num_params"])


def default_size(name: str) -> tuple[int, int]:
    """Height and width in pixels the published weights expect."""
    (side,) = _weights(name).transforms().crop_size
    return int(side), int(side)


def settings(name: str, size: tuple[int, int]) -> ImageSettings:
    """The preset that the weights were published with; another size keeps its ratio of resize to crop."""
    preset = _weights(name).transforms()
    resize, crop = int(preset.resize_size[0]), int(preset.crop_size[0])
    return ImageSettings(
        resize=round(resize * min(size) / crop),
        crop=size,
        interpolation=str(preset.interpolation.value),
        mean=tuple(preset.mean),
        std=tuple(preset.std),
    )


class _MNASNet(torchvision.models.MNASNet):  # type: ignore[misc]
    """MNASNet refuses weights without a version number, which only a pickle carries: take the current one."""

    def _load_from_state_dict(self, state: Any, prefix: str, metadata: dict[str, Any], *rest: Any) -> None:
        metadata.setdefault("version", self._version)
        super()._load_from_state_dict(state, prefix, metadata, *rest)


def construct(name: str, classes: int, size: tuple[int, int]) -> nn.Module:
    """The model with random weights. Raises `ModelError` when it cannot take that size."""
    options: dict[str, Any] = {}
    if name in _AUXILIARY_HEADS:
        # transform_input turns our normalisation into the one these two were trained with. It is on for
        # fresh weights too, so that a weights file means the same whichever way the model was built.
        options = {"aux_logits": True, "transform_input": True, "init_weights": False}
    elif name.startswith("vit_"):
        patch = int(name.rsplit("_", 1)[1])
        if size[0] % patch:
            raise ModelError(
                f"{name} cuts the image into squares of {patch} pixels: "
                f"choose input.size as a multiple of {patch}, not {size[0]}"
            )
        options = {"image_size": size[0]}
    elif name.startswith("maxvit"):
        if size[0] % 224:
            raise ModelError(
                f"{name} divides the image into fixed windows: "
                f"choose input.size 224 or a multiple of it, not {size[0]}"
            )
        options = {"input_size": size}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module: nn.Module = torchvision.models.get_model(name, weights=None, num_classes=classes, **options)
    if type(module) is torchvision.models.MNASNet:
        module.__class__ = _MNASNet
    return module


def head_paths(name: str, module: nn.Module) -> tuple[str, ...]:
    """Dotted path of the layer that makes the logits: in every model the last one that multiplies."""
    del name
    paths: list[str] = [
        path for path, layer in module.named_modules() if isinstance(layer, (nn.Linear, nn.Conv2d))
    ]
    return (paths[-1],)


def auxiliary_heads(name: str) -> dict[str, float]:
    """Path and published loss weight of each auxiliary classifier."""
    return dict(_AUXILIARY_HEADS.get(name, {}))


def drop_auxiliary(module: nn.Module) -> None:
    """Take the auxiliary classifiers out of the model."""
    for path in ("aux1", "aux2", "AuxLogits"):
        if hasattr(module, path):
            setattr(module, path, None)
    vars(module)["aux_logits"] = False


def published_state(name: str, size: tuple[int, int]) -> dict[str, Tensor]:
    """The published weights, hash checked, from torch's cache or downloaded with a progress bar on stderr."""
    del size
    try:
        with contextlib.redirect_stdout(sys.stderr):  # the download announces itself with a print
            state: dict[str, Tensor] = _weights(name).get_state_dict(
                progress=sys.stderr.isatty(), check_hash=True, weights_only=True, map_location="cpu"
            )
    except Exception as error:
        # urllib, ssl, pickle and zip have errors of their own; all of them mean that there are no weights
        raise unreachable(name, error) from None
    for key in list(state):
        match = _DENSENET_OLD_KEY.match(key)
        if match and name.startswith("densenet"):
            state["".join(match.groups())] = state.pop(key)
    return state


def published_name(name: str) -> str:
    """No hub has them: the model's own name."""
    return name


def adapt_state(module: nn.Module, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Position embeddings of a ViT are resampled to the model's input size; all else is returned as it is."""
    key = "encoder.pos_embedding"
    own = module.state_dict().get(key)
    if own is None or key not in state or state[key].shape == own.shape or state[key].ndim != own.ndim:
        return state
    if state[key].shape[-1] != own.shape[-1]:
        return state  # another width, not another size: reported with the other mismatches
    resampled: dict[str, Tensor] = interpolate_embeddings(
        module.image_size, module.patch_size, copy.copy(state)
    )
    return resampled


def licence(name: str) -> str:
    """The licence of the published weights."""
    return "CC-BY-NC-4.0" if "SWAG" in _weights(name).name else "BSD-3-Clause"
