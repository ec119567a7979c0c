"""A small trained model and what a run would hand over with it: resnet18 on scikit-learn's digits at 32
pixels.
"""

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import load
from torch import nn

from edgewright.exporters.bundle.write import Candidate
from edgewright.exporters.graph.export import Graph
from edgewright.exporters.part import Part, TorchGraphs
from edgewright.exporters.reference import Metric, Reference, Samples, hits
from edgewright.exporters.verdict import GoldenAnswers
from edgewright.runtime.bundle.structure import to_plain
from edgewright.runtime.contracts import Tensors
from edgewright.runtime.images.encoding import ImageSettings
from edgewright.runtime.tasks.image_classification import ImageClassification

SETTINGS = ImageSettings(32, (32, 32), "bilinear", (0.3, 0.3, 0.3), (0.35, 0.35, 0.35))
LABELS = tuple(f"digit {number}" for number in range(10))
VARIANTS = ("fp16", "int8-dynamic", "int8-static")

if TYPE_CHECKING:
    from torchvision.models import ResNet


@dataclass(frozen=True)
class Trained:
    """A trained module with its data, as a run would hand them over."""

    module: "ResNet"
    reference: Reference
    evaluation: Samples
    calibration: list[Tensors]
    graph: Graph
    variants: dict[str, Graph]


ACCURACY = Metric(
    name="accuracy",
    evidence=lambda answer, truth: float(answer.index == truth),
    figure=lambda each: each.mean(),
    outcomes=hits,
)


def torch_graphs(
    module: nn.Module, inputs: tuple[str, ...], outputs: tuple[str, ...], **others: Part
) -> TorchGraphs:
    """A module as the part that answers whole samples, and other parts by role."""
    return TorchGraphs({"model": Part(module, inputs, outputs), **others})


def golden_outputs(golden: GoldenAnswers) -> list[Tensors]:
    """The outputs of each golden sample of a verdict."""
    found: list[Tensors] = [{} for _ in golden.ids]
    for key, value in load(base64.b64decode(golden.outputs)).items():
        number, _, name = key.partition(".")
        found[int(number)][name] = value
    return found


def reference_of(module: nn.Module, settings: ImageSettings = SETTINGS) -> Reference:
    task = ImageClassification(to_plain(settings), LABELS)
    return Reference(torch_graphs(module, ("pixel_values",), ("logits",)), task, ACCURACY)


def candidate_of(reference: Reference, graphs: dict[str, Graph], **more: Any) -> Candidate:
    return Candidate(
        task="image-classification",
        model="resnet18",
        device_task=reference.task,
        graphs={name: {"model": graph} for name, graph in graphs.items()},
        licence="BSD-3-Clause",
        seed=0,
        versions={"edgewright": "0"},
        **more,
    )


def digits() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """scikit-learn's 1797 digits as 8x8 images of 0 to 255, and what they are."""
    from sklearn.datasets import load_digits

    values, targets = load_digits(return_X_y=True)
    return np.round(values.reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8), targets


def train(images: NDArray[np.uint8], targets: NDArray[np.int64], epochs: int = 2) -> "ResNet":
    """A resnet18 with about 95 % accuracy, in some ten seconds."""
    torch.manual_seed(0)
    from torchvision.models import resnet18

    module: ResNet = resnet18(weights=None, num_classes=10)
    encode = reference_of(module).task.encode
    pixels = torch.from_numpy(np.stack([encode(image)["pixel_values"] for image in images]))
    wanted = torch.from_numpy(targets)
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-3)
    module.train()
    for _ in range(epochs):
        order = torch.randperm(len(pixels))
        for start in range(0, len(order), 32):
            rows = order[start : start + 32]
            optimizer.zero_grad()
            torch.autograd.backward(nn.functional.cross_entropy(module(pixels[rows]), wanted[rows]))
            optimizer.step()
    module.eval()
    return module
