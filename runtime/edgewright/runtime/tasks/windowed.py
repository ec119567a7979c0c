"""What every task of an encoder shares: texts to tokens, windows to rows, rows to batches."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgewright.runtime.bundle.structure import to_plain
from edgewright.runtime.contracts import Tensors, TensorSpec
from edgewright.runtime.errors import BundleError, InputError
from edgewright.runtime.options import Option
from edgewright.runtime.tasks.description import Description, tokenizer_config
from edgewright.runtime.tasks.shapes import check_tensors, fits
from edgewright.runtime.text.encoding import EncoderTokenizer, Tokens, shown
from edgewright.runtime.text.reading import named_inputs, raw_json, read_parts, single_files
from edgewright.runtime.text.settings import EncoderTextSettings, encoder_settings

_BOM = "\ufeff"
_ROLE = "tokenizer"

_SHORT = 4096
"""Characters of a text that is worth the try to read it as one window."""


class EncoderTask:
    """The half of an encoder's task that ends at the graph.

    `processor` holds `EncoderTextSettings` as plain values, the asset "tokenizer" is a tokenizer.json.
    """

    kind = "text model"
    """What messages call it."""

    reads_text = True
    options: tuple[Option, ...] = ()
    parts: tuple[str, ...] = ("text",)
    """What the texts of one input are called."""

    places = False
    """Whether answers point into the text."""

    cut: int | None = None
    """Which of two texts gives way where they are too long together; None is the longer one."""

    every_token: frozenset[str] = frozenset()
    """Outputs with an entry for every token."""

    def __init__(self, processor: Mapping[str, Any], assets: Mapping[str, bytes] | None) -> None:
        self.settings: EncoderTextSettings = encoder_settings(processor)
        self.check_settings()
        content = (assets or {}).get(_ROLE)
        if content is None:
            raise BundleError(
                f"a {self.kind} needs a tokenizer, and the bundle has none: get a fresh copy of the bundle"
            )
        self._content = content
        self.tokenizer = EncoderTokenizer(content, self.settings, self.texts, self.cut)
        self._single = self.texts == 1 and not self.places and self.settings.zero_shot is None
        self._tensors = tuple(TensorSpec(name, "int64", ("batch", "time")) for name in self.settings.inputs)

    def check_settings(self) -> None:
        """Raise `BundleError` for settings that are not of this task; may choose `parts` by them."""

    @property
    def texts(self) -> int:
        """How many texts the tokenizer arranges for one row."""
        return len(self.parts)

    @property
    def processor(self) -> Mapping[str, Any]:
        """The settings as plain JSON values."""
        plain: dict[str, Any] = to_plain(self.settings)
        return plain

    @property
    def assets(self) -> Mapping[str, tuple[str, bytes]]:
        """The tokenizer."""
        return {_ROLE: ("tokenizer.json", self._content)}

    @property
    def fixed(self) -> Sequence[Tensors]:
        """None."""
        return ()

    @property
    def rows_each(self) -> int:
        """One."""
        return 1

    def check_inputs(self, inputs: Sequence[TensorSpec]) -> None:
        """Raise `BundleError` unless the graph takes what `encode` makes."""
        check_tensors("input", inputs, self._tensors)

    def check_output(self, outputs: Sequence[TensorSpec], name: str, shape: Sequence[int | str]) -> None:
        """Raise `BundleError` unless the graph has an output of this name and shape."""
        found = next((spec.shape for spec in outputs if spec.name == name), None)
        if found is None or not fits(found, shape):
            raise BundleError(
                f"the graph must give an output {name!r} of {' x '.join(map(str, shape))}: "
                "get a fresh copy of the bundle"
            )

    def described(
        self, tag: str, answers: str, example: str, head: str, config: Mapping[str, Any] | None = None
    ) -> Description:
        """The description of a model of a task of encoders; `answers` and `config` are what only this task says."""
        settings = self.settings
        padding = self.tokenizer.name(settings.pad_id)
        reading = tokenizer_config(
            settings.max_tokens,
            model_input_names=list(settings.inputs),
            truncation_side=settings.truncation_side,
            **({} if padding is None else {"pad_token": padding}),
        )
        return Description(
            tag=tag,
            reads=f"text of up to {settings.max_tokens} tokens",
            answers=f"{answers} {self._reading()}",
            example=example,
            config=config or {},
            head=head,
            files={"tokenizer_config.json": reading},
        )

    def _reading(self) -> str:
        """How much of a text the model reads."""
        longer = {
            "truncate": "longer texts are cut, and the answer says by how much",
            "stride": f"longer texts are read in windows that share {self.settings.stride}",
            "refuse": "longer texts are refused",
        }
        return f"Reads up to {self.settings.max_tokens} tokens; {longer[self.settings.policy]}."

    def files(self, directory: Path) -> list[Path]:
        """The files below `directory` that hold one input each, sorted."""
        return single_files(directory, len(self.parts) > 1)

    def inputs(self, argument: str) -> list[tuple[str, Any]]:
        """The text itself, a file with one input or with one on each line, or all of a folder."""
        return named_inputs(argument, self.parts)

    def raw_file(self, raw: Any) -> tuple[bytes, str]:
        """The text as UTF-8, several as JSON."""
        texts = read_parts(raw, self.parts, self.settings.columns)
        if len(texts) == 1:
            text = _BOM + texts[0] if texts[0].startswith(_BOM) else texts[0]
            return text.encode("utf-8"), ".txt"
        return raw_json(dict(zip(self.parts, texts, strict=True))), ".json"

    def encode(self, raw: Any) -> Tensors:
        """One raw input to the tokens of all its windows, one after another. Raises `InputError`.

        The graph's inputs are int64 [T]; `lengths` int32 is T, `windows` int32 [windows] the length of each, `lost`
        int32 how many tokens were cut off. Where answers point into the text, `offsets` int32 [T, 2] are the
        characters of each token, -1 for those that are not of the text, and `text` uint8 is the text in UTF-8.
        """
        if self._single and type(raw) is str and len(raw) < _SHORT and not raw.isspace():
            sample = self.tokenizer.single(raw)
            if sample is not None:
                return sample
        return self.encode_all([raw])[0]

    def encode_all(self, raws: Sequence[Any]) -> list[Tensors]:
        """What `encode` makes of each, the tokens found on all cores. Raises `InputError` for the first that is bad."""
        texts = [self.read(raw) for raw in raws]
        tokens = iter(self.tokenizer.tokens([text for parts in texts for text in parts], self.places))
        return [self.arrange([next(tokens) for _ in parts], parts) for parts in texts]

    def read(self, raw: Any) -> tuple[str, ...]:
        """The texts of a raw input, none of them empty. Raises `InputError`."""
        texts = read_parts(raw, self.parts, self.settings.columns)
        for name, text in zip(self.parts, texts, strict=True):
            if not text.strip():
                raise InputError(f"the {name.replace('_', ' ')} is empty: give at least one word")
        return texts

    def arrange(self, tokens: list[Tokens], texts: Sequence[str]) -> Tensors:
        """The tokens of an input's texts to a sample. Raises `InputError`."""
        for one, text in zip(tokens, texts, strict=True):
            if not len(one):
                raise InputError(f"the text {shown(text)} holds no token: give at least one word")
        sample: Tensors = self.tokenizer.sample(tokens, texts)
        if self.places:
            sample["text"] = np.frombuffer(texts[self.cut or 0].encode("utf-8"), np.uint8)
        return sample

    def rows(self, sample: Tensors) -> list[Tensors]:
        """The windows of a sample, each with the graph's inputs [time]."""
        windows = sample["windows"].tolist()
        if len(windows) == 1:
            return [{name: sample[name] for name in self.settings.inputs}]
        ends = np.cumsum(windows).tolist()
        return [
            {name: sample[name][end - size : end] for name in self.settings.inputs}
            for size, end in zip(windows, ends, strict=True)
        ]

    def collate_rows(self, rows: Sequence[Tensors]) -> Tensors:
        """Windows to one batch [batch, time], padded at the end to the longest. A single one is not copied."""
        if len(rows) == 1:
            return {name: rows[0][name][np.newaxis] for name in self.settings.inputs}
        longest = max(len(row["input_ids"]) for row in rows)
        batch: Tensors = {}
        for name in self.settings.inputs:
            fill = self.settings.pad_id if name == "input_ids" else 0
            padded = np.full((len(rows), longest), fill, np.int64)
            for place, row in enumerate(rows):
                padded[place, : len(row[name])] = row[name]
            batch[name] = padded
        return batch

    def collate(self, samples: Sequence[Tensors]) -> Tensors:
        """Samples to one batch with a row for every window of each."""
        return self.collate_rows([row for sample in samples for row in self.rows(sample)])

    def trim(self, name: str, value: NDArray[Any], length: int) -> NDArray[Any]:
        """One row of an output without what belongs to the padding."""
        return value[:length] if name in self.every_token else value

    def alone(self, sample: Tensors) -> bool:
        """Whether the sample has one window."""
        return len(sample["windows"]) == 1

    def merge(self, rows: Sequence[Tensors], sample: Tensors, fixed: Sequence[Tensors]) -> Tensors:
        """The windows' outputs as one: one after another where every token has an entry, else their mean."""
        if len(rows) == 1:
            return rows[0]
        merged: Tensors = {}
        for name in rows[0]:
            values = [row[name] for row in rows]
            if name in self.every_token:
                merged[name] = np.concatenate(values)
            else:
                merged[name] = weighted_mean(np.stack(values), sample["windows"])
        return merged


def weighted_mean(values: NDArray[Any], weights: NDArray[Any]) -> NDArray[Any]:
    """The mean over the first axis, each row with its weight, in the dtype of `values`."""
    shares = weights.astype(np.float64) / float(weights.sum())
    mean: NDArray[Any] = np.tensordot(shares, values.astype(np.float64), axes=1).astype(values.dtype)
    return mean
