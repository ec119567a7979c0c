"""Variants: what is in them, that they repeat, and that nothing is called int8 which is not."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from edgewright.exporters.distance import distance
from edgewright.exporters.graph import export as onnx_graph
from edgewright.exporters.graph.export import Graph, export_graph, save_model
from edgewright.exporters.judge.nodes import first_apart_from_graph
from edgewright.exporters.precision import registry as making
from edgewright.exporters.precision.calibration import measure_ranges
from edgewright.exporters.precision.registry import PRECISIONS, make_variant
from edgewright.runtime.contracts import Tensors
from edgewright.runtime.errors import ExportError
from edgewright.runtime.graphs.session_options import cpu_session
from tests.exporters.trained import Trained
from tests.messages import refused


def operators(graph: Graph) -> set[str]:
    return {node.op_type for node in onnx.load(graph.path).graph.node}


def run(graph: Graph, feeds: Tensors) -> Tensors:
    return {"logits": cpu_session(graph.path).run(None, feeds)[0]}


@pytest.mark.parametrize(
    ("precision", "decibels", "size"),
    [("fp16", 60, 0.51), ("int8-dynamic", 15, 0.28), ("int8-static", 15, 0.28)],
)
def test_small_and_near(trained: Trained, precision: str, decibels: float, size: float) -> None:
    variant = trained.variants[precision]
    wanted, found = run(trained.graph, trained.calibration[0]), run(variant, trained.calibration[0])
    measured = distance([wanted], [found]).sqnr_db
    assert measured is not None and measured > decibels
    assert variant.size < size * trained.graph.size
    assert variant.inputs == trained.graph.inputs and variant.outputs == trained.graph.outputs


def test_twice_is_the_same_file(trained: Trained, tmp_path: Path) -> None:
    for name, variant in trained.variants.items():
        again = make_variant(trained.graph, name, trained.calibration, tmp_path / f"{name}.onnx")
        assert again.path.read_bytes() == variant.path.read_bytes(), name


def test_static_is_unsigned_by_signed_and_per_channel(trained: Trained) -> None:
    model = onnx.load(trained.variants["int8-static"].path)
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    kinds = set()
    for node in model.graph.node:
        if node.op_type == "QuantizeLinear":
            kinds.add(tensors[node.input[2]].data_type)
    assert kinds == {onnx.TensorProto.UINT8}
    weights = tensors["layer1.0.conv1.weight_quantized"]
    assert weights.data_type == onnx.TensorProto.INT8
    assert list(tensors["layer1.0.conv1.weight_scale"].dims) == [64]
    assert (
        "calibrated by" in trained.variants["int8-static"].note
        and "dB" in trained.variants["int8-static"].note
    )


@pytest.mark.parametrize("method", ["minmax", "percentile"])
def test_the_method_asked_for_is_used(trained: Trained, method: str, tmp_path: Path) -> None:
    made = make_variant(
        trained.graph, "int8-static", trained.calibration, tmp_path / "model.onnx", method, False
    )
    assert made.note == f"calibrated by {method}, per tensor"


class Plain(nn.Module):
    """Nothing in it that int8 or int4 knows."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return torch.sin(image).mean((2, 3)) * 2.0


@pytest.mark.parametrize("precision", [name for name in PRECISIONS if name not in ("fp32", "fp16")])
def test_what_stays_fp32_is_not_called_anything_else(precision: str, tmp_path: Path) -> None:
    graph = export_graph(Plain(), (torch.zeros(2, 3, 8, 8),), tmp_path / "model.onnx")
    feeds = [{"pixel_values": np.random.default_rng(0).standard_normal((4, 3, 8, 8)).astype(np.float32)}]
    with pytest.raises(ExportError, match=f"leave {precision} out"):
        make_variant(graph, precision, feeds, tmp_path / "variant.onnx")
    assert not (tmp_path / "variant.onnx").exists()


def test_int4_shrinks_matrix_products(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Flatten(), nn.Linear(192, 256), nn.ReLU(), nn.Linear(256, 10))
    graph = export_graph(module, (torch.zeros(2, 3, 8, 8),), tmp_path / "model.onnx")
    variant = make_variant(graph, "int4", [], tmp_path / "q4.onnx")
    assert "MatMulNBits" in operators(variant) and variant.size < 0.25 * graph.size
    feeds = {"pixel_values": np.random.default_rng(0).standard_normal((4, 3, 8, 8)).astype(np.float32)}
    measured = distance([run(graph, feeds)], [run(variant, feeds)]).sqnr_db
    assert measured is not None and measured > 10


