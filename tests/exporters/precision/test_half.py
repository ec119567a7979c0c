"""fp16: what becomes a whole number is computed in fp32."""

from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from edgewright.exporters.graph.export import export_graph
from edgewright.exporters.precision.registry import make_variant
from edgewright.runtime.graphs.session import open_session


class Buckets(nn.Module):
    """Adds to each token a row of a table: that of the logarithm of its place, rounded down, as mpnet does it."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.table = nn.Embedding(256, 16)
        self.head = nn.Linear(16, 16)

    def forward(self, tokens: Tensor) -> Tensor:
        place = torch.arange(1, tokens.shape[1] + 1)
        bucket = (torch.log(place.float() / 0.7) / 6.0 * 240.0).to(torch.int64)
        found: Tensor = self.head(tokens + self.table(bucket))
        return found


def test_a_logarithm_that_is_rounded_down_keeps_its_bucket(tmp_path: Path) -> None:
    module = Buckets().eval()
    tokens = torch.randn(2, 200, 16)
    axes = {
        "tokens": {0: "batch", 1: "time"}
    }  # with a time that never changes the buckets would be constants
    graph = export_graph(module, (tokens,), tmp_path / "model.onnx", ("tokens",), dynamic_axes=axes)
    half = make_variant(graph, "fp16", [], tmp_path / "half.onnx")
    with torch.no_grad():
        wanted = module(tokens).numpy()
    found = open_session(half.path, provider="cpu", threads=1, cache=False).run({"tokens": tokens.numpy()})
    assert np.abs(found["logits"] - wanted).max() < 5e-3 * np.abs(wanted).max()
    model = onnx.load(half.path)
    kinds = [tensor.data_type for tensor in model.graph.initializer if tensor.dims and len(tensor.dims) == 2]
    assert kinds == [onnx.TensorProto.FLOAT16] * 2
