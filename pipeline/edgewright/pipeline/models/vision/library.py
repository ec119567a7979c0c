"""What a library of models must be able to tell; each is one module of this package."""

import importlib
from typing import Any, Protocol, cast

from torch import Tensor, nn

from edgewright.runtime.errors import ModelError
from edgewright.runtime.images.encoding import ImageSettings


class Library(Protocol):
    """A source of classifiers. `name` is the model's name inside the library, without its prefix."""

    def default_size(self, name: str) -> tuple[int, int]:
        """Height and width in pixels the published weights expect."""

    def settings(self, name: str, size: tuple[int, int]) -> ImageSettings:
        """How an image becomes the model's input of this height and width."""

    def construct(self, name: str, classes: int, size: tuple[int, int]) -> nn.Module:
        """The model with random weights. Raises `ModelError` when it cannot take that size."""

    def head_paths(self, name: str, module: nn.Module) -> tuple[str, ...]:
        """Dotted path of the layer that makes the logits; two where they are the mean of two layers'."""

    def auxiliary_heads(self, name: str) -> dict[str, float]:
        """Path and published loss weight of each auxiliary classifier."""

    def drop_auxiliary(self, module: nn.Module) -> None:
        """Take the auxiliary classifiers out of the model."""

    def published_state(self, name: str, size: tuple[int, int]) -> dict[str, Tensor]:
        """The published weights, from the library's cache or downloaded. Raises `ModelError`."""

    def published_name(self, name: str) -> str:
        """What a hub calls the published weights; the model's own name where no hub has them."""

    def adapt_state(self, module: nn.Module, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """The weights made to fit a model of another input size, where the family can do that."""

    def licence(self, name: str) -> str:
        """The licence of the published weights."""


_LIBRARIES = {
    "torchvision": "edgewright.pipeline.models.vision.torchvision_models",
    "timm": "edgewright.pipeline.models.vision.timm_models",
}
"""Library to its module, imported when it is asked for: that takes seconds."""


def library_named(name: Any) -> Library:
    """The library that a build record names. Raises `ModelError`."""
    if name not in _LIBRARIES:
        raise ModelError(
            f"the model's record names the library {name!r}, which is unknown here: update edgewright"
        )
    return cast(Library, importlib.import_module(_LIBRARIES[name]))


def library_of(name: str) -> tuple[str, str]:
    """ "timm:resnet18" -> ("timm", "resnet18"); "resnet18" -> ("torchvision", "resnet18")."""
    prefix, separator, rest = name.partition(":")
    return (prefix, rest) if separator else ("torchvision", name)
