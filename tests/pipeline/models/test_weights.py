"""Weights: round trips, published ones from the cache, and every way they may not fit."""

import json
from pathlib import Path
from urllib.error import URLError

import pytest
import safetensors.torch
import torch
from torch import Tensor

from benchmarks.randomise import random_images
from edgewright.pipeline.families import rebuild_model
from edgewright.pipeline.models.vision import timm_models
from edgewright.pipeline.models.vision.build import build_model
from edgewright.pipeline.models.weights import check_kept_classes, without_wrapper
from edgewright.runtime.errors import ModelError, RecipeError
from tests.command import Call, Shipped
from tests.messages import refused


def save(path: Path, state: dict[str, Tensor]) -> Path:
    safetensors.torch.save_file({key: tensor.contiguous() for key, tensor in state.items()}, path)
    return path


@pytest.mark.parametrize("name", ["mnasnet0_5", "googlenet", "shufflenet_v2_x0_5", "timm:test_vit"])
def test_a_file_gives_the_same_model_back(tmp_path: Path, name: str) -> None:
    size = 64 if not name.startswith("timm") else None
    built = build_model(name, 5, "none", size, seed=3)
    path = save(tmp_path / "weights.safetensors", built.module.state_dict())
    images = random_images(2, built.settings.crop)
    kept = build_model(name, 5, path, size, head="keep", seed=4)
    with torch.no_grad():
        expected = built.module(images)
        assert torch.equal(kept.module(images), expected)
        rebuilt = rebuild_model(built.build).module
        rebuilt.load_state_dict(safetensors.torch.load_file(path))
        assert torch.equal(rebuilt(images), expected)


@pytest.mark.parametrize("classes", [4, 5])
def test_a_new_head_is_new_and_all_else_is_taken(tmp_path: Path, classes: int) -> None:
    first = build_model("googlenet", 5, "none", 64, seed=3)
    path = save(tmp_path / "weights.safetensors", first.module.state_dict())
    second = build_model("googlenet", classes, str(path), 64, seed=4)
    ours, theirs = second.module.state_dict(), first.module.state_dict()
    fresh = {
        key for key in ours if ours[key].shape != theirs[key].shape or not torch.equal(ours[key], theirs[key])
    }
    heads = ("fc.", "aux1.fc2.", "aux2.fc2.")
    assert fresh == {key for key in ours if key.startswith(heads)}


def test_weights_without_auxiliary_heads_are_complete(tmp_path: Path) -> None:
    state = build_model("googlenet", 5, "none", 64).module.state_dict()
    path = save(tmp_path / "w.safetensors", {k: v for k, v in state.items() if not k.startswith("aux")})
    assert set(build_model("googlenet", 5, path, 64).auxiliary_heads) == {"aux1", "aux2"}
    full = save(tmp_path / "full.safetensors", build_model("inception_v3", 5, "none").module.state_dict())
    assert build_model("inception_v3", 5, full, 96).auxiliary_heads == {}


def test_position_embeddings_follow_the_input_size(tmp_path: Path) -> None:
    large = build_model("vit_b_32", 5, "none", 128)
    path = save(tmp_path / "w.safetensors", large.module.state_dict())
    small = build_model("vit_b_32", 5, path, 64)
    embedding = small.module.state_dict()["encoder.pos_embedding"]
    original = large.module.state_dict()["encoder.pos_embedding"]
    assert embedding.shape == (1, 5, 768)
    assert torch.equal(embedding[:, 0], original[:, 0])
    assert torch.allclose(embedding[:, 1:].mean(), original[:, 1:].mean(), atol=1e-3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"conv1.weight": None}, "missing conv1.weight"),
        ({"fc2.weight": torch.zeros(1)}, "unexpected fc2.weight"),
        ({"conv1.weight": torch.zeros(64, 1, 7, 7)}, "conv1.weight 64x1x7x7 instead of 64x3x7x7"),
    ],
)
def test_weights_that_do_not_fit_name_the_tensor(
    tmp_path: Path, change: dict[str, Tensor | None], message: str
) -> None:
    state = {**build_model("resnet18", 3, "none").module.state_dict(), **change}
    path = save(
        tmp_path / "w.safetensors", {key: tensor for key, tensor in state.items() if tensor is not None}
    )
    with pytest.raises(ModelError, match=message) as caught:
        build_model("resnet18", 3, path)
    assert str(path) in str(caught.value)


def test_the_weights_of_another_model_name_only_a_few_tensors(tmp_path: Path) -> None:
    path = save(tmp_path / "w.safetensors", build_model("resnet18", 3, "none").module.state_dict())
    with refused(ModelError) as caught:
        build_model("mobilenet_v3_small", 3, path)
    assert len(str(caught.value)) < 1000


