"""Both halves of a task that writes: one graph reads a picture, another gives the next letter again and again.

The second has a state that grows, takes what the first gave once, and follows several beams. The task has options, its
answers come in parts, and it brings a further call of the engine and a command.
"""

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edgewright.exporters.part import Part, stateful_part
from edgewright.exporters.reference import Figure, Metric, hits
from edgewright.pipeline.data.samples import Sample, Splits
from edgewright.pipeline.models.model import Block, BuiltModel
from edgewright.pipeline.recipe.recipe import Recipe
from edgewright.pipeline.tasks.base import Objective
from edgewright.runtime.bundle.structure import to_plain
from edgewright.runtime.contracts import GraphSpec, StateSpec, Tensors, TensorSpec
from edgewright.runtime.errors import InputError
from edgewright.runtime.graphs.graphs import Bound, Graphs
from edgewright.runtime.images.decoding import IMAGE_SUFFIXES
from edgewright.runtime.images.encoding import ImageSettings
from edgewright.runtime.options import Option
from edgewright.runtime.tasks.answers import Answer
from edgewright.runtime.tasks.base import Task
from edgewright.runtime.tasks.description import Description, ModelFacts
from edgewright.runtime.tasks.image_classification import ImageClassification
from tests.pipeline.families.toy_family import SIDE, ToyFamily

LETTERS = "abc"
WORDS = ("aab", "ba", "c")
"""How the digits 0 to 2 are spelt."""

END = 0
"""The token before the first letter, and behind the last; letters follow it."""

WIDTH, LONGEST = 8, 6
READS = GraphSpec(
    (TensorSpec("pixel_values", "float32", ("batch", 3, SIDE, SIDE)),),
    (TensorSpec("keys", "float32", ("batch", 2, WIDTH)),),
)
WRITES = GraphSpec(
    (TensorSpec("token", "int64", ("batch",)), TensorSpec("keys", "float32", ("batch", 2, WIDTH))),
    (TensorSpec("scores", "float32", ("batch", 1 + len(LETTERS))),),
    (StateSpec("past", "past_next", ("batch", "past", WIDTH), grows="past"),),
    {"keys": "encoder.keys"},
    {"past": LONGEST},
)


def tokens_of(word: str) -> list[int]:
    return [1 + LETTERS.index(letter) for letter in word] + [END]


@dataclass(frozen=True)
class Spelling(Answer):
    """A word, or the letters of it that have come."""

    text: str

    def to_json(self, top: int = 5) -> dict[str, Any]:
        return {"text": self.text}

    def line(self, top: int = 1) -> str:
        return self.text

    def written(self, form: str) -> str:
        return "".join(f"{letter}\n" for letter in self.text)


