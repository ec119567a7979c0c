"""Every torchvision classification model, built without memory for its weights."""

import math

import pytest
import torch

from edgewright.pipeline.families import feature_module, head_module, list_models
from edgewright.pipeline.models.layers import layer_rows, resolve_unfreeze
from edgewright.pipeline.models.model import BuiltModel
from edgewright.pipeline.models.vision.build import build_model
from edgewright.pipeline.models.vision.registry import find_model
from tests.vision_models import torchvision_classifiers

CLASSES = 7


def build_empty(name: str, classes: int = CLASSES) -> BuiltModel:
    from accelerate import init_empty_weights

    with init_empty_weights():
        return build_model(name, classes, weights="none")


def test_the_registry_is_torchvisions_own() -> None:
    import torchvision

    listed = {entry.name for entry in list_models() if entry.library == "torchvision"}
    assert listed == set(torchvision.models.list_models(module=torchvision.models))
    assert len(listed) >= 80 and listed == set(torchvision_classifiers())


@pytest.mark.parametrize("name", torchvision_classifiers())
def test_model(name: str) -> None:
    built = build_empty(name)
    parameters = [parameter for parameter, _ in built.module.named_parameters()]

    # the head answers for the classes asked for, and is where the logits come from
    assert built.module.get_submodule(built.head).get_parameter("weight").shape[0] == CLASSES
    assert not built.module.training

    # the blocks hold each parameter once, in order, and the last one is the head
    assert [sum(block.owns(parameter) for block in built.blocks) for parameter in parameters] == [1] * len(
        parameters
    )
    assert len({block.name for block in built.blocks}) == len(built.blocks) >= 6
    assert {built.head, *built.auxiliary_heads} == set(built.blocks[-1].prefixes)
    assert all(any(block.owns(parameter) for parameter in parameters) for block in built.blocks)

    # what is listed is what is built; the list counts as published: 1000 classes
    head_parameters = sum(tensor.numel() for tensor in built.module.get_submodule(built.head).parameters())
    auxiliary = sum(
        built.module.get_submodule(path).get_parameter(key).numel()
        for path in built.auxiliary_heads
        for key, _ in built.module.get_submodule(path).named_parameters()
    )
    backbone = sum(tensor.numel() for tensor in built.module.parameters()) - head_parameters - auxiliary
    entry = find_model(name)
    assert entry.parameters is not None
    assert entry.input_size == built.settings.crop
    if not built.auxiliary_heads:
        assert entry.parameters == backbone + head_parameters // CLASSES * 1000

    # cut in two, the halves fit
    width = math.prod(built.feature_shape)
    features = feature_module(built)
    assert {key for key, _ in features.named_parameters()} < set(parameters)
    head = head_module(built)
    assert {id(tensor) for tensor in head.parameters()} <= {
        id(tensor) for tensor in built.module.parameters()
    }
    assert head.to("meta")(torch.empty((3, width), device="meta")).shape == (3, CLASSES)

    # settings are those of the preset that came with the weights
    from torchvision.models import get_model_weights

    preset = get_model_weights(name).DEFAULT.transforms()
    settings = built.settings
    assert (settings.resize, settings.crop) == (preset.resize_size[0], tuple(preset.crop_size * 2))
    assert (settings.mean, settings.std) == (tuple(preset.mean), tuple(preset.std))
    assert settings.interpolation == preset.interpolation.value

    # unfreezing
    assert resolve_unfreeze(built, "all") == frozenset(parameters)
    assert resolve_unfreeze(built, 1) == {key for key in parameters if built.blocks[-1].owns(key)}
    assert resolve_unfreeze(built, len(built.blocks)) == frozenset(parameters)
    rows = layer_rows(built.module, resolve_unfreeze(built, 2))
    assert sum(row.parameters for row in rows) == sum(tensor.numel() for tensor in built.module.parameters())
    assert {row.state for row in rows if row.parameters} == {"trainable", "frozen"}
