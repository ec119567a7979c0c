"""Text classification on the device: a text in, every class with its probability out."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgewright.runtime.contracts import MODEL, GraphSpec, Tensors, TensorSpec
from edgewright.runtime.errors import BundleError
from edgewright.runtime.inputs import Named, Unreadable
from edgewright.runtime.tasks.base import Task
from edgewright.runtime.tasks.description import (
    Description,
    ModelFacts,
    classifier_config,
    label_places,
    label_sentence,
    tokenizer_files,
)
from edgewright.runtime.tasks.labels import (
    LOGITS,
    Classification,
    Classifier,
    MultiLabel,
    chosen,
    finite,
    label_names,
)
from edgewright.runtime.tasks.windowed import EncoderTask
from edgewright.runtime.text.decoding import (
    TextSettings,
    encode_text,
    load_text,
    load_tokenizer,
    text_settings,
)
from edgewright.runtime.text.reading import file_texts, files_with_texts, read_parts

INPUT_IDS = "input_ids"
LENGTHS = "lengths"

_ROLE = "tokenizer"
_PARTS = ("text",)
_EXAMPLE = '"A sentence to be told apart."'


class TextClassification(Classifier):
    """The device half of text classification; `processor` holds `TextSettings` as plain values, the asset "tokenizer"
    is a tokenizer.json.
    """

    name = "text-classification"
    noun = "text"
    suffixes = files_with_texts(pair=False)
    reads_text = True
    ragged = True

    def __init__(
        self, processor: Mapping[str, Any], labels: Sequence[str], assets: Mapping[str, bytes] | None = None
    ) -> None:
        self.settings: TextSettings = text_settings(processor)
        self.labels = label_names(labels, "text classifier")
        content = (assets or {}).get(_ROLE)
        if content is None:
            raise BundleError(
                "a text classifier needs a tokenizer, and the bundle has none: get a fresh copy of the bundle"
            )
        self._content = content
        self._tokenizer = load_tokenizer(content)
        tokens = TensorSpec(INPUT_IDS, "int64", ("batch", "time"))
        lengths = TensorSpec(LENGTHS, "int32", ("batch",))
        self.signatures = {MODEL: GraphSpec((tokens, lengths), self.outputs("batch"))}

    @property
    def assets(self) -> Mapping[str, tuple[str, bytes]]:
        """The tokenizer."""
        return {_ROLE: ("tokenizer.json", self._content)}

    def describe(self, model: ModelFacts) -> Description:
        """Its labels and how it reads."""
        longest = self.settings.max_tokens
        own, padding = classifier_config(self.labels), self._tokenizer.id_to_token(0)
        tokens = {} if padding is None else {"pad_token": str(padding)}
        return Description(
            tag=self.name,
            reads=f"text of up to {longest} tokens",
            answers=label_sentence(self.labels),
            example=_EXAMPLE,
            config={**own, "max_position_embeddings": longest},
            head="ForSequenceClassification",
            files=tokenizer_files(longest, tokens),
        )

    def inputs_of(self, path: Path) -> Iterable[Named]:
        """The text of a file, or of each row of a table (its column `text`)."""
        return file_texts(path)

    def raw_file(self, raw: Any) -> tuple[bytes, str]:
        """The text as UTF-8; a file as it is."""
        return _text(raw).encode("utf-8"), ".txt"

    def encode(self, raw: Any) -> Tensors:
        """One raw text to `input_ids` int64 [tokens] and `lengths` int32, their number. Raises `InputError`."""
        tokens = encode_text(_text(raw), self._tokenizer, self.settings)
        return {INPUT_IDS: tokens, LENGTHS: np.array(len(tokens), np.int32)}


def text_classification(
    processor: Mapping[str, Any], labels: Sequence[str], assets: Mapping[str, bytes] | None = None
) -> Task[Any]:
    """The device half that fits the settings: of an encoder, or of a recurrent net."""
    if "inputs" in processor:  # an encoder of tokens may have several
        return EncoderTextClassification(processor, labels, assets)
    return TextClassification(processor, labels, assets)


def _text(raw: Any) -> str:
    return load_text(read_parts(raw, _PARTS)[0] if isinstance(raw, (Mapping, Path, Unreadable)) else raw)


class EncoderTextClassification(EncoderTask[Classification | MultiLabel]):
    """The device half of text classification by an encoder: of one label, of any number, of a pair of texts."""

    name = "text-classification"
    kind = "text classifier"

    def __init__(
        self, processor: Mapping[str, Any], labels: Sequence[str], assets: Mapping[str, bytes] | None = None
    ) -> None:
        self.labels = label_names(labels, self.kind)
        super().__init__(processor, assets)
        self.signatures = self.reads(logits=("batch", len(self.labels)))

    def check_settings(self) -> None:
        """A pair has two texts."""
        if self.settings.pair:
            self.text_names = ("text", "text_pair")

    def describe(self, model: ModelFacts) -> Description:
        """Its labels, how many of them hold, and what a pair is called."""
        several, example = self.settings.multi_label, _EXAMPLE
        if self.settings.pair:
            first, second = self.settings.columns or ("first", "second")
            example = json.dumps({first: "It rains.", second: "The street is wet."})
        problem = "multi_label_classification" if several else "single_label_classification"
        own = {**label_places(self.labels), "problem_type": problem}
        said = label_sentence(self.labels, "any" if several else "one")
        return self.described(self.name, said, example, "ForSequenceClassification", own)

    def decode(self, outputs: Tensors, sample: Tensors) -> Classification | MultiLabel:
        """Logits [labels] to the answer. Raises `InputError` when a logit is not finite."""
        logits, lost = finite(outputs, LOGITS, (len(self.labels),)), int(sample["lost"])
        if self.settings.multi_label:
            return MultiLabel(self.labels, logits, lost, self.settings.threshold)
        return Classification(self.labels, logits, lost)

    def decision(self, answer: Classification | MultiLabel) -> Any:
        """The index of the largest logit; of several labels, the indices of the chosen ones."""
        return chosen(answer)