def levels(graph: Graph) -> set[int]:
    found = set()
    for node in onnx.load(graph.path).graph.node:
        if node.op_type == "MatMulNBits":
            found.add(next((one.i for one in node.attribute if one.name == "accuracy_level"), 0))
    return found


def test_int4_takes_the_integer_level_where_it_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    axes = {"pixel_values": {0: "batch", 1: "time"}}
    graph = export_graph(
        Words(), (torch.arange(10).reshape(2, 5),), tmp_path / "model.onnx", dynamic_axes=axes
    )
    feeds = [{"pixel_values": np.arange(row, row + 40).reshape(1, 40)} for row in range(0, 360, 60)]
    plain = make_variant(graph, "int4", [], tmp_path / "plain.onnx")
    assert levels(plain) == {0} and "accuracy level" not in plain.note
    integer = make_variant(graph, "int4", feeds, tmp_path / "integer.onnx")
    assert levels(integer) == {4} and "accuracy level 4 (on the calibration samples: unset" in integer.note
    assert "embedding tables in int8" in integer.note and integer.size < 0.3 * graph.size
    again = make_variant(graph, "int4", feeds, tmp_path / "again.onnx")
    assert again.path.read_bytes() == integer.path.read_bytes() and again.note == integer.note
    monkeypatch.setattr(making, "_INTEGER_COST", -20.0)
    exact = make_variant(graph, "int4", feeds, tmp_path / "exact.onnx")
    assert levels(exact) == {0} and "accuracy level unset (on" in exact.note
    feed = {"pixel_values": feeds[0]["pixel_values"]}
    assert np.array_equal(run(exact, feed)["logits"], run(plain, feed)["logits"])


@pytest.mark.parametrize("precision", [name for name in PRECISIONS if name != "int8-dynamic-vnni"])
def test_weights_beside_the_graph_give_the_same_variant(
    precision: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 16, 3, stride=2), nn.BatchNorm2d(16), nn.ReLU(), nn.Flatten(), nn.Linear(784, 64)]
    inside = export_graph(
        nn.Sequential(*layers).eval(), (torch.zeros(2, 3, 16, 16),), tmp_path / "model.onnx"
    )
    monkeypatch.setattr(onnx_graph, "ONE_FILE_LIMIT", 20_000)
    beside = save_model(onnx.load(inside.path), tmp_path / "large.onnx", "torch.export")
    assert len(beside.files) == 2
    feeds = {"pixel_values": np.random.default_rng(0).standard_normal((4, 3, 16, 16)).astype(np.float32)}
    one = make_variant(inside, precision, [feeds], tmp_path / "one.onnx")
    two = make_variant(beside, precision, [feeds], tmp_path / "two.onnx")
    assert [file.name for file in two.files] == ["two.onnx", "two.onnx.data"]
    assert np.abs(run(one, feeds)["logits"] - run(two, feeds)["logits"]).max() < 1e-6
    assert one.note == two.note
    assert first_apart_from_graph(
        beside.path, two.path, {"pixel_values": feeds["pixel_values"][:1]}
    ) == first_apart_from_graph(inside.path, one.path, {"pixel_values": feeds["pixel_values"][:1]})


