"""Layers that are used twice, in int8 and on a CPU where ONNX Runtime rewrites weights."""

import platform
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from edgewright.exporters.distance import sqnr_db
from edgewright.exporters.graph.export import Graph, export_graph
from edgewright.exporters.precision import registry as precision
from edgewright.exporters.precision.registry import make_variant
from edgewright.runtime.graphs import session_options
from edgewright.runtime.graphs.session_options import cpu_session

X86 = platform.machine() in ("x86_64", "AMD64")
WEIGHTS = 2 * 64 * 64 + 8 * 8 * 9


class Twice(nn.Module):
    """A convolution and a layer, each used twice, and one layer that is used once."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.convolution = nn.Conv2d(8, 8, 3, padding=1)
        self.layer, self.last = nn.Linear(64, 64), nn.Linear(64, 64)

    def forward(self, image: Tensor) -> Tensor:
        found = torch.relu(self.convolution(torch.relu(self.convolution(image)))).flatten(2)
        answer: Tensor = self.last(torch.relu(self.layer(torch.relu(self.layer(found)))))
        return answer


IMAGE = torch.randn(3, 8, 8, 8, generator=torch.Generator().manual_seed(1))
FEEDS = {"image": IMAGE.numpy()}


@pytest.fixture
def graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Graph:
    """The net as a graph, on a machine whose sums of products would saturate."""
    monkeypatch.setattr(session_options, "products_saturate", lambda: True)
    return export_graph(
        Twice().eval(), (IMAGE,), tmp_path / "model.onnx", ("image",), ("answer",), {"image": {0: "batch"}}
    )


@pytest.mark.parametrize("name", ["int8-dynamic", "int8-static"])
def test_they_open_and_answer_as_fp32_does(graph: Graph, tmp_path: Path, name: str) -> None:
    made = make_variant(graph, name, [FEEDS], tmp_path / "int8.onnx")
    wanted, found = (
        {"answer": cpu_session(path).run(None, FEEDS)[0]} for path in (graph.path, tmp_path / "int8.onnx")
    )
    apart = sqnr_db(wanted, found)
    assert apart is not None and apart > 25
    stored = onnx.load(made.path).graph.initializer
    whole = (onnx.TensorProto.INT8, onnx.TensorProto.UINT8)
    sizes = [int(np.prod(tensor.dims)) for tensor in stored if tensor.data_type in whole]
    assert sum(size for size in sizes if size > 64) == WEIGHTS, "the file holds every weight once"


@pytest.mark.skipif(not X86, reason="only for x86 does ONNX Runtime rewrite weights")
@pytest.mark.parametrize("name", ["int8-dynamic", "int8-static"])
def test_otherwise_they_do_not_open(
    graph: Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(precision, "separate_weights", lambda model: None)
    monkeypatch.setattr(precision, "_check_in_a_child", lambda path, precision: None)
    made = make_variant(graph, name, [FEEDS], tmp_path / "int8.onnx", method="minmax")
    with pytest.raises(Exception, match="Attempt to replace the existing tensor"):
        cpu_session(made.path)
