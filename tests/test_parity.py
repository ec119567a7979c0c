"""The promise of the README: ONNX Runtime gives torch's answers for every family of models, at batch 1, 3 and 7.

One small model of each family in the ordinary tests, every model of torchvision with `-m slow`.
"""

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from benchmarks.parity_sweep import BATCHES, LIMIT, measure, photo_crops
from benchmarks.randomise import randomise
from edgewright.exporters.graph.export import export_graph, name_scopes
from edgewright.pipeline.data.samples import Sample
from edgewright.pipeline.models.model import BuiltModel
from edgewright.pipeline.models.vision.build import build_model
from edgewright.pipeline.tasks.image_classification import ImageClassification
from edgewright.pipeline.training.sample_source import SampleSource
from edgewright.runtime.bundle.files import canonical_json
from edgewright.runtime.bundle.structure import parse_json
from edgewright.runtime.contracts import GraphSpec
from edgewright.runtime.errors import EdgewrightError
from edgewright.runtime.graphs.session import open_session
from edgewright.runtime.tasks import load_task
from edgewright.runtime.tasks.base import Task
from tests.vision_models import torchvision_classifiers

LABELS = ("a", "b", "c", "d", "e", "f")
SIZES = (64, 96, 224)
"""Tried in this order: the first that the model takes. What an export costs hardly depends on it."""

TIMM = ("timm:mobilenetv3_small_050", "timm:test_vit")
SLOW = (
    "alexnet", "densenet", "efficientnet_v2", "maxvit", "mnasnet", "regnet", "resnext", "shufflenet_v2", "swin",
    "swin_v2", "vit", "wide_resnet",
)  # fmt: skip
"""Families whose kinds of layers others of the list have, or that take half a minute and more. `-m slow` has them, and
so has the sweep over all models, whose table is committed.
"""


def family_of(name: str) -> str:
    """ "resnet18" and "resnet152" -> "resnet"; "swin_v2_t" -> "swin_v2"; "regnet_y_400mf" -> "regnet"."""
    found = re.match(r"[a-z]+(_v\d|_resnet)?", name)
    assert found is not None, name
    return found.group()


def smallest_of_each_family() -> dict[str, str]:
    """Family to its model of the fewest parameters, over all that torchvision has."""
    sizes = torchvision_classifiers()
    chosen: dict[str, str] = {}
    for name in sorted(sizes, key=lambda name: sizes[name]):
        chosen.setdefault(family_of(name), name)
    return dict(sorted(chosen.items()))


FAMILIES = smallest_of_each_family()
NAMES = [
    pytest.param(name, marks=[pytest.mark.slow] if family in SLOW else [])
    for family, name in (*FAMILIES.items(), *((name, name) for name in TIMM))
]


def build_small(name: str) -> BuiltModel:
    """The model at the smallest of `SIZES`; with auxiliary heads that cannot shrink, at its own size."""
    for size in SIZES:
        try:
            built = build_model(name, len(LABELS), "none", size)
        except EdgewrightError:
            continue
        if built.auxiliary_heads or name != "inception_v3":
            return built
    return build_model(name, len(LABELS), "none")


def pictures(built: BuiltModel) -> list[bytes]:
    """Photographs as files, JPEG and PNG in turn, none of them square."""
    found = []
    for index, crop in enumerate(photo_crops(max(BATCHES))):
        buffer = io.BytesIO()
        image = Image.fromarray(crop[: 300 + 10 * index])
        image.save(buffer, ("JPEG", "PNG")[index % 2])
        found.append(buffer.getvalue())
    return found


def encoded_for_training(built: BuiltModel, raws: list[Any]) -> NDArray[np.float32]:
    """What the training loop gives the model, by its own source of samples."""
    task = ImageClassification(LABELS)
    samples = [Sample(f"{index}", raw, 0, "") for index, raw in enumerate(raws)]
    source = SampleSource(samples, task, task.device_task(built.settings, LABELS))
    ((batch,),) = source.batches([np.arange(len(raws))], epoch=0)
    values: NDArray[np.float32] = batch.numpy()
    return values


def device_of(built: BuiltModel) -> Task[Any]:
    """The device's half, from what a manifest holds: JSON."""
    task = ImageClassification(LABELS).device_task(built.settings, LABELS)
    settings = parse_json(canonical_json(task.processor))
    return load_task("image-classification", settings, LABELS)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_the_registry_has_all_the_families_that_the_readme_names() -> None:
    assert FAMILIES.keys() >= {
        "vgg", "resnet", "resnext", "inception_v3", "googlenet", "mobilenet_v2", "mobilenet_v3", "densenet",
        "efficientnet", "convnext", "regnet", "vit", "swin",
    }  # fmt: skip
    assert set(SLOW) < FAMILIES.keys()


@pytest.mark.parametrize("name", NAMES)
def test_a_family_keeps_its_answers(name: str, tmp_path: Path) -> None:
    built = build_small(name)
    randomise(built, seed=0)
    raws = pictures(built)
    images = encoded_for_training(built, raws)

    device = device_of(built)
    feeds = device.collate([device.encode(raw) for raw in raws])
    assert np.array_equal(feeds["pixel_values"], images)

    graph = export_graph(built.module, (torch.from_numpy(images[:2]),), tmp_path / "model.onnx")
    assert graph.route == "torch.export"
    assert graph.files == (graph.path,)
    assert graph.inputs[0].shape[0] == graph.outputs[0].shape[0] == "batch"
    device.check({"model": GraphSpec(graph.inputs, graph.outputs)})
    check_no_auxiliary_head(built, graph.path)

    session = open_session(graph.path, provider="cpu", threads=1, cache=False)
    for batch in BATCHES:
        with torch.inference_mode():
            wanted = built.module(torch.from_numpy(images[:batch])).numpy()
        found = session.run({"pixel_values": images[:batch]})["logits"]
        assert found.shape == wanted.shape == (batch, len(LABELS))
        difference = float(np.abs(found - wanted).max())
        assert difference <= LIMIT * float(np.abs(wanted).max())
        best = np.sort(wanted, axis=1)
        clear = best[:, -1] - best[:, -2] > 2 * difference
        assert clear.any()
        assert np.array_equal(found.argmax(1)[clear], wanted.argmax(1)[clear])


def check_no_auxiliary_head(built: BuiltModel, path: Path) -> None:
    """Auxiliary heads answer while a model trains and have left no weight and no node in its export."""
    assert bool(built.auxiliary_heads) == (built.name in ("googlenet", "inception_v3"))
    model = onnx.load(path)
    names = [tensor.name for tensor in model.graph.initializer]
    names += [scope for node in model.graph.node for scope in name_scopes(node)]
    assert any(name.partition(".")[0] == built.head.partition(".")[0] for name in names)
    for head in built.auxiliary_heads:
        assert built.module.get_submodule(head) is not None
        assert not [name for name in names if name == head or name.startswith(f"{head}.")]


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("name", torchvision_classifiers())
def test_every_model_keeps_its_answers(name: str) -> None:
    row = measure(name)
    assert row["holds"], row
