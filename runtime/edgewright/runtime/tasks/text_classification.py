"""Text classification on the device: a text in, every class with its probability out."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgewright.runtime.encoder_settings import is_encoder
from edgewright.runtime.errors import BundleError
from edgewright.runtime.manifest import TensorSpec
from edgewright.runtime.structure import to_plain
from edgewright.runtime.tasks.base import DeviceTask, Feeds
from edgewright.runtime.tasks.classification import Classifier
from edgewright.runtime.tasks.shapes import check_tensors, pad_collate
from edgewright.runtime.text import encode_text, load_text, load_tokenizer, text_files, text_settings
from edgewright.runtime.text_inputs import Unreadable, named_inputs, read_parts

__all__ = ["LENGTHS", "TOKENS", "TextClassification", "text_classification"]

TOKENS = "tokens"
LENGTHS = "lengths"

_ROLE = "tokenizer"
_PARTS = ("text",)
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

    def encode(self, raw: Any) -> Feeds:
        """One raw text to `tokens` int64 [tokens] and `lengths` int32, their number. Raises `InputError`."""
        tokens = encode_text(_text(raw), self._tokenizer, self.settings)
        return {TOKENS: tokens, LENGTHS: np.array(len(tokens), np.int32)}

    def collate(self, samples: Sequence[Feeds]) -> Feeds:
        """Samples to one batch; shorter ones are padded with zeros at the end. A single one is not copied."""
        return pad_collate(samples, _TENSORS)


def text_classification(
    processor: Mapping[str, Any], labels: Sequence[str], assets: Mapping[str, bytes] | None = None
) -> DeviceTask:
    """The device half that fits the settings: of an encoder, or of a recurrent net."""
    if is_encoder(processor):
        from edgewright.runtime.tasks.encoder_text_classification import EncoderTextClassification

        return EncoderTextClassification(processor, labels, assets)
    return TextClassification(processor, labels, assets)


def _text(raw: Any) -> str:
    return load_text(read_parts(raw, _PARTS)[0] if isinstance(raw, (Mapping, Path, Unreadable)) else raw)
