"""Both halves of a task by two towers: pictures and names become vectors, and names are asked for with the picture."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from edgewright.exporters.part import Part
from edgewright.pipeline.data.samples import Splits
from edgewright.pipeline.models.model import Block, BuiltModel
from edgewright.pipeline.recipe.recipe import Recipe
from edgewright.pipeline.tasks.image_classification import ImageClassification, options
from edgewright.runtime.bundle.structure import to_plain
from edgewright.runtime.contracts import GraphSpec, Tensors, TensorSpec
from edgewright.runtime.graphs.graphs import Graphs
from edgewright.runtime.images.encoding import ImageSettings
from edgewright.runtime.options import Option
from edgewright.runtime.tasks.image_classification import ImageClassification as Pictures
from tests.pipeline.families.toy_family import SIDE, ToyFamily

__all__ = ["DeviceTask", "Family", "Toy", "make", "options"]

WIDTH, LETTERS = 8, 4


def letters_of(names: Sequence[str]) -> Tensors:
    """Names as the graph reads them, int64 [names, 4]."""
    rows = [[ord(letter) % 64 for letter in name[:LETTERS].ljust(LETTERS)] for name in names]
    return {"letters": np.array(rows, np.int64)}


class DeviceTask(Pictures):
    """A picture in, the best of the names out; those of the bundle where none are asked for."""

    name = "toy-towers"
    loops = True
    options = (Option("labels", "What the picture may be.", list),)

    def __init__(
        self, processor: Mapping[str, Any], labels: Sequence[str], assets: Mapping[str, bytes] | None = None
    ) -> None:
        super().__init__(processor, labels)
        vector = (TensorSpec("vector", "float32", ("batch", WIDTH)),)
        image = TensorSpec("pixel_values", "float32", ("batch", 3, SIDE, SIDE))
        letters = TensorSpec("letters", "int64", ("batch", LETTERS))
        self.signatures = {"picture": GraphSpec((image,), vector), "name": GraphSpec((letters,), vector)}

    def with_options(self, **options: Any) -> "DeviceTask":
        return DeviceTask(to_plain(self.settings), options["labels"])

    def _names(self, graphs: Graphs) -> Any:
        return graphs.once(self.labels, lambda: graphs.run("name", letters_of(self.labels))["vector"])

    def warm_up(self, graphs: Graphs) -> None:
        self._names(graphs)

    def run(self, samples: Sequence[Tensors], graphs: Graphs) -> Iterator[Tensors]:
        names = self._names(graphs)
        for start in range(0, len(samples), graphs.limits.rows):
            part = samples[start : start + graphs.limits.rows]
            for vector in graphs.run("picture", self.collate(part))["vector"]:
                yield {"logits": names @ vector}


class Towers(nn.Module):
    """Pictures to the scores of the names that it learns with."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__()
        self.picture = nn.Sequential(nn.Flatten(), nn.Linear(3 * SIDE * SIDE, WIDTH))
        self.name = nn.Sequential(nn.Embedding(64, WIDTH), nn.Flatten(), nn.Linear(WIDTH * LETTERS, WIDTH))
        self.letters = torch.from_numpy(letters_of(names)["letters"])

    def forward(self, image: Tensor) -> Tensor:
        scores: Tensor = self.picture(image) @ self.name(self.letters).T
        return scores


@dataclass(frozen=True)
class Toy(ImageClassification):
    """One of the names for each picture."""

    name: str = "toy-towers"


make = Toy


class Family(ToyFamily):
    """toy-towers: one tower for pictures, one for names."""

    name = "toy-towers"
    models = ("toy-towers",)
    libraries = ("toy-towers",)
    variants = ("fp32", "fp16", "int8-dynamic")

    def build(self, recipe: Recipe, splits: Splits, fitted: Any) -> BuiltModel:
        record = {"library": "toy-towers", "seed": recipe.training.seed, "names": list(splits.classes)}
        return self.rebuild(record, "none")

    def rebuild(self, build: Mapping[str, Any], licence: str) -> BuiltModel:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(build["seed"])
            module = Towers(build["names"]).eval()
        grey = (0.5, 0.5, 0.5)

        def letters() -> tuple[Tensor, ...]:
            return (module.letters[:2],)

        return BuiltModel(
            name="toy-towers",
            module=module,
            classes=len(build["names"]),
            head="name.2",
            auxiliary_heads={},
            settings=ImageSettings((SIDE, SIDE), (SIDE, SIDE), "bilinear", grey, grey),
            blocks=(Block("picture", ("picture",)), Block("name", ("name",))),
            licence=licence,
            build=build,
            feature_shape=(WIDTH,),
            others={
                "picture": lambda: Part(module.picture, ("pixel_values",), ("vector",)),
                "name": lambda: Part(module.name, ("letters",), ("vector",), example=letters),
            },
            whole=False,
        )