class DeviceTask(Task[Spelling]):
    """A picture in, a word out."""

    name = "toy-spelling"
    noun = "picture"
    suffixes = IMAGE_SUFFIXES
    formats = ("letters",)
    loops = True
    calls = ("score",)
    options = (
        Option("steps", "How many letters there may be.", int, 5, low=1, high=20),
        Option("beams", "How many spellings are followed at once.", int, 1, low=1, high=3),
    )

    def __init__(
        self, processor: Mapping[str, Any], labels: Sequence[str], assets: Mapping[str, bytes] | None = None
    ) -> None:
        self._pictures = ImageClassification(processor, ("any",))
        self.settings = self._pictures.settings
        self.labels = tuple(labels)
        self.signatures = {"encoder": READS, "decoder": WRITES}
        self._steps, self._beams = 5, 1

    def with_options(self, **options: Any) -> "DeviceTask":
        other = DeviceTask(to_plain(self.settings), self.labels)
        other._steps, other._beams = options.get("steps", 5), options.get("beams", 1)
        return other

    def describe(self, model: ModelFacts) -> Description:
        return Description(
            tag="image-to-text", reads="pictures", answers="Answers with a word.", example='"a.png", steps=3'
        )

    def raw_file(self, raw: Any) -> tuple[bytes, str]:
        return self._pictures.raw_file(raw)

    def encode(self, raw: Any) -> Tensors:
        return self._pictures.encode(raw)

    def _begin(self, sample: Tensors, graphs: Graphs, rows: int) -> Bound:
        """The graph that writes, with what the other one read in the picture."""
        keys = graphs.run("encoder", self.collate([sample]))["keys"]
        return graphs.bound("decoder", rows, {"encoder": {"keys": np.repeat(keys, rows, axis=0)}})

    def run(self, samples: Sequence[Tensors], graphs: Graphs) -> Iterator[Tensors]:
        for sample in samples:
            yield self._search(self._begin(sample, graphs, self._beams))

    def _search(self, bound: Bound) -> Tensors:
        """The best of a few spellings, each one letter longer with every run."""
        beams, letters = self._beams, WRITES.outputs[0].shape[1]
        total = np.where(np.arange(beams) == 0, 0.0, -np.inf)  # all begin alike: one of them is followed
        last, paths = np.full(beams, END, np.int64), [list[int]() for _ in range(beams)]
        scores: list[list[NDArray[Any]]] = [[] for _ in range(beams)]
        for step in range(self._steps):
            found = bound.run({"token": last})["scores"]
            odds = found.astype(np.float64) - np.logaddexp.reduce(found, axis=1, keepdims=True)
            if step:  # a word that has ended stays as it is
                ended = last == END
                odds[ended] = np.where(np.arange(found.shape[1]) == END, 0.0, -np.inf)
            best = np.argsort(-(total[:, np.newaxis] + odds), axis=None, kind="stable")[:beams]
            rows, last = best // int(letters), (best % int(letters)).astype(np.int64)
            total = (total[:, np.newaxis] + odds).reshape(-1)[best]
            open_ = [not step or paths[row][-1:] != [END] for row in rows]
            paths = [
                [*paths[row], int(token)] if grows else paths[row]
                for row, token, grows in zip(rows, last, open_, strict=True)
            ]
            scores = [
                [*scores[row], found[row]] if grows else scores[row]
                for row, grows in zip(rows, open_, strict=True)
            ]
            bound.reorder(rows)
            if all(path[-1] == END for path in paths):
                break
        return {"tokens": np.array(paths[0], np.int64), "scores": np.stack(scores[0])}

    def replay(self, sample: Tensors, reference: Tensors, graphs: Graphs) -> Tensors:
        return {"tokens": reference["tokens"], "scores": self._along(sample, reference["tokens"], graphs)}

    def _along(self, sample: Tensors, tokens: NDArray[np.int64], graphs: Graphs) -> NDArray[Any]:
        bound, before = self._begin(sample, graphs, 1), [END, *tokens[:-1].tolist()]
        return np.concatenate([bound.run({"token": np.array([token])})["scores"] for token in before])

    def margin(self, outputs: Tensors) -> float | None:
        best = np.sort(outputs["scores"].astype(np.float64), axis=1)
        return float((best[:, -1] - best[:, -2]).min())

    def iterate(self, sample: Tensors, graphs: Graphs) -> Generator[Spelling, None, None]:
        if self._beams > 1:
            raise InputError("several beams have no parts: leave beams out")
        bound, token = self._begin(sample, graphs, 1), END
        for _ in range(self._steps):
            token = int(bound.run({"token": np.array([token])})["scores"][0].argmax())
            if token == END:
                return
            yield Spelling(LETTERS[token - 1])

    def score(self, raw: tuple[Any, str], graphs: Graphs) -> float:
        """How likely a picture is spelt like that: a logarithm."""
        picture, word = raw
        tokens = np.array(tokens_of(word))
        found = self._along(self.encode(picture), tokens, graphs).astype(np.float64)
        odds = found - np.logaddexp.reduce(found, axis=1, keepdims=True)
        return float(odds[np.arange(len(tokens)), tokens].sum())

    def decode(self, outputs: Tensors, sample: Tensors) -> Spelling:
        return Spelling("".join(LETTERS[token - 1] for token in outputs["tokens"] if token != END))

    def decision(self, answer: Spelling) -> str:
        return answer.text


class Reader(nn.Module):
    """A picture to two keys."""

    def __init__(self) -> None:
        super().__init__()
        self.map = nn.Linear(3 * SIDE * SIDE, 2 * WIDTH)

    def forward(self, image: Tensor) -> Tensor:
        found: Tensor = self.map(image.flatten(1)).reshape(-1, 2, WIDTH)
        return found


