"""Layers that are used twice, in int8 and on a CPU where ONNX Runtime rewrites weights."""

import platform
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from edgewright.exporters.distance import distance
from edgewright.exporters.graph.export import Graph, export_graph
from edgewright.exporters.precision import registry, static
from edgewright.exporters.precision.registry import make_variant
from edgewright.runtime.contracts import Tensors
from edgewright.runtime.graphs import session_options
from edgewright.runtime.graphs.session_options import cpu_session

X86 = platform.machine() in ("x86_64", "AMD64")


class Layers(nn.Module):
    """A layer that is used twice, and one that is used once."""

    weights = 2 * 96 * 96

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer, self.last = nn.Linear(96, 96), nn.Linear(96, 96)

    def forward(self, values: Tensor) -> Tensor:
        answer: Tensor = self.last(torch.tanh(self.layer(torch.tanh(self.layer(values)))))
        return answer


class Convolutions(nn.Module):
    """The same with convolutions, as a detector's head has them for every size."""

    weights = 2 * 8 * 8 * 9

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer, self.last = (nn.Conv2d(8, 8, 3, padding=1) for _ in range(2))

    def forward(self, values: Tensor) -> Tensor:
        answer: Tensor = self.last(torch.tanh(self.layer(torch.tanh(self.layer(values)))))
        return answer


CASES = [("int8-dynamic", Layers), ("int8-static", Layers), ("int8-static", Convolutions)]
SHAPES = {Layers: (2, 7, 96), Convolutions: (2, 8, 8, 8)}


def exported(kind: type[Layers | Convolutions], path: Path) -> tuple[Graph, Tensors]:
    """Such a net as a graph, and a batch for it."""
    values = torch.randn(SHAPES[kind], generator=torch.Generator().manual_seed(1))
    axes = {"values": {0: "batch", 1: "time"} if kind is Layers else {0: "batch"}}
    graph = export_graph(kind().eval(), (values,), path, ("values",), ("answer",), axes)
    return graph, {"values": values.numpy()}


@pytest.fixture(autouse=True)
def old_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose sums of products would saturate."""
    monkeypatch.setattr(session_options, "products_saturate", lambda: True)


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_they_open_and_answer_as_fp32_does(
    tmp_path: Path, name: str, kind: type[Layers | Convolutions]
) -> None:
    graph, feeds = exported(kind, tmp_path / "model.onnx")
    made = make_variant(graph, name, [feeds], tmp_path / "int8.onnx")
    wanted, found = ({"answer": cpu_session(of.path).run(None, feeds)[0]} for of in (graph, made))
    apart = distance([wanted], [found]).sqnr_db
    assert apart is not None and apart > 25
    stored = [tensor for tensor in onnx.load(made.path).graph.initializer if len(tensor.dims) > 1]
    assert {tensor.data_type for tensor in stored} == {onnx.TensorProto.INT8}
    assert sum(np.prod(tensor.dims) for tensor in stored) == kind.weights, "the file holds every weight once"


@pytest.mark.skipif(not X86, reason="only for x86 does ONNX Runtime rewrite weights")
@pytest.mark.parametrize(("name", "kind"), CASES)
def test_otherwise_they_do_not_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, kind: type[Layers | Convolutions]
) -> None:
    for making in (registry, static):
        monkeypatch.setattr(making, "separate_weights", lambda model: None)
    monkeypatch.setattr(registry, "_check_in_a_child", lambda path, precision: None)
    graph, feeds = exported(kind, tmp_path / "model.onnx")
    made = make_variant(graph, name, [feeds], tmp_path / "int8.onnx", method="minmax")
    with pytest.raises(Exception, match="Attempt to replace the existing tensor"):
        cpu_session(made.path)
