"""A small convolutional net with what makes training hard to repeat (BatchNorm, dropout), and small real
data.
"""

import functools
from typing import Any

import numpy as np
import torch
from torch import nn

from edgewright.pipeline.data.samples import Sample, Splits, content_of_array
from edgewright.pipeline.models.model import Block, BuiltModel
from edgewright.pipeline.recipe.load import recipe_from_plain
from edgewright.pipeline.recipe.recipe import Recipe
from edgewright.runtime.images.encoding import ImageSettings

__all__ = ["CLASSES", "Net", "recipe", "small_model", "small_splits"]

CLASSES = ("0", "1", "2", "3")


class Net(nn.Module):
    """Three blocks: stem, body, head."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.body = nn.Sequential(
            nn.Conv2d(8, 16, 3, stride=2, padding=1),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.Dropout(0.2),
            nn.Flatten(),
        )
        self.drop = nn.Dropout(0.1)
        self.fc = nn.Linear(256, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        features = self.body(torch.relu(self.bn1(self.conv1(images))))
        logits: torch.Tensor = self.fc(self.drop(features))
        return logits


def small_model(seed: int = 0) -> BuiltModel:
    """The net with the weights that `seed` decides, for 8 x 8 pictures of four classes."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = Net(len(CLASSES)).eval()
    settings = ImageSettings(8, (8, 8), "bilinear", (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    blocks = (Block("stem", ("conv1", "bn1")), Block("body", ("body",)), Block("fc", ("fc",)))
    return BuiltModel(
        "small", module, len(CLASSES), "fc", {}, settings, blocks, "none", {"seed": seed}, (256,)
    )


@functools.cache
def small_splits(train: int = 94) -> Splits:
    """Handwritten digits 0 to 3: `train` training samples, 40 for validation and for evaluation."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    order = np.random.default_rng(0).permutation(np.flatnonzero(digits.target < len(CLASSES)))
    samples = []
    for index in order:
        raw = (digits.images[index] * 255 / 16).astype(np.uint8)
        samples.append(Sample(f"digits/{index:04d}", raw, int(digits.target[index]), content_of_array(raw)))
    return Splits(
        CLASSES,
        tuple(samples[80 : 80 + train]),
        tuple(samples[:40]),
        (),
        tuple(samples[40:80]),
        (),
        "builtin:digits",
    )


def recipe(transfer: dict[str, Any] | None = None, **training: Any) -> Recipe:
    """A recipe for the small net; keyword arguments go to its training section."""
    return recipe_from_plain(
        {
            "task": "image-classification",
            "model": "small",
            "data": "builtin:digits",
            "transfer": transfer or {},
            "training": {"epochs": 2, "batch_size": 16, "lr": 0.01, **training},
        }
    )