class Words(nn.Module):
    """An embedding whose rows are of very different size, and layers behind it."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embedding = nn.Embedding(400, 64)
        with torch.no_grad():
            self.embedding.weight *= torch.logspace(-2, 1, 400)[:, None]
        self.layers = nn.Sequential(nn.LayerNorm(64), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.layers(self.embedding(image)).mean(1)
        return found


def test_a_table_of_words_has_a_scale_for_each_row(tmp_path: Path) -> None:
    axes = {"pixel_values": {0: "batch", 1: "time"}}
    tokens = torch.arange(10).reshape(2, 5)
    graph = export_graph(Words(), (tokens,), tmp_path / "model.onnx", dynamic_axes=axes)
    made = make_variant(graph, "int8-dynamic", [], tmp_path / "fine.onnx")
    coarse = make_variant(graph, "int8-dynamic", [], tmp_path / "coarse.onnx", per_channel=False)
    assert made.note == "embedding tables with a scale for each row" and coarse.note == ""
    assert made.size < 0.3 * graph.size and coarse.size < 0.3 * graph.size
    feeds = {"pixel_values": np.arange(100).reshape(10, 10)}  # the small rows
    wanted = run(graph, feeds)
    fine, rough = (
        distance([wanted], [run(made, feeds)]).sqnr_db,
        distance([wanted], [run(coarse, feeds)]).sqnr_db,
    )
    assert fine is not None and rough is not None and fine > 25 and fine > rough + 10


class Attention(nn.Module):
    """Transpose before a matrix product: in fp16 that crashes onnxruntime unless the transpose stays fp32."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, 32, 8, stride=8)
        self.layer = nn.TransformerEncoderLayer(32, 2, 64, dropout=0.0, batch_first=True)
        self.head = nn.Linear(32, 10)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        tokens = self.embed(image).flatten(2).transpose(1, 2)
        found: torch.Tensor = self.head(self.layer(tokens).mean(1))
        return found


def test_attention_in_fp16_does_not_crash_onnxruntime(tmp_path: Path) -> None:
    torch.manual_seed(0)
    graph = export_graph(Attention(), (torch.zeros(2, 3, 32, 32),), tmp_path / "model.onnx")
    variant = make_variant(graph, "fp16", [], tmp_path / "half.onnx")
    feeds = {"pixel_values": np.random.default_rng(0).standard_normal((3, 3, 32, 32)).astype(np.float32)}
    measured = distance([run(graph, feeds)], [run(variant, feeds)]).sqnr_db
    assert measured is not None and measured > 50


def test_calibration_needs_samples_that_are_finite(trained: Trained, tmp_path: Path) -> None:
    with refused(ExportError):
        make_variant(trained.graph, "int8-static", [], tmp_path / "model.onnx")
    bad = [{"pixel_values": np.full((1, 3, 32, 32), np.nan, np.float32)}]
    with refused(ExportError):
        make_variant(trained.graph, "int8-static", bad, tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_unknown_names_are_one_line(trained: Trained, tmp_path: Path) -> None:
    with refused(ExportError):
        make_variant(trained.graph, "int3", [], tmp_path / "model.onnx")
    with refused(ExportError):
        make_variant(trained.graph, "int8-static", [], tmp_path / "model.onnx", method="entropy")


def test_percentile_cuts_the_tail_and_minmax_does_not(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Flatten(), nn.Identity(), nn.Linear(100, 2))
    graph = export_graph(module, (torch.zeros(2, 1, 10, 10),), tmp_path / "model.onnx")
    values = np.random.default_rng(0).standard_normal((400, 1, 10, 10)).astype(np.float32)
    values[7, 0, 3, 3] = 1000.0
    ranges = measure_ranges(
        graph.path, [{"pixel_values": values[:200]}, {"pixel_values": values[200:]}], ["Gemm", "MatMul"]
    )
    assert ranges["minmax"]["pixel_values"] == (float(values.min()), 1000.0)
    low, high = ranges["percentile"]["pixel_values"]
    assert high < 10 and low >= float(values.min())


def test_an_infinite_tensor_that_stays_fp32_does_not_stop_the_calibration(tmp_path: Path) -> None:
    class Masked(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.product = torch.nn.Linear(64, 64)

        def forward(self, values: torch.Tensor, distance: torch.Tensor) -> torch.Tensor:
            logarithm = torch.log(distance.float())
            far = torch.where(distance > 0, logarithm, torch.zeros_like(logarithm))
            answer: torch.Tensor = self.product(values) + far
            return answer

    torch.manual_seed(0)
    example = (torch.randn(4, 64), torch.arange(4).reshape(4, 1))
    names = ("values", "distance")
    axes = {name: {0: "batch"} for name in names}
    graph = export_graph(Masked().eval(), example, tmp_path / "model.onnx", names, ("answer",), axes)
    feeds = {name: one.numpy() for name, one in zip(names, example, strict=True)}
    made = make_variant(graph, "int8-static", [feeds], tmp_path / "int8.onnx")
    wanted = cpu_session(graph.path).run(None, feeds)[0]
    found = cpu_session(made.path).run(None, feeds)[0]
    assert np.abs(found - wanted).max() <= 0.02 * np.abs(wanted).max()
