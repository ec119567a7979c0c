"""Text classification on the device: a text in, every class with its probability out."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgewright.runtime.bundle.structure import to_plain
from edgewright.runtime.contracts import Tensors, TensorSpec
from edgewright.runtime.errors import BundleError
from edgewright.runtime.tasks.base import DeviceTask
from edgewright.runtime.tasks.description import (
    Description,
    ModelFacts,
    classifier_config,
    label_places,
    label_sentence,
    tokenizer_config,
)
from edgewright.runtime.tasks.labels import (
    LOGITS,
    Classification,
    Classifier,
    MultiLabel,
    chosen_labels,
    finite,
    label_answers,
    lost_of,
)
from edgewright.runtime.tasks.shapes import check_tensors, pad_collate
from edgewright.runtime.tasks.windowed import EncoderTask
from edgewright.runtime.text.decoding import encode_text, load_text, load_tokenizer, text_files, text_settings
from edgewright.runtime.text.reading import named_inputs, read_parts
from edgewright.runtime.text.text_rows import Unreadable

TOKENS = "tokens"
LENGTHS = "lengths"

_ROLE = "tokenizer"
_PARTS = ("text",)
_EXAMPLE = '"A sentence to be told apart."'
_TENSORS = (TensorSpec(TOKENS, "int64", ("batch", "time")), TensorSpec(LENGTHS, "int32", ("batch",)))


class TextClassification(Classifier):
    """The device half of text classification; `processor` holds `TextSettings` as plain values, the asset "tokenizer"
    is a tokenizer.json.
    """

    name = "text-classification"
    kind = "text classifier"
    reads_text = True

    def __init__(
        self, processor: Mapping[str, Any], labels: Sequence[str], assets: Mapping[str, bytes] | None = None
    ) -> None:
        self.settings = text_settings(processor)
        super().__init__(labels)
        content = (assets or {}).get(_ROLE)
        if content is None:
            raise BundleError(
                "a text classifier needs a tokenizer, and the bundle has none: get a fresh copy of the bundle"
            )
        self._content = content
        self._tokenizer = load_tokenizer(content)

    @property
    def processor(self) -> Mapping[str, Any]:
        """The settings as plain JSON values."""
        plain: dict[str, Any] = to_plain(self.settings)
        return plain

    @property
    def assets(self) -> Mapping[str, tuple[str, bytes]]:
        """The tokenizer."""
        return {_ROLE: ("tokenizer.json", self._content)}

    def describe(self, model: ModelFacts) -> Description:
        """Its labels and how it reads."""
        longest = self.settings.max_tokens
        own = classifier_config("TextClassification", self.labels)
        return Description(
            tag=self.name,
            reads=f"text of up to {longest} tokens",
            answers=label_sentence(self.labels),
            example=_EXAMPLE,
            config={**own, "max_position_embeddings": longest},
            files={"tokenizer_config.json": tokenizer_config(longest)},
        )

    def check(self, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> None:
        """Raise `BundleError` unless the graph takes tokens and answers with one logit per label."""
        check_tensors("input", inputs, _TENSORS)
        self.check_logits(outputs)

    def files(self, directory: Path) -> list[Path]:
        """The .txt files below `directory`, sorted."""
        return text_files(directory)

    def inputs(self, argument: str) -> list[tuple[str, Any]]:
        """The text itself, a file with one text or with one on each line (its column `text`), or all of a folder."""
        return named_inputs(argument, _PARTS)

    def raw_file(self, raw: Any) -> tuple[bytes, str]:
        """The text as UTF-8; a file as it is."""
        return _text(raw).encode("utf-8"), ".txt"

    def encode(self, raw: Any) -> Tensors:
        """One raw text to `tokens` int64 [tokens] and `lengths` int32, their number. Raises `InputError`."""
        tokens = encode_text(_text(raw), self._tokenizer, self.settings)
        return {TOKENS: tokens, LENGTHS: np.array(len(tokens), np.int32)}

    def collate(self, samples: Sequence[Tensors]) -> Tensors:
        """Samples to one batch; shorter ones are padded with zeros at the end. A single one is not copied."""
        return pad_collate(samples, _TENSORS)


def text_classification(
    processor: Mapping[str, Any], labels: Sequence[str], assets: Mapping[str, bytes] | None = None
) -> DeviceTask:
    """The device half that fits the settings: of an encoder, or of a recurrent net."""
    if "inputs" in processor:  # an encoder of tokens may have several
        return EncoderTextClassification(processor, labels, assets)
    return TextClassification(processor, labels, assets)


def _text(raw: Any) -> str:
    return load_text(read_parts(raw, _PARTS)[0] if isinstance(raw, (Mapping, Path, Unreadable)) else raw)


class EncoderTextClassification(EncoderTask):
    """The device half of text classification by an encoder: of one label, of any number, of a pair of texts."""

    name = "text-classification"
    kind = "text classifier"

    def __init__(
        self, processor: Mapping[str, Any], labels: Sequence[str], assets: Mapping[str, bytes] | None = None
    ) -> None:
        self._labels = tuple(labels)
        if not self._labels:
            raise BundleError(
                f"a {self.kind} needs labels, and the bundle has none: get a fresh copy of the bundle"
            )
        super().__init__(processor, assets)

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the classes, in the order of the logits."""
        return self._labels

    def check_settings(self) -> None:
        """A pair has two texts."""
        if self.settings.pair:
            self.parts = ("text", "text_pair")

    def describe(self, model: ModelFacts) -> Description:
        """Its labels, how many of them hold, and what a pair is called."""
        several, example = self.settings.multi_label, _EXAMPLE
        if self.settings.pair:
            first, second = self.settings.columns or ("first", "second")
            example = f'{{"{first}": "It rains.", "{second}": "The street is wet."}}'
        problem = "multi_label_classification" if several else "single_label_classification"
        own = {**label_places(self.labels), "problem_type": problem}
        said = label_sentence(self.labels, "any" if several else "one")
        return self.described(self.name, said, example, "ForSequenceClassification", own)

    def check(self, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> None:
        """Raise `BundleError` unless the graph takes tokens and answers with one logit per label."""
        self.check_inputs(inputs)
        self.check_output(outputs, LOGITS, ("batch", len(self._labels)))

    def decode(
        self, outputs: Tensors, samples: Sequence[Tensors] | None = None
    ) -> list[Classification | MultiLabel]:
        """Logits [batch, labels] to one answer each. Raises `InputError` when a logit is not finite."""
        logits = self._logits(outputs)
        return label_answers(logits, self._labels, self._threshold, lost_of(samples, len(logits)))

    def decisions(self, outputs: Tensors, samples: Sequence[Tensors] | None = None) -> list[Any]:
        """The index of the largest logit of each sample; of several labels, the indices of the chosen ones."""
        return chosen_labels(self._logits(outputs), self._threshold)

    @property
    def _threshold(self) -> float | None:
        return self.settings.threshold if self.settings.multi_label else None

    def _logits(self, outputs: Tensors) -> NDArray[Any]:
        return finite(outputs, LOGITS, (None, len(self._labels)))
