"""One real forward per family: the cut before the head is exact, and random weights are worth comparing."""

import pytest
import torch

from benchmarks.randomise import random_images, randomise
from edgewright.pipeline.families import feature_module, head_module
from edgewright.pipeline.models.vision.build import build_model
from edgewright.runtime.errors import ModelError
from tests.messages import refused

FAMILIES = [
    ("alexnet", 64),
    ("convnext_tiny", 32),
    ("densenet121", 32),
    ("efficientnet_b0", 64),
    ("googlenet", 64),
    ("inception_v3", 80),
    pytest.param("maxvit_t", 224, marks=pytest.mark.slow),  # as long as ten others
    ("mnasnet0_5", 64),
    ("mobilenet_v2", 64),
    ("mobilenet_v3_small", 64),
    ("regnet_x_400mf", 64),
    ("regnet_y_400mf", 64),
    ("resnet18", 64),
    ("resnext50_32x4d", 64),
    ("shufflenet_v2_x0_5", 64),
    ("squeezenet1_1", 64),
    ("squeezenet1_1", 17),
    ("swin_t", 64),
    ("swin_v2_t", 64),
    ("vgg11_bn", 32),
    ("vit_b_32", 64),
    ("timm:inception_v4", 80),
    ("timm:inception_resnet_v2", 80),
    ("timm:vit_tiny_patch16_224", 64),
    ("timm:mobilenetv3_small_050", 64),
    ("timm:convnext_atto", 64),
    ("timm:caformer_s18", 64),
    ("timm:dla46_c", 64),  # a convolution as its head
    ("timm:levit_128s", 224),  # and these answer with the mean of two heads
    ("timm:deit_tiny_distilled_patch16_224", 64),
    ("timm:crossvit_9_240", 240),
    ("timm:efficientformerv2_s0", 224),
    ("timm:repvit_m0_9", 64),
]


@pytest.mark.parametrize(("name", "size"), FAMILIES)
def test_family(name: str, size: int) -> None:
    built = build_model(name, 6, "none", size)
    logits = randomise(built, seed=1)
    assert logits.shape == (4, 6)
    assert bool(torch.isfinite(logits).all())
    # a trained classifier's scale, and no two images answered alike
    assert 0.3 < float(logits.std(dim=1).mean()) < 20
    assert 0.5 < float(logits.abs().max()) < 60
    assert all(not torch.allclose(logits[0], other, rtol=1e-3) for other in logits[1:])

    images = random_images(3, built.settings.crop, seed=2)
    with torch.no_grad():
        expected = built.module(images)
        features = feature_module(built)(images)
        assert features.ndim == 2
        assert torch.equal(head_module(built).eval()(features), expected)
    assert not torch.equal(expected, logits[:3])


def test_what_the_head_learns_the_model_has_learnt() -> None:
    built = build_model("mobilenet_v3_small", 3, "none", 32)
    images = random_images(2, (32, 32))
    features = feature_module(built)
    with torch.no_grad():
        before = features(images)
        for parameter in head_module(built).parameters():
            parameter.fill_(0.25)
        assert torch.equal(features(images), before)
        answers = built.module(images)
    assert torch.allclose(answers, 0.25 * before.sum(dim=1, keepdim=True) + 0.25)


def test_random_weights_are_a_function_of_the_seed() -> None:
    one, other = (build_model("mobilenet_v3_small", 3, "none", 32, seed=seed) for seed in (0, 1))
    assert torch.equal(randomise(one, seed=5), randomise(other, seed=5))
    assert not torch.equal(randomise(one, seed=5), randomise(other, seed=6))
    assert not any(layer.training for layer in one.module.modules())


def test_a_mixture_of_many_heads_is_refused() -> None:
    with refused(ModelError):
        build_model("timm:efficientvim_m1", 3, "none")
