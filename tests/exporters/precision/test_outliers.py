"""Outlying channels: divided where that makes int8 nearer to fp32, never otherwise, and computing the same."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from edgewright.exporters.distance import distance
from edgewright.exporters.graph.export import Graph, export_graph, load_graph
from edgewright.exporters.graph.prepare import preprocess
from edgewright.exporters.precision.outliers import MOST, can_divide, divide_outliers
from edgewright.exporters.precision.registry import make_variant, wants_calibration
from edgewright.runtime.contracts import Tensors
from edgewright.runtime.graphs.session_options import cpu_session

WIDTH = 64


class Block(nn.Module):
    """Products as a transformer has them: two that read one activation, one of another, one with weights shared."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.scale = nn.Parameter(torch.ones(WIDTH))
        self.left, self.right = nn.Linear(WIDTH, 48), nn.Linear(WIDTH, 48)
        self.up, self.shared = nn.Linear(48, 96), nn.Linear(96, 96)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        scaled = tokens * self.scale
        inner = self.up(torch.tanh(self.left(scaled)) + self.right(scaled))
        found: torch.Tensor = self.shared(torch.tanh(self.shared(inner)))
        return found


def export(path: Path, outliers: bool) -> Graph:
    module = Block()
    if outliers:
        with torch.no_grad():
            module.scale[5], module.scale[40] = 30.0, 12.0
            for layer in (module.left, module.right):
                layer.weight[:, [5, 40]] *= 0.1
    axes = {"tokens": {0: "batch", 1: "time"}}
    return export_graph(module, (torch.zeros(2, 7, WIDTH),), path, ("tokens",), ("logits",), axes)


def batches(seed: int, count: int = 6) -> list[Tensors]:
    random = np.random.default_rng(seed)
    return [{"tokens": random.standard_normal((1, 20, WIDTH)).astype(np.float32)} for _ in range(count)]


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    return export(tmp_path_factory.mktemp("outliers") / "model.onnx", outliers=True)


def run(model: Path | bytes, feeds: Tensors) -> Tensors:
    return {"logits": cpu_session(model).run(None, feeds)[0]}


def decibels(wanted: Tensors, found: Tensors) -> float:
    value = distance([wanted], [found]).sqnr_db
    assert value is not None
    return value


def test_what_is_divided_computes_the_same(graph: Graph, tmp_path: Path) -> None:
    model, changed, count = divide_outliers(onnx.load(preprocess(graph.path, tmp_path)), batches(0))
    assert (changed, count) == (1, 4)
    onnx.checker.check_model(model)
    feeds = batches(1)[0]
    assert decibels(run(graph.path, feeds), run(model.SerializeToString(), feeds)) > 110
    longer = [list(tensor.dims) for tensor in model.graph.initializer if tensor.name.endswith("_divided")]
    assert len(longer) == 2 and longer[0] == longer[1] and WIDTH < longer[0][0] <= WIDTH + MOST
    assert sum(node.op_type == "Concat" for node in model.graph.node) == 1  # once for both who read it
    weights = {tensor.name for tensor in model.graph.initializer}
    products = [node for node in model.graph.node if node.op_type == "MatMul"]
    assert (
        len({node.input[1] for node in products} & weights) == 4
    )  # five products, two of them of one weight


def test_int8_comes_nearer(graph: Graph, tmp_path: Path) -> None:
    plain = make_variant(graph, "int8-dynamic", [], tmp_path / "plain.onnx")
    divided = make_variant(graph, "int8-dynamic", batches(0), tmp_path / "divided.onnx")
    assert (
        divided.note
        == "outliers of 1 of 4 activations divided; 4 weights rounded by what samples say of their channels together"
        and plain.note == ""
    )
    assert (divided.inputs, divided.outputs) == (graph.inputs, graph.outputs)
    feeds = batches(1)[0]
    wanted = run(graph.path, feeds)
    assert decibels(wanted, run(divided.path, feeds)) > decibels(wanted, run(plain.path, feeds)) + 6
    again = make_variant(graph, "int8-dynamic", batches(0), tmp_path / "again.onnx")
    assert again.path.read_bytes() == divided.path.read_bytes()


def test_one_scale_for_a_whole_weight_stays_what_it_was(graph: Graph, tmp_path: Path) -> None:
    made = [
        make_variant(graph, "int8-dynamic", samples, tmp_path / f"{number}.onnx", per_channel=False)
        for number, samples in enumerate(([], batches(0)))
    ]
    assert made[0].path.read_bytes() == made[1].path.read_bytes()


def test_what_has_no_outliers_is_left_alone(tmp_path: Path) -> None:
    graph = export(tmp_path / "model.onnx", outliers=False)
    prepared = onnx.load(preprocess(graph.path, tmp_path))
    kinds = [node.op_type for node in prepared.graph.node]
    model, changed, count = divide_outliers(prepared, batches(0))
    assert (changed, count) == (0, 4) and [node.op_type for node in model.graph.node] == kinds


@pytest.mark.parametrize("what", ["none", "not finite"])
def test_samples_that_say_nothing_change_nothing(what: str, graph: Graph) -> None:
    samples = [] if what == "none" else [{"tokens": np.full((1, 3, WIDTH), np.nan, np.float32)}]
    assert divide_outliers(onnx.load(graph.path), samples)[1] == 0


class Picture(nn.Module):
    """A network of convolutions with a head, as vision models have it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 32, 3), nn.Linear(32, 10)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.head(self.conv(image).mean((2, 3)))
        return found


def test_who_gains_by_samples(graph: Graph, tmp_path: Path) -> None:
    picture = export_graph(Picture(), (torch.zeros(2, 3, 8, 8),), tmp_path / "picture.onnx")
    asked = ("fp32", "fp16", "int8-dynamic", "int8-static", "int4")
    assert [wants_calibration(name, graph) for name in asked] == [False, False, True, True, True]
    assert [wants_calibration(name, picture) for name in asked] == [False, False, False, True, True]
    assert not can_divide(onnx.load(picture.path))


def test_windows_of_pictures_are_divided_too(tmp_path: Path) -> None:
    import timm

    module = timm.create_model("test_vit", num_classes=10, pretrained=False).eval()
    size = module.default_cfg["input_size"]
    with torch.no_grad():
        for block in module.blocks:
            block.norm1.weight[3] = 40.0
    graph = export_graph(module, (torch.zeros(2, *size),), tmp_path / "model.onnx")
    random = np.random.default_rng(0)
    samples = [{"pixel_values": random.standard_normal((1, *size)).astype(np.float32)} for _ in range(4)]
    made = make_variant(graph, "int8-dynamic", samples, tmp_path / "int8.onnx")
    plain = make_variant(graph, "int8-dynamic", [], tmp_path / "plain.onnx")
    assert "activations divided" in made.note and not made.note.startswith("outliers of 0")
    feeds = {"pixel_values": random.standard_normal((3, *size)).astype(np.float32)}
    wanted = run(graph.path, feeds)
    assert decibels(wanted, run(made.path, feeds)) > decibels(wanted, run(plain.path, feeds))
    assert load_graph(made.path).inputs == graph.inputs
