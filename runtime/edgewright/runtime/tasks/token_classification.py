"""Token classification on the device: a text in, its words with labels and the entities they make out.

What has a label of its own in a raw text are its units, see `UNITS`: an entity is a span of characters, and a word of a
file, "C++", is an entity by the labels of all units within it. Where the input is words, each has one label.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgewright.runtime.contracts import Tensors
from edgewright.runtime.errors import BundleError, InputError
from edgewright.runtime.printable import one_line
from edgewright.runtime.tasks.answers import Answer, lost_note
from edgewright.runtime.tasks.description import Description, ModelFacts, label_places, shortened
from edgewright.runtime.tasks.labels import LOGITS, finite, label_names, softmax
from edgewright.runtime.tasks.windowed import EncoderTask
from edgewright.runtime.text.encoding import Tokens
from edgewright.runtime.text.reading import raw_json, read_words
from edgewright.runtime.text.tagged_rows import TAGGED_READERS
from edgewright.runtime.text.words import OUTSIDE, entity_spans, place_words, split_units, word_tokens


@dataclass(frozen=True)
class TaggedWord:
    """One word, or a part of one: its characters `start` to `end` (behind the last) of the text, its label and the
    probability of that.
    """

    text: str
    start: int
    end: int
    label: str
    probability: float


@dataclass(frozen=True)
class Entity:
    """Words that belong together: characters `start` to `end` of the text, what they are, the mean probability."""

    label: str
    text: str
    start: int
    end: int
    probability: float


@dataclass(frozen=True)
class TaggedText(Answer):
    """The answer to one text. `words` are those that were given, or the units of a raw text, which may be parts of
    words; left out are those that no token shows. `tags` has a label for every one, which is "O" (or the first label)
    for these. `lost` is the number of tokens not read, `spans` whether entities are made of the labels.
    """

    entities: tuple[Entity, ...]
    words: tuple[TaggedWord, ...]
    tags: tuple[str, ...] = ()
    lost: int = 0
    spans: bool = True

    def to_json(self, top: int = 5) -> dict[str, Any]:
        """The entities and the words."""
        plain: dict[str, Any] = {
            "entities": [dict(vars(entity)) for entity in self.entities],
            "words": [dict(vars(word)) for word in self.words],
        }
        return {**plain, "lost": self.lost} if self.lost else plain

    def bare(self) -> str:
        """Each entity, or every word, with "/" and its label, with tabs between them."""
        parts = self.entities if self.spans else self.words
        return "\t".join(f"{one_line(part.text)}/{one_line(part.label)}" for part in parts)

    def line(self, top: int = 1) -> str:
        """The entities as "PER Ada Lovelace 98.1%", or every word with its label."""
        if self.spans:
            shown = [
                f"{one_line(one.label)} {one_line(one.text)} {one.probability:.1%}" for one in self.entities
            ]
        else:
            shown = [f"{one_line(word.text)}/{one_line(word.label)}" for word in self.words]
        return ("  ".join(shown) or "no entity") + lost_note(self.lost)


class TokenClassification(EncoderTask[TaggedText]):
    """The device half of token classification: entities by BIO labels, or a label for every word."""

    name = "token-classification"
    row_readers = TAGGED_READERS
    kind = "token classifier"
    places = True

    def __init__(
        self, processor: Mapping[str, Any], labels: Sequence[str], assets: Mapping[str, bytes] | None = None
    ) -> None:
        self.labels = label_names(labels, self.kind)
        self._spans = OUTSIDE in self.labels or any(label[:2] in ("B-", "I-") for label in self.labels)
        super().__init__(processor, assets)
        self.signatures = self.reads(logits=("batch", "time", len(self.labels)))

    def check_settings(self) -> None:
        """One text at a time, with one label for each word."""
        if self.settings.pair or self.settings.multi_label:
            raise BundleError("token classification reads one text and gives one label: get a fresh bundle")

    def describe(self, model: ModelFacts) -> Description:
        """What the spans are."""
        kinds = sorted({label.partition("-")[2] for label in self.labels if "-" in label})
        said = f"Answers with the spans of a text that are {shortened(kinds)}."
        example = '"Ada Lovelace lived in London."'
        return self.described(self.name, said, example, "ForTokenClassification", label_places(self.labels))

    def read(self, raw: Any) -> tuple[str, ...]:
        """The text of a raw input. Raises `InputError`, for a file with many sentences too."""
        if isinstance(raw, Path) and raw.suffix.lower() in TAGGED_READERS:
            raise InputError(f"{raw} holds many inputs: give its lines, engine.task.inputs(path) reads them")
        return super().read(raw)

    def raw_file(self, raw: Any) -> tuple[bytes, str]:
        """The text as UTF-8, words as JSON."""
        words = read_words(raw)
        return super().raw_file(raw) if words is None else (raw_json({"tokens": words}), ".json")

    def encode_all(self, raws: Sequence[Any]) -> list[Tensors]:
        """What `encode` makes of each: with `words` int32 [words, 2], the characters of each word or unit."""
        read = [self._read(raw) for raw in raws]
        tokens: list[Tokens] = self.tokenizer.tokens([text for text, _ in read], offsets=True)
        samples = []
        for one, (text, places) in zip(tokens, read, strict=True):
            sample = self.arrange([one], [text])
            if places is None:
                assert one.offsets is not None
                places = split_units(text, one.offsets, self.settings.units)
            samples.append({**sample, "words": places})
        return samples

    def _read(self, raw: Any) -> tuple[str, NDArray[np.int32] | None]:
        """The text of a raw input, and of one that is words their places in it."""
        given = read_words(raw)
        return (self.read(raw)[0], None) if given is None else place_words(given)

    def word_rows(self, sample: Tensors) -> NDArray[np.int64]:
        """The token of the sample that speaks for each word, int64 [words]; -1 where none does."""
        return word_tokens(sample["words"], sample["offsets"], sample["windows"].tolist())

    def decode(self, outputs: Tensors, sample: Tensors) -> TaggedText:
        """Logits [time, labels] to the answer. Raises `InputError` when a logit is not finite."""
        logits = finite(outputs, LOGITS, (int(sample["lengths"]), len(self.labels)))
        return self._answer(self.word_rows(sample), logits, sample)

    def decision(self, answer: TaggedText) -> Any:
        """The entities as [start, end, label], in characters; a label per word where none are made of them."""
        if not self._spans:
            return list(answer.tags)
        return [[one.start, one.end, one.label] for one in answer.entities]

    def _answer(self, rows: NDArray[np.int64], logits: NDArray[Any], sample: Tensors) -> TaggedText:
        text = sample["text"].tobytes().decode("utf-8")
        shown = np.flatnonzero(rows >= 0)
        tags = [OUTSIDE if OUTSIDE in self.labels else self.labels[0]] * len(rows)
        if not len(shown):
            return TaggedText((), (), tuple(tags), int(sample["lost"]), self._spans)
        chosen = logits[rows[shown]]
        best = chosen.argmax(axis=1)
        odds = softmax(chosen)[np.arange(len(best)), best].tolist()
        places = sample["words"][shown].tolist()
        names = [self.labels[index] for index in best]
        for word, name in zip(shown.tolist(), names, strict=True):
            tags[word] = name
        words = tuple(
            TaggedWord(text[start:end], start, end, name, odd)
            for (start, end), name, odd in zip(places, names, odds, strict=True)
        )
        spans = entity_spans(names, places, self.labels) if self._spans else []
        entities = []
        for first, behind, label in spans:
            start, end = places[first][0], places[behind - 1][1]
            entities.append(Entity(label, text[start:end], start, end, float(np.mean(odds[first:behind]))))
        return TaggedText(tuple(entities), words, tuple(tags), int(sample["lost"]), self._spans)