def test_a_head_for_other_classes_cannot_be_kept(tmp_path: Path) -> None:
    path = save(tmp_path / "w.safetensors", build_model("resnet18", 3, "none").module.state_dict())
    with refused(ModelError):
        build_model("resnet18", 4, path, head="keep")


@pytest.mark.parametrize(
    "prefix", ["module.", "_orig_mod.", "backbone.", "model.", "module._orig_mod.model."]
)
def test_what_a_wrapper_set_before_all_names_is_no_part_of_them(tmp_path: Path, prefix: str) -> None:
    built = build_model("timm:test_vit", 5, "none", seed=3)
    state = built.module.state_dict()
    path = save(tmp_path / "w.safetensors", {f"{prefix}{name}": tensor for name, tensor in state.items()})
    kept = build_model("timm:test_vit", 5, path, head="keep", seed=4).module.state_dict()
    assert all(torch.equal(kept[name], state[name]) for name in state)
    other = build_model("timm:test_vit", 4, path, seed=4).module.state_dict()
    assert all(torch.equal(other[name], state[name]) for name in state if not name.startswith("head."))


def test_position_embeddings_follow_the_input_size_behind_a_wrapper_too(tmp_path: Path) -> None:
    state = build_model("vit_b_32", 5, "none", 128).module.state_dict()
    path = save(tmp_path / "w.safetensors", {f"model.{name}": tensor for name, tensor in state.items()})
    small = build_model("vit_b_32", 5, path, 64).module.state_dict()
    assert small["encoder.pos_embedding"].shape == (1, 5, 768)


@pytest.mark.parametrize(
    "names", [{}, {"other": "module.conv1.weight"}, {"module.conv1.weight": "conv1.weight"}]
)
def test_a_prefix_of_some_names_only_is_a_part_of_them(names: dict[str, str]) -> None:
    own = {"conv1.weight": torch.ones(1), "fc.weight": torch.ones(1)}
    state = {name: own["fc.weight"] for pair in names.items() for name in pair}
    assert without_wrapper(state, own) == state
    strange = {"features.0.weight": torch.ones(1), "features.1.weight": torch.ones(1)}
    assert without_wrapper(strange, own) == strange


@pytest.mark.parametrize("name", ["w.pth", "w.pt", "w.bin", "w.ckpt", "w.pth.tar", "w.safetensors", "w"])
def test_a_pickle_is_refused_with_the_command_that_converts_it(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    for new in (True, False):
        torch.save({"a": torch.zeros(1)}, path, _use_new_zipfile_serialization=new)
        made = tmp_path / ("w.converted.safetensors" if name == "w.safetensors" else "w.safetensors")
        with pytest.raises(ModelError) as caught:
            build_model("resnet18", 3, path)
        assert str(caught.value) == (
            f"weights: {path} is a pickle, which can run code when read: convert it once with edgewright convert "
            f"{path} and write in the recipe weights: {made}"
        )


def test_safetensors_under_any_name_are_read(tmp_path: Path) -> None:
    path = save(tmp_path / "w.bin", build_model("timm:test_resnet", 3, "none").module.state_dict())
    assert build_model("timm:test_resnet", 3, path).classes == 3


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "there is no file"), (b"", "fresh copy"), (b"version https://git-lfs.github.com", "fresh copy")],
)
def test_a_file_that_is_no_safetensors_file(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "w.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelError, match=message):
        build_model("resnet18", 3, path)


def cached(hub: Path, name: str, state: dict[str, Tensor]) -> None:
    """Put weights where torch keeps downloads, so that the library's own way of loading finds them."""
    folder = hub / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    from torchvision.models import get_model_weights

    url = get_model_weights(name).DEFAULT.url
    torch.save(state, folder / url.rpartition("/")[2])


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    return tmp_path


def test_published_weights_get_a_new_head(hub: Path) -> None:
    published = build_model("squeezenet1_1", 1000, "none", seed=9).module.state_dict()
    cached(hub, "squeezenet1_1", published)
    built = build_model("squeezenet1_1", 5)
    ours = built.module.state_dict()
    assert {key for key in ours if ours[key].shape != published[key].shape} == {
        "classifier.1.weight",
        "classifier.1.bias",
    }
    assert all(torch.equal(ours[key], published[key]) for key in ours if not key.startswith("classifier.1"))
    assert built.licence == "BSD-3-Clause"
    kept = build_model("squeezenet1_1", 1000, head="keep").module.state_dict()
    assert all(torch.equal(kept[key], published[key]) for key in kept)


def test_the_published_densenet_has_names_of_an_older_time(hub: Path) -> None:
    published = build_model("densenet121", 1000, "none", seed=9).module.state_dict()
    old = {}
    for key, tensor in published.items():
        if key.endswith("num_batches_tracked"):
            continue  # younger than those weights
        for part in ("norm", "conv"):
            for number in ("1", "2"):
                key = key.replace(f".{part}{number}.", f".{part}.{number}.") if "denselayer" in key else key
        old[key] = tensor
    assert old.keys() != published.keys()
    cached(hub, "densenet121", old)
    ours = build_model("densenet121", 5).module.state_dict()
    assert all(torch.equal(ours[key], published[key]) for key in ours if not key.startswith("classifier"))


def test_a_damaged_download_is_reported(hub: Path) -> None:
    cached(hub, "resnet18", {})
    (file,) = (hub / "hub" / "checkpoints").iterdir()
    file.write_bytes(file.read_bytes()[:100])
    with refused(ModelError):
        build_model("resnet18", 3)


@pytest.mark.parametrize(
    "error", [URLError("no route"), RuntimeError('invalid hash value (expected "a", got "b")')]
)
def test_without_the_hub_torchvision_says_the_way_out(
    hub: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception
) -> None:
    def fail(*_arguments: object, **_options: object) -> None:
        raise error

    monkeypatch.setattr("torch.hub.download_url_to_file", fail)
    with refused(ModelError):
        build_model("resnet18", 3)
    assert capsys.readouterr().out == ""


def test_without_the_hub_timm_says_the_way_out_at_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(*_arguments: object, **_options: object) -> None:
        raise OSError("Name or service not known")

    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_: None)
    monkeypatch.setattr("urllib.request.getproxies", dict)
    monkeypatch.setattr("socket.getaddrinfo", fail)
    with refused(ModelError):
        build_model("timm:resnet18", 3)


