"""A built model cut in two: the part that makes features, and the head that turns them into logits.

Both halves share their layers with the model they come from: what the head learns, the model has learnt.
"""

import copy
import math

from torch import nn

from edgewright.pipeline.models.built import BuiltModel
from edgewright.pipeline.models.input_size import output_shape
from edgewright.runtime.errors import ModelError

__all__ = ["feature_module", "head_module"]


def feature_module(built: BuiltModel) -> nn.Module:
    """Images, float32 [N, 3, H, W], to the head's input flattened, float32 [N, F], F the product of
    `feature_shape`.

    Use it in eval mode. Its parameters are those of `built.module`, under the same names, without the head's.

    Raises:
        ModelError: the model does more with its head's answer than flatten it, so it cannot be cut there.
    """
    path, replacement, _ = _cut(built)
    features = _with_replaced(built.module, path.split("."), replacement)
    if output_shape(features, built.settings.crop)[1:] != (math.prod(built.feature_shape),):
        raise ModelError(
            f"{built.name} cannot be cut before its head: set transfer.mode to fine-tuning, or choose another model"
        )
    return features.eval()


def head_module(built: BuiltModel) -> nn.Module:
    """Features of `feature_module`, float32 [N, F], to logits, float32 [N, classes].

    In eval mode the two after each other give exactly the logits of `built.module`.
    """
    _, _, tail = _cut(built)
    return tail


def _cut(built: BuiltModel) -> tuple[str, nn.Module, nn.Module]:
    """Where to cut: the path to replace, what replaces it to make features, and what turns features into
    logits."""
    head = built.module.get_submodule(built.head)
    if isinstance(head, nn.Linear):
        return built.head, nn.Identity(), head
    unflatten = nn.Unflatten(1, built.feature_shape)
    parent_path = built.head.rpartition(".")[0]
    parent = built.module.get_submodule(parent_path)
    layers = list(parent.children())
    position = next(index for index, layer in enumerate(layers) if layer is head)
    if isinstance(parent, nn.Sequential) and layers[position + 1 :]:
        # SqueezeNet makes logits for every place of the image, then rectifies and pools them
        before = nn.Sequential(*layers[:position], nn.Flatten(1))
        return parent_path, before, nn.Sequential(unflatten, *layers[position:], nn.Flatten(1))
    return built.head, nn.Flatten(1), nn.Sequential(unflatten, head, nn.Flatten(1))


def _with_replaced(module: nn.Module, path: list[str], replacement: nn.Module) -> nn.Module:
    """A module with the same layers except the one at `path`; `module` itself stays as it is."""
    if not path:
        return replacement
    clone = copy.copy(module)
    children = dict(module.named_children())
    children[path[0]] = _with_replaced(children[path[0]], path[1:], replacement)
    vars(clone)["_modules"] = {**vars(module)["_modules"], path[0]: children[path[0]]}
    return clone