class Writer(nn.Module):
    """The last letter, the keys and all letters before to the scores of the next one."""

    def __init__(self) -> None:
        super().__init__()
        self.letters = nn.Embedding(1 + len(LETTERS), WIDTH)
        self.out = nn.Sequential(nn.Linear(4 * WIDTH, 32), nn.ReLU(), nn.Linear(32, 1 + len(LETTERS)))

    def forward(self, token: Tensor, keys: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        letter = self.letters(token)
        after = torch.cat((past, letter.unsqueeze(1)), dim=1)
        scores = self.out(torch.cat((letter, after.sum(dim=1), keys.flatten(1)), dim=1))
        return scores, after


class Speller(nn.Module):
    """Both."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = Reader(), Writer()

    def losses(self, image: Tensor, tokens: Tensor) -> Tensor:
        """Of each picture the mean over the letters of its word, which `tokens` [N, time] has, -1 behind them."""
        keys, past = self.encoder(image), torch.zeros(len(image), 0, WIDTH)
        before = torch.full((len(image),), END)
        each = []
        for wanted in tokens.unbind(dim=1):
            scores, past = self.decoder(before, keys, past)
            each.append(nn.functional.cross_entropy(scores, wanted, ignore_index=-1, reduction="none"))
            before = wanted.clamp(min=0)
        return torch.stack(each, dim=1).sum(dim=1) / (tokens >= 0).sum(dim=1)


@dataclass(frozen=True)
class Toy(Objective):
    """The word of each picture; the loss comes from the module itself."""

    classes: tuple[str, ...] = ()
    metric_name: str = "accuracy"
    name: str = "toy-spelling"

    loss_of_outputs = False

    def stack(self, targets: Sequence[Any]) -> NDArray[np.int64]:
        stacked = np.full((len(targets), 1 + max(map(len, WORDS))), -1, np.int64)
        for row, target in zip(stacked, targets, strict=True):
            tokens = tokens_of(WORDS[target])
            row[: len(tokens)] = tokens
        return stacked

    def truths(self, samples: Sequence[Sample], device: Task[Any]) -> list[Any]:
        return [sample.target for sample in samples]

    def row_losses(
        self, module: Any, inputs: Sequence[Tensor], targets: NDArray[Any], *precision: Any
    ) -> Tensor:
        losses: Tensor = module.losses(*inputs, torch.from_numpy(targets))
        return losses

    @property
    def figures(self) -> tuple[Figure, ...]:
        def right(answer: Spelling, truth: int) -> float:
            return float(answer.text == WORDS[truth])

        def letters(outputs: Tensors, truth: int) -> int:
            return len(outputs["tokens"])

        return (
            Metric(name="accuracy", evidence=right, figure=lambda each: float(each.mean()), outcomes=hits),
            Figure(name="letters", evidence=letters, figure=lambda each: int(each.sum()), reads="outputs"),
        )


def options(recipe: Recipe, splits: Splits, built: BuiltModel) -> dict[str, Any]:
    return {"metric_name": recipe.training.metric}


make = Toy


class Family(ToyFamily):
    """toy-speller: a graph that reads and one that writes."""

    name = "toy-spelling"
    models = ("toy-speller",)
    libraries = ("toy-spelling",)
    variants = ("fp32", "fp16", "int8-dynamic")

    def build(self, recipe: Recipe, splits: Splits, fitted: Any) -> BuiltModel:
        return self.rebuild({"library": "toy-spelling", "seed": recipe.training.seed}, "none")

    def rebuild(self, build: Mapping[str, Any], licence: str) -> BuiltModel:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(build["seed"])
            module = Speller().eval()

        def example() -> tuple[Tensor, ...]:
            return torch.ones(2, dtype=torch.int64), torch.zeros(2, 2, WIDTH), torch.zeros(2, 3, WIDTH)

        grey = (0.5, 0.5, 0.5)
        return BuiltModel(
            name="toy-speller",
            module=module,
            classes=0,
            head="decoder.out.2",
            auxiliary_heads={},
            settings=ImageSettings((SIDE, SIDE), (SIDE, SIDE), "bilinear", grey, grey),
            blocks=(Block("encoder", ("encoder",)), Block("decoder", ("decoder",))),
            licence=licence,
            build=build,
            feature_shape=(32,),
            others={
                "encoder": lambda: Part(module.encoder, ("pixel_values",), ("keys",)),
                "decoder": lambda: stateful_part(module.decoder, WRITES, example),
            },
            whole=False,
        )


@click.command("spell")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("picture", type=click.Path(path_type=Path))
def spell(bundle: Path, picture: Path) -> None:
    """Spell PICTURE, letter by letter."""
    from edgewright.runtime import Engine

    with Engine(bundle) as engine:
        for part in engine.iterate(picture):
            click.echo(part.line(), nl=False)
    click.echo()