def test_timm_takes_cached_weights_without_asking_the_hub(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    published = timm_models.construct("resnet10t", 1000, (176, 176)).state_dict()
    path = save(tmp_path / "model.safetensors", published)
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_: str(path))
    ours = build_model("timm:resnet10t", 5).module.state_dict()
    assert all(torch.equal(ours[key], published[key]) for key in ours if not key.startswith("fc."))


def test_a_timm_model_without_published_weights_says_so() -> None:
    with refused(ModelError):
        build_model("timm:botnet50ts_256", 3)


def run_of(path: Path, classes: object) -> Path:
    """A weights file as a run leaves it, whose head was trained for these classes."""
    safetensors.torch.save_file(
        {"fc.weight": torch.zeros(2)}, path, {"edgewright": json.dumps({"classes": classes})}
    )
    return path


@pytest.mark.parametrize(
    ("head", "data", "renamed"),
    [
        (["left", "right"], ("right", "left"), True),
        (["10", "9", "2"], ("10", "2", "9"), False),
        (["cat", "dog"], ("cats", "dogs"), False),
        ([f"class {n}" for n in range(20)], tuple(f"class {n}" for n in reversed(range(20))), True),
    ],
)
def test_a_head_that_is_kept_means_what_it_was_trained_for(
    head: list[str], data: tuple[str, ...], renamed: bool, tmp_path: Path
) -> None:
    with refused(RecipeError):
        check_kept_classes(run_of(tmp_path / "a.safetensors", head), data, renamed)


@pytest.mark.parametrize(
    ("head", "data", "renamed"),
    [
        (["a", "b"], ("a", "b"), False),
        (["a", "b"], ("x", "y"), True),
        (["a", "b"], ("a", "b", "c"), False),
        (None, ("a", "b"), False),
        ("ab", ("a", "b"), False),
    ],
)
def test_names_that_are_the_same_or_meant_or_not_known(
    head: object, data: tuple[str, ...], renamed: bool, tmp_path: Path
) -> None:
    check_kept_classes(run_of(tmp_path / "a.safetensors", head), data, renamed)
    check_kept_classes(tmp_path / "nothing.safetensors", data, renamed)


def test_a_kept_head_and_classes_in_another_order_are_refused(
    cli: Call, shipped: Shipped, tmp_path: Path
) -> None:
    kept = [
        "--set", f"weights={shipped.run / 'weights.safetensors'}", "--set", "training.epochs=1",
        "--set", "transfer={mode: fine-tuning, unfreeze: [fc], head: keep}", "--set", "training.lr=1e-7",
    ]  # fmt: skip
    for order in ("[3, 2, 1, 0]", "[1, 0, 2, 3]", "[4, 5, 6, 7]"):
        answer = cli(
            "fit", shipped.recipe, "--out", tmp_path / order, *kept, "--set", f"data.classes={order}"
        )
        if order == "[4, 5, 6, 7]":  # new names are meant
            assert answer.code == 0, answer.err
        else:
            assert "was trained for 0, 1, 2, 3, in this order" in answer.error()
    same = cli("fit", shipped.recipe, "--out", tmp_path / "same", *kept, "--json")
    assert same.code == 0 and same.json["metrics"]["evaluation"]["accuracy"] > 0.9
