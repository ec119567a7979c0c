"""What transformers calls the models of images."""

import pytest
import timm
import torchvision
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES

from edgewright.pipeline.models.vision.architectures import architecture

IN_BROWSERS = {"mobilenet_v3", "mobilenet_v4", "fastvit"}
"""Known to transformers.js alone."""


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("resnet18", ("resnet", "ResNet")),
        ("timm:resnet50d.ra2_in1k", ("resnet", "ResNet")),
        ("timm:test_resnet", ("resnet", "ResNet")),
        ("vit_b_16", ("vit", "ViT")),
        ("timm:vit_small_patch14_reg4_dinov2.lvd142m", ("dinov2_with_registers", "Dinov2WithRegisters")),
        ("swin_v2_t", ("swinv2", "Swinv2")),
        ("timm:tf_efficientnet_b3", ("efficientnet", "EfficientNet")),
        ("efficientnet_v2_s", ("efficientnet_v2", "EfficientnetV2")),
        ("mobilenet_v3_large", ("mobilenet_v3", "MobileNetV3")),
        ("regnet_y_400mf", ("regnet", "RegNet")),
        ("densenet121", ("densenet", "Densenet")),
        ("shufflenet_v2_x1_0", ("shufflenet_v2", "ShufflenetV2")),
        ("wide_resnet50_2", ("wide_resnet", "WideResNet")),
        ("resnext50_32x4d", ("resnext", "Resnext")),
        ("inception_v3", ("inception_v3", "InceptionV3")),
        ("timm:mobilenetv5_300m", ("mobilenetv5", "Mobilenetv5")),
    ],
)
def test_an_architecture_is_that_of_the_family(name: str, wanted: tuple[str, str]) -> None:
    assert architecture(name) == wanted


def test_a_name_that_transformers_knows_has_its_class() -> None:
    named = set()
    names = torchvision.models.list_models(module=torchvision.models)
    for name in (*names, *(f"timm:{name}" for name in timm.list_models())):
        kind, classes = architecture(name)
        assert kind.isascii() and kind == kind.lower() and classes.isidentifier(), name
        known = MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES.get(kind, f"{classes}ForImageClassification")
        assert f"{classes}ForImageClassification" in ((known,) if isinstance(known, str) else known), name
        named.add(kind)
    assert {
        "resnet",
        "vit",
        "swin",
        "convnext",
        "regnet",
        "mobilenet_v2",
        "efficientnet",
    } | IN_BROWSERS <= named
