"""Encoders as modules: what a task needs of transformers' encoder, or a checkpoint with its published head."""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from edgewright.runtime.errors import ModelError

ANSWERS = {
    "text": ("logits",),
    "tokens": ("logits",),
    "span": ("start_logits", "end_logits"),
    "embedding": ("sentence_embedding",),
}
"""What a graph answers with to what it answers: the names of its outputs."""

TOKEN_STATES = "last_hidden_state"
"""What other tools pool themselves, where the answer is an embedding."""

_PUBLISHED = {
    "text": "AutoModelForSequenceClassification",
    "tokens": "AutoModelForTokenClassification",
    "span": "AutoModelForQuestionAnswering",
}
_MASK = "attention_mask"
_LEAST = -6e4  # below every value that a network gives, and a number of float16 still


@dataclass(frozen=True)
class Shape:
    """What a network answers, and how.

    Attributes:
        answer: one of `ANSWERS`.
        outputs: classes of the head; 0 of an embedding, which has none.
        inputs: names of the module's arguments, in their order.
        pooling: "mean", "cls" or "max", of what answers a text as a whole.
        normalise: an embedding gets the length 1.
    """

    answer: str
    outputs: int
    inputs: tuple[str, ...]
    pooling: str = "mean"
    normalise: bool = False

    @property
    def per_token(self) -> bool:
        """Whether every token has an answer of its own."""
        return self.answer in ("tokens", "span")


class EncoderBackbone(nn.Module):
    """Everything of an encoder but its head."""

    def __init__(self, shape: Shape, encoder: nn.Module) -> None:
        super().__init__()
        self.shape, self.encoder = shape, encoder
        known = inspect.signature(encoder.forward).parameters
        self._taken = tuple(name for name in shape.inputs if name in known)

    def forward(self, *inputs: Tensor) -> Tensor:
        """What the head reads.

        Args:
            inputs: int64 [batch, time] each, in the order of the shape's inputs.

        Returns:
            float32 [batch, width]; where every token has an answer [batch, time, width], anything at padding.
        """
        found = self.states(*inputs)
        return found if self.shape.per_token else self.pooled(found, *inputs)

    def states(self, *inputs: Tensor) -> Tensor:
        """What the encoder gives for every token, float32 [batch, time, width]."""
        given = dict(zip(self.shape.inputs, inputs, strict=True))
        found: Tensor = self.encoder(**{name: given[name] for name in self._taken})[0]
        return found

    def pooled(self, states: Tensor, *inputs: Tensor) -> Tensor:
        """The states of the tokens of a text as one, float32 [batch, width]."""
        given = dict(zip(self.shape.inputs, inputs, strict=True))
        return _pooled(states, given.get(_MASK), self.shape.pooling)


