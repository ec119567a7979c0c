"""Export: both routes, axes that really move, the same bytes twice, errors in one line."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from edgewright.exporters.graph.export import export_graph, load_graph, name_scopes
from edgewright.runtime.errors import ExportError
from tests.exporters.trained import Trained
from tests.messages import refused


class Recurrent(nn.Module):
    def __init__(self, kind: type[nn.LSTM | nn.RNN]) -> None:
        super().__init__()
        self.cell = kind(4, 8, batch_first=True)
        self.head = nn.Linear(8, 3)

    def forward(self, steps: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.head(self.cell(steps)[0][:, -1])
        return found


class Unknown(nn.Module):
    def forward(self, image: torch.Tensor) -> torch.Tensor:
        total = image.sum((1, 2, 3))
        found: torch.Tensor = torch.special.zeta(total + 2, total + 1)
        return found


def run(path: Path, **feeds: np.ndarray) -> np.ndarray:
    found: np.ndarray = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(
        None, feeds
    )[0]
    return found


@pytest.mark.parametrize("batch", [1, 3, 7])
def test_torch_and_the_graph_agree_at_every_batch(trained: Trained, batch: int) -> None:
    images = np.stack(
        [trained.reference.task.encode(raw)["pixel_values"] for raw in trained.evaluation.raws[:batch]]
    )
    wanted = trained.reference.graphs.run("model", {"pixel_values": images})["logits"]
    found = run(trained.graph.path, pixel_values=images)
    assert np.abs(found - wanted).max() <= 1e-4 * np.abs(wanted).max()
    assert (found.argmax(1) == wanted.argmax(1)).all()


def test_the_graph_is_one_file_with_named_axes(trained: Trained) -> None:
    graph = trained.graph
    assert graph.route == "torch.export" and graph.files == (graph.path,)
    assert (graph.inputs[0].name, graph.inputs[0].dtype, graph.inputs[0].shape) == (
        "pixel_values",
        "float32",
        ("batch", 3, 32, 32),
    )
    assert (graph.outputs[0].name, graph.outputs[0].shape) == ("logits", ("batch", 10))
    assert load_graph(graph.path) == graph
    assert load_graph(trained.variants["int8-static"].path) == trained.variants["int8-static"]


def test_twice_is_the_same_file_and_tells_nothing_of_the_machine(trained: Trained, tmp_path: Path) -> None:
    again = export_graph(trained.module, {"pixel_values": torch.zeros(2, 3, 32, 32)}, tmp_path / "again.onnx")
    assert again.path.read_bytes() == trained.graph.path.read_bytes()
    model = onnx.load(again.path)
    weights = {tensor.name for tensor in model.graph.initializer}
    assert weights.isdisjoint(value.name for value in model.graph.value_info)
    del model.graph.initializer[:]
    assert b".py" not in model.SerializeToString() and b"stack_trace" not in model.SerializeToString()
    scopes = {name_scopes(node)[-1] for node in model.graph.node if name_scopes(node)}
    assert {"bn1", "layer4.1.bn2", "fc"} <= scopes


def test_training_flags_are_as_before_and_do_not_reach_the_graph(tmp_path: Path) -> None:
    module = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )
    module.train()
    module[1].eval()
    graph = export_graph(module, (torch.randn(2, 3, 8, 8),), tmp_path / "model.onnx")
    assert [part.training for part in module] == [True, False, True, True, True] and module.training
    image = torch.randn(3, 3, 8, 8)
    wanted = module.eval()(image).detach().numpy()
    assert np.allclose(run(graph.path, pixel_values=image.numpy()), wanted, atol=1e-5)


@pytest.mark.parametrize(("kind", "route"), [(nn.LSTM, "torch.export"), (nn.RNN, "torchscript")])
def test_a_route_that_freezes_time_is_not_taken(
    kind: type[nn.LSTM | nn.RNN], route: str, tmp_path: Path
) -> None:
    module = Recurrent(kind)
    axes = {"steps": {0: "batch", 1: "time"}}
    graph = export_graph(
        module, (torch.randn(2, 5, 4),), tmp_path / "model.onnx", ("steps",), dynamic_axes=axes
    )
    assert graph.route == route, graph.note
    assert ("took TorchScript" in graph.note) == (route == "torchscript")
    steps = torch.randn(1, 17, 4)
    assert np.allclose(run(graph.path, steps=steps.numpy()), module(steps).detach().numpy(), atol=1e-5)


def test_what_cannot_be_exported_is_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with refused(ExportError) as caught:
        export_graph(Unknown(), (torch.rand(2, 3, 4, 4),), tmp_path / "model.onnx")
    assert "\n" not in str(caught.value) and "\x1b" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_wrong_calls_are_one_line(tmp_path: Path) -> None:
    module, image = nn.Flatten(), torch.zeros(2, 3)
    with refused(ExportError):
        export_graph(module, (image,), tmp_path / "model.onnx", route="magic")
    with refused(ExportError):
        export_graph(module, {"picture": image}, tmp_path / "model.onnx")
    with refused(ExportError):
        export_graph(module, (image, image), tmp_path / "model.onnx")
    with refused(ExportError):
        load_graph(tmp_path / "none.onnx")
    (tmp_path / "text.onnx").write_text("hello")
    with refused(ExportError):
        load_graph(tmp_path / "text.onnx")
