"""What transformers calls the architectures of torchvision and timm, and a plain word for those that it lacks."""

import re

_KNOWN = (
    (r"resnet(\d|$)", "resnet", "ResNet"),
    (r"resnetv2_\w+_bit", "bit", "Bit"),
    (r"regnet_?[xy]_?\d", "regnet", "RegNet"),
    (r"convnextv2_", "convnextv2", "ConvNextV2"),
    (r"convnext(_|\d?$)", "convnext", "ConvNext"),
    (r"efficientnet(_(?!v2)|$)", "efficientnet", "EfficientNet"),
    (r"mobilenet_?v1", "mobilenet_v1", "MobileNetV1"),
    (r"mobilenet_?v2", "mobilenet_v2", "MobileNetV2"),
    (r"mobilenet_?v3", "mobilenet_v3", "MobileNetV3"),
    (r"mobilenetv4", "mobilenet_v4", "MobileNetV4"),
    (r"mobilevitv2_", "mobilevitv2", "MobileViTV2"),
    (r"mobilevit_", "mobilevit", "MobileViT"),
    (r"swin_?v2_(?!cr)", "swinv2", "Swinv2"),
    (r"swin_(?!s3)", "swin", "Swin"),
    (r"deit_", "deit", "DeiT"),
    (r"deit3_", "deit3", "DeiT3"),
    (r"beit_", "beit", "Beit"),
    (r"vit_\w+_reg\d_dinov2", "dinov2_with_registers", "Dinov2WithRegisters"),
    (r"vit_\w+_dinov2", "dinov2", "Dinov2"),
    (r"vit_\w+_dinov3", "dinov3_vit", "DINOv3ViT"),
    (r"vit(_|\d?$)", "vit", "ViT"),
    (r"hiera_", "hiera", "Hiera"),
    (r"levit_\d", "levit", "Levit"),
    (r"poolformer_", "poolformer", "PoolFormer"),
    (r"pvt_v2_", "pvt_v2", "PvtV2"),
    (r"focalnet_", "focalnet", "FocalNet"),
    (r"fastvit_", "fastvit", "FastViT"),
    (r"swiftformer_", "swiftformer", "SwiftFormer"),
    (r"hgnetv2_", "hgnet_v2", "HGNetV2"),
    (r"res2ne[tx]t?", "res2net", "Res2Net"),
    (r"wide_resnet", "wide_resnet", "WideResNet"),
)
"""What a name begins with, its `model_type`, and what its classes in transformers begin with (some:
in transformers.js alone). The first that fits counts.
"""

_OTHERS = re.compile(r"[a-z]+?(?:_?v\d+)?(?=_|\d|$)")


def architecture(name: str) -> tuple[str, str]:
    """The `model_type` of a model of images, and what the names of its classes begin with.

    "resnet18" and "timm:resnet18.a1_in1k" are ("resnet", "ResNet"). Where transformers has no such model these are the
    family's own name: "densenet121" is ("densenet", "Densenet").
    """
    bare = name.rpartition(":")[2].partition(".")[0].lower()
    bare = re.sub(r"^(test|tf|legacy)_", "", bare)
    for pattern, kind, classes in _KNOWN:
        if re.match(pattern, bare):
            return kind, classes
    family = _OTHERS.match(bare)
    kind = family[0] if family else bare
    return kind, "".join(word.capitalize() for word in kind.split("_"))
