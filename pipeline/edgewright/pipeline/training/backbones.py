"""What runs a frozen backbone: torch, or its ONNX export where that saves more time than it costs."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from edgewright.pipeline.training.feature_cache import Extract
from edgewright.runtime.errors import EdgewrightError, TrainingError

_WORTH_EXPORTING = 4e12
"""Floating-point operations in the pass from which the export pays: it costs some 3 s and saves a quarter of
the pass.
"""

_TOLERANCE = 1e-4


def choose_engine(
    wanted: str, backbone: nn.Module, shape: tuple[int, ...], samples: int, device: torch.device
) -> str:
    """ "torch" or "onnx". Decided by counting operations, not by a clock, so that a resumed run decides the
    same.

    `shape` is that of one input.
    """
    if wanted != "auto":
        return wanted
    if device.type != "cpu":
        return "torch"
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        backbone(torch.zeros(1, *shape))
    return "onnx" if counter.get_total_flops() * samples > _WORTH_EXPORTING else "torch"


def make_extract(
    engine: str,
    wanted: str,
    backbone: nn.Module,
    shape: tuple[int, ...],
    folder: Path,
    device: torch.device,
    note: Callable[[str], None],
) -> Extract:
    """The function that takes a batch of inputs through `backbone`; ONNX is for images, of one input each.

    The ONNX one is checked against torch on its first batch. Where it cannot be made or differs, torch takes
    over and `note` hears why, unless the recipe demanded it (`wanted` is "onnx"): then it is a
    `TrainingError`.
    """
    backbone.eval()

    def by_torch(*inputs: torch.Tensor) -> NDArray[np.float32]:
        with torch.inference_mode():
            moved = [tensor.to(device) for tensor in inputs]
            features: NDArray[np.float32] = backbone(*moved).float().cpu().numpy()
        return features

    if engine == "torch":
        return by_torch
    try:
        run = _open_graph(backbone.cpu(), shape, folder)
    except EdgewrightError as error:
        if wanted == "onnx":
            raise TrainingError(f"{error} (transfer.engine: onnx): use engine: torch") from None
        note(f"the backbone runs in torch, because its export failed: {error}")
        return by_torch
    finally:
        backbone.to(device)
    checked: list[Extract] = []

    def by_onnx(inputs: torch.Tensor) -> NDArray[np.float32]:
        if checked:
            return checked[0](inputs)
        features, reference = run(inputs), by_torch(inputs)
        error = float(np.abs(features - reference).max() / max(float(np.abs(reference).max()), 1e-30))
        if math.isfinite(error) and error <= _TOLERANCE:
            checked.append(run)
            return features
        text = (
            f"the exported backbone differs from torch by {error:.1e} of its scale (at most {_TOLERANCE:.0e})"
        )
        if wanted == "onnx":
            raise TrainingError(f"{text}: use transfer.engine: torch")
        note(f"the backbone runs in torch: {text}")
        checked.append(by_torch)
        return reference

    return by_onnx


def _open_graph(backbone: nn.Module, shape: tuple[int, ...], folder: Path) -> Extract:
    from edgewright.exporters.graph.export import export_graph
    from edgewright.runtime.graphs.session import open_session

    path = folder / "backbone.onnx"
    export_graph(
        backbone,
        (torch.zeros(2, *shape),),
        path,
        input_names=("pixel_values",),
        output_names=("features",),
        dynamic_axes={"pixel_values": {0: "batch"}},
    )
    session = open_session(path, provider="cpu", cache=False)

    def run(inputs: torch.Tensor) -> NDArray[np.float32]:
        features: NDArray[np.float32] = session.run({"pixel_values": inputs.numpy()})["features"]
        return features

    return run
