"""The list of models, and the names that are not on it."""

import pytest

from edgewright.pipeline.families import list_models
from edgewright.pipeline.models.vision.registry import find_model
from edgewright.runtime.errors import RecipeError


def test_a_pattern_searches_both_libraries() -> None:
    names = [entry.name for entry in list_models("resnet18")]
    assert names[0] == "resnet18"
    assert {"timm:resnet18", "timm:skresnet18"} <= set(names)
    assert [entry.name for entry in list_models("RESNET[13]*")][:3] == ["resnet101", "resnet152", "resnet18"]
    assert {entry.library for entry in list_models("timm:vit_tiny*")} == {"timm"}
    assert list_models("no such model") == []
    assert list_models("deepseek_vit_412m") == []


def test_what_is_listed() -> None:
    (entry,) = (entry for entry in list_models("resnet50") if entry.name == "resnet50")
    assert entry.parameters == 25_557_032
    assert entry.input_size == (224, 224)
    assert entry.licence == "BSD-3-Clause"
    assert entry.weights == ("IMAGENET1K_V2", "IMAGENET1K_V1")
    (entry,) = list_models("timm:inception_v4")
    assert entry.parameters == 42_679_816
    assert entry.input_size == (299, 299)
    assert entry.licence == "apache-2.0"
    assert entry.weights == ("tf_in1k",)


@pytest.mark.parametrize("name", ["vit_h_14", "regnet_y_128gf"])
def test_weights_that_are_not_for_commerce_say_so(name: str) -> None:
    assert find_model(name).licence == "CC-BY-NC-4.0"


def test_a_tag_names_the_weights() -> None:
    assert find_model("timm:resnet18.tv_in1k").weights == ("tv_in1k",)
    assert find_model("timm:resnet18").weights[0] == "a1_in1k"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ResNet18", "did you mean resnet18"),
        ("efficientnet-b0", "did you mean efficientnet_b0"),
        ("mobilenetv3_small_100", "did you mean timm:mobilenetv3_small_100"),
        ("timm:resnet-18", "did you mean timm:resnet18"),
        ("hub:resnet18", "did you mean resnet18"),
        ("timm:", "edgewright models"),
        ("timm:resnet18.", "a1_in1k"),
        ("timm:deepseek_vit_412m", "pads images with a border"),
    ],
)
def test_an_unknown_name_is_answered_with_near_ones(name: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message) as caught:
        find_model(name)
    assert "\n" not in str(caught.value)
