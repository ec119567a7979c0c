"""Building: seeds, heads, input sizes, and what is said when it cannot be done."""

import json

import pytest
import torch
from torch import nn

from benchmarks.randomise import random_images
from edgewright.pipeline.families import rebuild_model
from edgewright.pipeline.models.model import training_outputs
from edgewright.pipeline.models.vision.build import build_model
from edgewright.pipeline.models.vision.input_size import runs_at, smallest_size
from edgewright.runtime.errors import ModelError, RecipeError


def same_weights(one: nn.Module, other: nn.Module) -> bool:
    ours, theirs = one.state_dict(), other.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_the_seed_decides_every_weight_and_leaves_the_process_alone() -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    one = build_model("resnet18", 3, "none", seed=1)
    assert torch.equal(torch.rand(3), expected)
    assert same_weights(one.module, build_model("resnet18", 3, "none", seed=1).module)
    assert not same_weights(one.module, build_model("resnet18", 3, "none", seed=2).module)


@pytest.mark.parametrize(
    ("name", "size"),
    [("resnet18", None), ("googlenet", 64), ("inception_v3", 96), ("timm:test_vit", 48)],
)
def test_a_record_builds_the_same_module_again(name: str, size: int | None) -> None:
    built = build_model(name, 4, "none", size)
    record = json.loads(json.dumps(built.build))
    again = rebuild_model(record)
    assert again.name == built.name == name
    assert same_weights(built.module, again.module)
    assert again.settings == built.settings
    assert again.blocks == built.blocks
    assert again.auxiliary_heads == built.auxiliary_heads
    assert not rebuild_model(record).module.training


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"library": "keras"}, "'keras'"),
        ({"classes": "4"}, "'classes'"),
        ({"input_size": [32]}, "'input_size'"),
        ({"input_size": [32, -1]}, "'input_size'"),
        ({"name": None}, "'name'"),
    ],
)
def test_a_broken_record_is_refused(change: dict[str, object], named: str) -> None:
    record = {**build_model("squeezenet1_1", 4, "none", 64).build, **change}
    with pytest.raises(ModelError, match=named):
        rebuild_model(record)


def test_another_input_size_keeps_the_ratio_of_resize_to_crop() -> None:
    settings = build_model("resnet18", 3, "none", 112).settings
    assert (settings.resize, settings.crop) == (128, (112, 112))
    settings = build_model("efficientnet_b2", 3, "none", 64).settings
    assert (settings.resize, settings.crop) == (64, (64, 64))
    settings = build_model("timm:resnet18", 3, "none", 64).settings
    assert (settings.resize, settings.crop) == (67, (64, 64))


@pytest.mark.parametrize(
    ("name", "size", "way_out"),
    [
        ("alexnet", 20, "input.size to 63 or more"),
        ("squeezenet1_1", 8, "input.size to 17 or more"),
        ("inception_v3", 40, "input.size to 75 or more"),
        ("vit_b_16", 40, "multiple of 16"),
        ("maxvit_t", 64, "224"),
        ("timm:inception_v4", 32, "input.size to 75 or more"),
        ("timm:test_vit", 30, "leave input.size out"),
    ],
)
def test_an_impossible_input_size_names_the_way_out(name: str, size: int, way_out: str) -> None:
    with pytest.raises(ModelError, match=way_out) as caught:
        build_model(name, 3, "none", size)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_smallest_size_is_the_smallest() -> None:
    module = build_model("alexnet", 3, "none").module
    before = {key: tensor.clone() for key, tensor in module.state_dict().items()}
    assert smallest_size(module, 224) == 63
    assert runs_at(module, (63, 63))
    assert not runs_at(module, (62, 63))
    assert smallest_size(module, 40) is None
    assert all(torch.equal(before[key], tensor) for key, tensor in module.state_dict().items())
    assert not module.training


def test_auxiliary_heads_answer_in_training_only() -> None:
    images = random_images(2, (64, 64))
    built = build_model("googlenet", 4, "none", 64)
    assert built.auxiliary_heads == {"aux1": 0.3, "aux2": 0.3}
    seen: dict[str, torch.Tensor] = {}
    for path in ("aux1", "aux2", "fc"):

        def keep(_layer: nn.Module, _inputs: object, output: torch.Tensor, path: str = path) -> None:
            seen[path] = output

        built.module.get_submodule(path).register_forward_hook(keep)
    with torch.no_grad():
        logits, auxiliary = training_outputs(built.module.train(), images)
        assert auxiliary.keys() == {"aux1", "aux2"}
        assert all(auxiliary[path] is seen[path] for path in auxiliary)
        assert logits is seen["fc"]
        assert {tensor.shape for tensor in (logits, *auxiliary.values())} == {(2, 4)}
        logits, auxiliary = training_outputs(built.module.eval(), images)
        assert auxiliary == {}
        assert logits is seen["fc"]


def test_inception_has_its_auxiliary_head_where_the_image_is_large_enough() -> None:
    built = build_model("inception_v3", 4, "none")
    assert built.auxiliary_heads == {"AuxLogits": 0.4}
    assert built.module.get_submodule("AuxLogits.fc").get_parameter("weight").shape == (4, 768)
    small = build_model("inception_v3", 4, "none", 96)
    assert small.auxiliary_heads == {}
    logits, auxiliary = training_outputs(small.module.train(), random_images(2, (96, 96)))
    assert logits.shape == (2, 4)
    assert auxiliary == {}


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_the_two_models_of_another_normalisation_convert_ours(name: str) -> None:
    assert vars(build_model(name, 3, "none", 96).module)["transform_input"] is True


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "resnet-18", "classes": 3}, "did you mean resnet18"),
        ({"name": "inception_v4", "classes": 3}, "did you mean timm:inception_v4"),
        ({"name": "timm:resnet81", "classes": 3}, "did you mean timm:resnet"),
        ({"name": "timm:resnet18.no_such", "classes": 3}, "a1_in1k"),
        ({"name": "xyzzy", "classes": 3}, "edgewright models"),
        ({"name": "", "classes": 3}, "edgewright models"),
        ({"name": "resnet18", "classes": 1}, "at least 2 classes"),
        ({"name": "resnet18", "classes": 3, "head": "old"}, "new nor keep"),
        ({"name": "resnet18", "classes": 3, "head": "keep"}, "transfer.head to new"),
        ({"name": "resnet18", "classes": 3, "input_size": 0}, "input.size"),
    ],
)
def test_an_impossible_request_names_the_way_out(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(RecipeError, match=message) as caught:
        build_model(**{"weights": "none", **arguments})  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