class EncoderHead(nn.Module):
    """The head behind what `EncoderBackbone` gives, with dropout before it while it trains."""

    def __init__(self, shape: Shape, dropout: nn.Dropout, head: nn.Linear) -> None:
        super().__init__()
        self.shape, self.dropout, self.head = shape, dropout, head

    def forward(self, features: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Features to logits, float32 [..., classes], or those of the start and the end of a span, [batch, time]."""
        return _answer(self.shape, self.head(self.dropout(features)))


class EncoderNetwork(EncoderBackbone):
    """An encoder and a linear head of its own, or none where the answer is an embedding."""

    def __init__(self, shape: Shape, encoder: nn.Module) -> None:
        super().__init__(shape, encoder)
        config: Any = encoder.config
        self.dropout = nn.Dropout(_dropout(config))
        self.head = nn.Linear(int(config.hidden_size), shape.outputs) if shape.outputs else None
        if self.head is not None:
            nn.init.normal_(self.head.weight, std=float(getattr(config, "initializer_range", None) or 0.02))
            nn.init.zeros_(self.head.bias)

    def forward(self, *inputs: Tensor) -> Any:
        """Logits, float32 [batch, classes] or [batch, time, classes]; start and end logits, float32 [batch, time]
        each; or embeddings, float32 [batch, width].
        """
        features = super().forward(*inputs)
        if self.head is not None:
            return _answer(self.shape, self.head(self.dropout(features)))
        return _embedding(self.shape, features)

    def backbone(self) -> EncoderBackbone:
        """Everything but the head, with the same layers under the same names."""
        return EncoderBackbone(self.shape, self.encoder)

    def answering(self) -> EncoderHead | None:
        """The head as a module of its own, in the same mode, with the same weights; None where there is none."""
        if self.head is None:
            return None
        return EncoderHead(self.shape, self.dropout, self.head).train(self.training)


class EmbeddingWithStates(EncoderBackbone):
    """An encoder whose answer is an embedding, giving what that is pooled from as well."""

    def forward(self, *inputs: Tensor) -> Any:
        """The states of the tokens, float32 [batch, time, width], and embeddings, float32 [batch, width]."""
        states = self.states(*inputs)
        return states, _embedding(self.shape, self.pooled(states, *inputs))


class PublishedNetwork(nn.Module):
    """A checkpoint with the head it was published with, whatever layers that has."""

    def __init__(self, shape: Shape, network: nn.Module) -> None:
        super().__init__()
        self.shape, self.network = shape, network
        config: Any = network.config
        config.return_dict = True  # some checkpoints say otherwise, and their answers would have no names
        known = inspect.signature(network.forward).parameters
        self._taken = tuple(name for name in shape.inputs if name in known)

    def forward(self, *inputs: Tensor) -> Tensor | tuple[Tensor, ...]:
        """As `EncoderNetwork`, of which it has no embeddings."""
        given = dict(zip(self.shape.inputs, inputs, strict=True))
        found = self.network(**{name: given[name] for name in self._taken})
        answers = tuple(found[name] for name in ANSWERS[self.shape.answer])
        return answers if len(answers) > 1 else answers[0]


def make_encoder(config: Any) -> nn.Module:
    """transformers' bare encoder for `config`, with random weights and without the pooler that nothing would read."""
    import transformers

    model: Any = transformers.AutoModel
    made: nn.Module = model.from_config(config, **without_pooler(config))
    return made


def make_published(answer: str, config: Any) -> nn.Module:
    """transformers' model with a head for `answer`, with random weights. Raises `ValueError` where it has none."""
    made: nn.Module = published_class(answer).from_config(config)
    return made


def published_class(answer: str) -> Any:
    """The class that finds transformers' model with a head for `answer`."""
    import transformers

    return getattr(transformers, _PUBLISHED[answer])


def without_pooler(config: Any) -> dict[str, bool]:
    """The argument by which an encoder is built without its pooler, where it has one to leave out."""
    from transformers import AutoModel

    kind = AutoModel._model_mapping[type(config)]
    kinds: Sequence[Any] = kind if isinstance(kind, (list, tuple)) else (kind,)
    known = all("add_pooling_layer" in inspect.signature(one.__init__).parameters for one in kinds)
    return {"add_pooling_layer": False} if known else {}


def _pooled(found: Tensor, mask: Tensor | None, pooling: str) -> Tensor:
    if pooling == "cls":
        return found[:, 0]
    if mask is None:
        return found.mean(dim=1) if pooling == "mean" else found.amax(dim=1)
    seen = mask.unsqueeze(2).to(found.dtype)
    if pooling == "mean":
        return (found * seen).sum(dim=1) / seen.sum(dim=1).clamp(min=1e-9)
    return torch.where(seen > 0, found, torch.full_like(found, _LEAST)).amax(dim=1)


def _embedding(shape: Shape, features: Tensor) -> Tensor:
    return nn.functional.normalize(features, dim=1) if shape.normalise else features


def _answer(shape: Shape, logits: Tensor) -> Tensor | tuple[Tensor, ...]:
    if shape.answer != "span":
        return logits
    return logits[..., 0], logits[..., 1]


def _dropout(config: Any) -> float:
    """What the architecture itself drops before a head."""
    for name in ("classifier_dropout", "hidden_dropout_prob", "dropout", "hidden_dropout"):
        share = getattr(config, name, None)
        if isinstance(share, (int, float)) and not isinstance(share, bool):
            return float(share)
    return 0.1


def cut(module: nn.Module, name: str) -> tuple[nn.Module, nn.Module]:
    """What makes features of texts, and what answers them. Raises `ModelError` where there is nothing to train on them.

    `name` is that of the model, for the message.
    """
    head = module.answering() if isinstance(module, EncoderNetwork) else None
    if head is None or not isinstance(module, EncoderNetwork):
        what = "has no head" if isinstance(module, EncoderNetwork) else "keeps a head of its own layers"
        raise ModelError(
            f"{name} {what}, so there is nothing to train on its features: "
            "set transfer.mode to none or fine-tuning, or transfer.head to new"
        )
    return module.backbone(), head
