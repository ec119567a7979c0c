"""A model of images cut in two: the part that makes features, and the head that turns them into logits.

Both halves share their layers with the model they come from: what the head learns, the model has learnt.
"""

import copy
import math

from torch import Tensor, nn

from edgewright.pipeline.models.model import BuiltModel
from edgewright.pipeline.models.vision.input_size import output_shape
from edgewright.runtime.errors import ModelError


def features_of(built: BuiltModel) -> nn.Module:
    """Images, float32 [N, 3, H, W], to the head's input flattened, float32 [N, F], F the product of `feature_shape`.

    Use it in eval mode. Its parameters are those of `built.module`, under the same names, without the head's.

    Raises:
        ModelError: the model does more with its head's answer than flatten it, so it cannot be cut there.
    """
    cuts, _ = _cut(built)
    features = built.module
    for path, replacement in cuts.items():
        features = _with_replaced(features, path.split("."), replacement)
    if output_shape(features, built.settings.crop)[1:] != (math.prod(built.feature_shape),):
        raise ModelError(
            f"{built.name} cannot be cut before its head: "
            "set transfer.mode to fine-tuning, or choose another model"
        )
    return features.eval()


def head_of(built: BuiltModel) -> nn.Module:
    """Features of `features_of`, float32 [N, F], to logits, float32 [N, classes].

    In eval mode the two after each other give exactly the logits of `built.module`.
    """
    return _cut(built)[1]


class _Half(nn.Module):
    """In the place of one of two heads: its input, doubled, and zeros for the other's.

    The model takes the mean of both, which is then both inputs side by side, to the bit.
    """

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.padding = (before, after)

    def forward(self, features: Tensor) -> Tensor:
        return nn.functional.pad(2.0 * features, self.padding)


class _Twins(nn.Module):
    """Both inputs side by side to the mean of both heads' logits."""

    def __init__(self, one: nn.Linear, other: nn.Linear) -> None:
        super().__init__()
        self.one, self.other = one, other

    def forward(self, features: Tensor) -> Tensor:
        width = self.one.in_features
        logits: Tensor = (self.one(features[:, :width]) + self.other(features[:, width:])) / 2
        return logits


def _cut(built: BuiltModel) -> tuple[dict[str, nn.Module], nn.Module]:
    """What stands in which place of the model to make features, and what turns features into logits."""
    heads = [built.module.get_submodule(path) for path in built.heads]
    head = heads[0]
    if len(heads) == 2:
        one, other = heads
        if not isinstance(one, nn.Linear) or not isinstance(other, nn.Linear):
            raise ModelError(f"{built.name} cannot be cut before its heads: set transfer.mode to fine-tuning")
        halves = (_Half(0, other.in_features), _Half(one.in_features, 0))
        return dict(zip(built.heads, halves, strict=True)), _Twins(one, other)
    if isinstance(head, nn.Linear):
        return {built.head: nn.Identity()}, head
    unflatten = nn.Unflatten(1, built.feature_shape)
    parent_path = built.head.rpartition(".")[0]
    parent = built.module.get_submodule(parent_path)
    layers = list(parent.children())
    position = next(index for index, layer in enumerate(layers) if layer is head)
    if isinstance(parent, nn.Sequential) and layers[position + 1 :]:
        # SqueezeNet makes logits for every place of the image, then rectifies and pools them
        before = nn.Sequential(*layers[:position], nn.Flatten(1))
        return {parent_path: before}, nn.Sequential(unflatten, *layers[position:], nn.Flatten(1))
    return {built.head: nn.Flatten(1)}, nn.Sequential(unflatten, head, nn.Flatten(1))


def _with_replaced(module: nn.Module, path: list[str], replacement: nn.Module) -> nn.Module:
    """A module with the same layers except the one at `path`; `module` itself stays as it is."""
    if not path:
        return replacement
    clone = copy.copy(module)
    children = dict(module.named_children())
    children[path[0]] = _with_replaced(children[path[0]], path[1:], replacement)
    vars(clone)["_modules"] = {**vars(module)["_modules"], path[0]: children[path[0]]}
    return clone
