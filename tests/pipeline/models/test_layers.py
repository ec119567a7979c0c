"""`unfreeze` and the table of layers."""

import pytest
from torch import nn

from edgewright.pipeline.models.layers import LayerRow, layer_rows, resolve_unfreeze
from edgewright.pipeline.models.model import BuiltModel
from edgewright.pipeline.models.vision.build import build_model
from edgewright.runtime.errors import RecipeError


@pytest.fixture(scope="module")
def resnet() -> BuiltModel:
    return build_model("resnet18", 3, "none", 32)


def modules(names: frozenset[str]) -> set[str]:
    return {name.partition(".")[0] for name in names}


@pytest.mark.parametrize(
    ("unfreeze", "expected"),
    [
        (0, {"fc"}),
        (1, {"fc"}),
        (2, {"layer4", "fc"}),
        (6, {"conv1", "bn1", "layer1", "layer2", "layer3", "layer4", "fc"}),
        ("layer4", {"layer4", "fc"}),
        (["layer3", "fc"], {"layer3", "fc"}),
        ([], {"fc"}),
        ("layer[12]", {"layer1", "layer2", "fc"}),
        ("stem", {"conv1", "bn1", "fc"}),
        ("layer4.1", {"layer4", "fc"}),
        ("layer4.1.conv2.weight", {"layer4", "fc"}),
        ("*.bn1", {"layer1", "layer2", "layer3", "layer4", "fc"}),
    ],
)
def test_unfreeze(resnet: BuiltModel, unfreeze: str | int | list[str], expected: set[str]) -> None:
    names = resolve_unfreeze(resnet, unfreeze)
    assert modules(names) == expected
    assert {"fc.weight", "fc.bias"} <= names
    assert names <= {name for name, _ in resnet.module.named_parameters()}


def test_a_name_takes_no_more_than_its_own(resnet: BuiltModel) -> None:
    names = resolve_unfreeze(resnet, "layer4.1")
    assert all(name.startswith(("layer4.1.", "fc.")) for name in names)
    assert resolve_unfreeze(resnet, "layer4.1.conv2.weight") == {
        "layer4.1.conv2.weight",
        "fc.weight",
        "fc.bias",
    }


def test_auxiliary_heads_are_trained_with_the_head() -> None:
    built = build_model("googlenet", 3, "none", 64)
    assert modules(resolve_unfreeze(built, 1)) == {"fc", "aux1", "aux2"}


@pytest.mark.parametrize(
    ("unfreeze", "message"),
    [
        ("layer5", "did you mean layer"),
        (["layer4", "head"], "its last blocks are stem, layer1"),
        ("backbone.*", "edgewright layers resnet18"),
        (7, "from 0 to 6"),
        (-1, "from 0 to 6"),
    ],
)
def test_unfreeze_that_matches_nothing(
    resnet: BuiltModel, unfreeze: str | int | list[str], message: str
) -> None:
    with pytest.raises(RecipeError, match=message):
        resolve_unfreeze(resnet, unfreeze)


def test_rows() -> None:
    module = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 1), nn.BatchNorm2d(2)
    )
    assert layer_rows(module, {"0.weight", "4.weight", "4.bias"}) == [
        LayerRow("0", "Conv2d", 112, "partly", ""),
        LayerRow("1", "BatchNorm2d", 8, "frozen", "running"),
        LayerRow("3", "Conv2d", 10, "frozen", ""),
        LayerRow("4", "BatchNorm2d", 4, "trainable", "batch"),
    ]


def test_a_layer_with_statistics_only_is_a_row() -> None:
    (row,) = layer_rows(nn.BatchNorm2d(3, affine=False), ())
    assert row == LayerRow("BatchNorm2d", "BatchNorm2d", 0, "", "running")
