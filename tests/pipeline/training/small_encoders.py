"""A tiny BERT with random weights, and small data that it can learn, for every task of encoders.

Texts are made of the words of `tests.runtime.encoder_bundle`; what is to be found depends on single words, so that a
few epochs teach it. Many texts are longer than the model reads at once, and become several rows.
"""

import contextlib
import dataclasses
import functools
from collections.abc import Iterator
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import nn

from edgewright.pipeline.data.samples import Answers, Sample, Splits, TaggedWords
from edgewright.pipeline.models.model import Block, BuiltModel
from edgewright.pipeline.recipe.load import recipe_from_plain
from edgewright.pipeline.recipe.recipe import Recipe
from edgewright.pipeline.training import fit
from edgewright.runtime.bundle.files import sha256_of_bytes
from edgewright.runtime.text.raw import Question, TextPair
from edgewright.runtime.text.settings import EncoderTextSettings, QuestionSettings, ZeroShotSettings
from edgewright.runtime.text.words import place_words
from tests.runtime.encoder_bundle import INPUTS, WORDS, tokenizer_json

__all__ = [
    "KINDS",
    "Kind",
    "TinyEncoder",
    "cut_as_tiny",
    "encoder_recipe",
    "encoder_splits",
    "halves",
    "tiny_encoder",
]

_STRIDE = EncoderTextSettings(max_tokens=14, policy="stride", stride=3, inputs=INPUTS, vocabulary=len(WORDS))
_TOPICS = {"good": "praise", "music": "music", "Paris": "place"}
_TAGS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
_FILLERS = ("the", "film", "was", "a", "very", "not", "text", "is", "about", "and", ",", ".", "this")
_PLACES = ("Berlin", "Paris")


@dataclasses.dataclass(frozen=True)
class Kind:
    """One way to use an encoder: its task, how text is read, its classes, the names of its outputs."""

    task: str
    settings: EncoderTextSettings
    classes: tuple[str, ...]
    outputs: tuple[str, ...] = ("logits",)
    per_token: bool = False
    head: int | None = None


_LABELS = tuple(_TOPICS.values())
KINDS = {
    "one label": Kind("text-classification", _STRIDE, _LABELS, head=3),
    "several labels": Kind(
        "text-classification", dataclasses.replace(_STRIDE, multi_label=True), _LABELS, head=3
    ),
    "pair": Kind("text-classification", dataclasses.replace(_STRIDE, pair=True), ("same", "other"), head=2),
    "entities": Kind("token-classification", _STRIDE, _TAGS, per_token=True, head=len(_TAGS)),
    "answers": Kind(
        "question-answering",
        dataclasses.replace(_STRIDE, question=QuestionSettings(no_answer=True)),
        (),
        ("start_logits", "end_logits"),
        True,
        2,
    ),
    "vectors": Kind(
        "sentence-embedding", dataclasses.replace(_STRIDE, normalise=True), _LABELS, ("sentence_embedding",)
    ),
    "nearest label": Kind(
        "zero-shot-classification",
        dataclasses.replace(_STRIDE, normalise=True, zero_shot=ZeroShotSettings("embedding")),
        _LABELS,
        ("sentence_embedding",),
    ),
    "nli": Kind(
        "zero-shot-classification",
        dataclasses.replace(
            _STRIDE, zero_shot=ZeroShotSettings("nli", "this is about {}", entailment=2, contradiction=0)
        ),
        _LABELS,
        head=3,
    ),
}


class TinyEncoder(nn.Module):
    """BERT of one layer: pooled by the mean and perhaps a linear head, or a linear head for every token."""

    def __init__(self, kind: Kind) -> None:
        super().__init__()
        from transformers import BertConfig, BertModel

        config = BertConfig(
            vocab_size=len(WORDS), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
            max_position_embeddings=32,
        )  # fmt: skip
        self.encoder = BertModel(config, add_pooling_layer=False)
        self.dropout = nn.Dropout(0.1)
        self.head = nn.Linear(16, kind.head) if kind.head else None
        self.per_token, self.span = kind.per_token, len(kind.outputs) == 2

    def features(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, token_type_ids: torch.Tensor
    ) -> torch.Tensor:
        """Of every token, or the mean of those that are not padding."""
        found: torch.Tensor = self.encoder(
            input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids
        ).last_hidden_state
        if self.per_token:
            return found
        weights = attention_mask.unsqueeze(2).float()
        return (found * weights).sum(dim=1) / weights.sum(dim=1)

    def forward(self, *inputs: torch.Tensor) -> Any:
        features = self.features(*inputs)
        if self.head is None:
            return nn.functional.normalize(features, dim=1)
        answer = self.head(self.dropout(features))
        return tuple(answer.unbind(dim=2)) if self.span else answer


class _Features(nn.Module):
    def __init__(self, module: TinyEncoder) -> None:
        super().__init__()
        self.encoder, self._module = module.encoder, [module]

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        return self._module[0].features(*inputs)


