"""The first node that parts from torch, where graph and module have no part in common."""

from pathlib import Path

import numpy as np
import torch
from torch import nn

from edgewright.exporters.graph.export import export_graph
from edgewright.exporters.judge.nodes import first_apart_from_torch
from edgewright.exporters.part import Part


class Doubled(nn.Module):
    """Has no module inside."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image * 2.0


def test_a_module_of_which_the_graph_marks_nothing(tmp_path: Path) -> None:
    example, axes = [torch.ones(1, 4)], {"pixel_values": {0: "batch"}}
    linear = nn.Sequential(nn.Linear(4, 4)).eval()
    graph = export_graph(linear, example, tmp_path / "model.onnx", ("pixel_values",), ("logits",), axes)
    feeds = {"pixel_values": np.ones((1, 4), np.float32)}
    assert (
        first_apart_from_torch(Part(Doubled(), ("pixel_values",), ("logits",)), graph.path, feeds, 1e-4) == ""
    )