class _Head(nn.Module):
    def __init__(self, module: TinyEncoder) -> None:
        super().__init__()
        assert module.head is not None
        self.dropout, self.head, self.span = module.dropout, module.head, module.span

    def forward(self, features: torch.Tensor) -> Any:
        answer = self.head(self.dropout(features))
        return tuple(answer.unbind(dim=2)) if self.span else answer


def halves(built: BuiltModel) -> tuple[nn.Module, nn.Module]:
    """What makes features, and the head that reads them and answers as the whole model does."""
    assert isinstance(built.module, TinyEncoder)
    return _Features(built.module).eval(), _Head(built.module)


@contextlib.contextmanager
def cut_as_tiny(wanted: bool) -> Iterator[None]:
    """Where it is `wanted`, the models of feature extraction are tiny encoders."""
    if not wanted:
        yield
        return
    with (
        mock.patch.object(fit, "feature_module", lambda built: halves(built)[0]),
        mock.patch.object(fit, "head_module", lambda built: halves(built)[1]),
    ):
        yield


def tiny_encoder(name: str, seed: int = 0) -> BuiltModel:
    """The encoder for one of `KINDS`, with the weights that `seed` decides."""
    kind = KINDS[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = TinyEncoder(kind).eval()
    blocks = [Block("embeddings", ("encoder.embeddings",))]
    blocks += [Block(f"layer.{number}", (f"encoder.encoder.layer.{number}",)) for number in range(2)]
    if kind.head:
        blocks.append(Block("head", ("head",)))
    return BuiltModel(
        "tiny", module, len(kind.classes), "head" if kind.head else "", {}, kind.settings, tuple(blocks), "none",
        {"kind": name, "seed": seed}, (16,), None, INPUTS, kind.outputs, assets={"tokenizer": tokenizer_json()},
    )  # fmt: skip


@functools.cache
def encoder_splits(name: str, train: int = 64) -> Splits:
    """`train` training samples, 24 for validation and for evaluation."""
    kind, random = KINDS[name], np.random.default_rng(0)
    samples = [_sample(name, kind, random, index) for index in range(train + 48)]
    parts = tuple(samples[48:]), tuple(samples[:24]), (), tuple(samples[24:48])
    return Splits(kind.classes, *parts, (), "builtin:stdlib-docs")


def encoder_recipe(name: str, transfer: dict[str, Any] | None = None, **training: Any) -> Recipe:
    """A recipe for the tiny encoder; keyword arguments go to its training section."""
    kind = KINDS[name]
    return recipe_from_plain(
        {
            "task": kind.task,
            "model": "tiny",
            "data": "builtin:stdlib-docs",
            "text": {"multi_label": True} if kind.settings.multi_label else {},
            "transfer": transfer or {},
            "training": {"epochs": 2, "lr": 0.01, **training},
        }
    )


def _sample(name: str, kind: Kind, random: np.random.Generator, index: int) -> Sample:
    words = [str(random.choice(_FILLERS)) for _ in range(int(random.integers(2, 30)))]
    target: Any = int(random.integers(len(kind.classes))) if kind.classes else 0
    raw: Any
    if name == "several labels":
        target = (random.random(len(kind.classes)) < 0.5).astype(np.float64)
        _put(words, [key for key, holds in zip(_TOPICS, target, strict=True) if holds], random)
        raw = " ".join(words)
    elif name == "pair":
        first = str(random.choice(list(_TOPICS)))
        second = first if target == 0 else str(random.choice([key for key in _TOPICS if key != first]))
        raw = TextPair(" ".join([*words[:4], first]), " ".join([second, *words[4:]]))
    elif name == "entities":
        raw, target = _tagged(words, random)
    elif name == "answers":
        raw, target = _asked(words, random)
    else:
        _put(words, [list(_TOPICS)[target]] * max(1, len(words) // 5), random)
        raw = " ".join(words)
    told = target.labels.tolist() if isinstance(target, TaggedWords) else target
    return Sample(f"{name}/{index}", raw, target, sha256_of_bytes(f"{raw} {told}".encode()))


def _put(words: list[str], more: list[str], random: np.random.Generator) -> None:
    for word in more:
        words.insert(int(random.integers(len(words) + 1)), word)


def _tagged(words: list[str], random: np.random.Generator) -> tuple[str, TaggedWords]:
    tags = [0] * len(words)
    for entity, kinds in ((["Ada", "Lovelace"], [1, 2]), ([str(random.choice(_PLACES))], [3])):
        place = int(random.integers(len(words) + 1))
        while place < len(tags) and tags[place] == 2:  # not into the middle of a name
            place += 1
        words[place:place] = entity
        tags[place:place] = kinds
    text, places = place_words(words)
    return text, TaggedWords(places, np.array(tags, np.int64))


def _asked(words: list[str], random: np.random.Generator) -> tuple[Question, Answers]:
    place = str(random.choice(_PLACES))
    if random.random() < 0.3:
        return Question("where does she live", " ".join(words)), Answers((), ())
    _put(words, [place], random)
    start = len(" ".join(words[: words.index(place)]))
    return Question("where does she live", " ".join(words)), Answers((place,), (start + (start > 0),))
