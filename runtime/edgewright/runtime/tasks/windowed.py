"""What every task of an encoder shares: texts to tokens, windows to rows, rows to batches."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgewright.runtime.contracts import MODEL, GraphSpec, Tensors, TensorSpec
from edgewright.runtime.errors import BundleError, InputError
from edgewright.runtime.graphs.graphs import Graphs
from edgewright.runtime.inputs import Named
from edgewright.runtime.running.parts import in_small_parts
from edgewright.runtime.tasks.base import A, Task
from edgewright.runtime.tasks.description import Description, tokenizer_files
from edgewright.runtime.text.encoding import EncoderTokenizer, Tokens, shown
from edgewright.runtime.text.reading import file_texts, files_with_texts, raw_json, read_parts, typed_text
from edgewright.runtime.text.settings import EncoderTextSettings, encoder_settings
from edgewright.runtime.text.text_rows import ROW_READERS, RowReader
from edgewright.runtime.text.tokenizer_class import tokenizer_class

_BOM = "\ufeff"
_ROLE = "tokenizer"

_SHORT = 4096
"""Characters of a text that is worth the try to read it as one window."""


class EncoderTask(Task[A]):
    """The half of an encoder's task that ends at the graph; subclasses set `signatures` by `reads`.

    `processor` holds `EncoderTextSettings` as plain values, the asset "tokenizer" is a tokenizer.json.
    """

    kind = "text model"
    """What messages call it."""

    noun = "text"
    reads_text = True
    ragged = True
    counts_tokens = True
    row_readers: Mapping[str, RowReader] = ROW_READERS
    """Endings of the names of files with many inputs, to what reads them."""

    text_names: tuple[str, ...] = ("text",)
    """What the texts of one input are called."""

    places = False
    """Whether answers point into the text."""

    cut: int | None = None
    """Which of two texts gives way where they are too long together; None is the longer one."""

    def __init__(self, processor: Mapping[str, Any], assets: Mapping[str, bytes] | None) -> None:
        self.settings: EncoderTextSettings = encoder_settings(processor)
        self.check_settings()
        self.suffixes = files_with_texts(len(self.text_names) > 1, self.row_readers)
        content = (assets or {}).get(_ROLE)
        if content is None:
            raise BundleError(
                f"a {self.kind} needs a tokenizer, and the bundle has none: get a fresh copy of the bundle"
            )
        self._content = content
        self.tokenizer = EncoderTokenizer(content, self.settings, self.texts, self.cut)
        self._single = self.texts == 1 and not self.places and self.settings.zero_shot is None

    def reads(self, **outputs: tuple[int | str, ...]) -> dict[str, GraphSpec]:
        """The signature of a graph that takes what `encode` makes, and gives `outputs`, float32 of these shapes."""
        inputs = (TensorSpec(name, "int64", ("batch", "time")) for name in self.settings.inputs)
        given = (TensorSpec(name, "float32", shape) for name, shape in outputs.items())
        return {MODEL: GraphSpec(tuple(inputs), tuple(given))}

    def check_settings(self) -> None:
        """Raise `BundleError` for settings that are not of this task; may choose `text_names` by them."""

    @property
    def texts(self) -> int:
        """How many texts the tokenizer arranges for one row."""
        return len(self.text_names)

    @property
    def rows_each(self) -> int:
        """How many rows even the shortest sample is."""
        return 1

    @property
    def assets(self) -> Mapping[str, tuple[str, bytes]]:
        """The tokenizer."""
        return {_ROLE: ("tokenizer.json", self._content)}

    def described(
        self, tag: str, answers: str, example: str, head: str, config: Mapping[str, Any] | None = None
    ) -> Description:
        """The description of a model of a task of encoders; `answers` and `config` are what only this task says."""
        settings = self.settings
        tokens = self.tokenizer.special_tokens()
        reading = tokenizer_files(
            settings.max_tokens,
            tokens,
            **tokenizer_class(self._content, tokens, "token_type_ids" in settings.inputs),
            model_input_names=list(settings.inputs),
            truncation_side=settings.truncation_side,
        )
        return Description(
            tag=tag,
            reads=f"text of up to {settings.max_tokens} tokens",
            answers=f"{answers} {self._reading()}",
            example=example,
            config=config or {},
            head=head,
            files=reading,
        )

    def _reading(self) -> str:
        """How much of a text the model reads."""
        longer = {
            "truncate": "longer texts are cut, and the answer says by how much",
            "stride": f"longer texts are read in windows that share {self.settings.stride}",
            "refuse": "longer texts are refused",
        }
        return f"Reads up to {self.settings.max_tokens} tokens; {longer[self.settings.policy]}."

    def inputs_of(self, path: Path) -> Iterable[Named]:
        """The input of a file, or of each row of a table."""
        return file_texts(path, self.row_readers)

    def typed(self, word: str) -> Any:
        """The text itself; of a pair its JSON."""
        return typed_text(word, len(self.text_names) > 1)

    def raw_file(self, raw: Any) -> tuple[bytes, str]:
        """The text as UTF-8, several as JSON."""
        texts = read_parts(raw, self.text_names, self.settings.columns)
        if len(texts) == 1:
            text = _BOM + texts[0] if texts[0].startswith(_BOM) else texts[0]
            return text.encode("utf-8"), ".txt"
        return raw_json(dict(zip(self.text_names, texts, strict=True))), ".json"

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
        texts = read_parts(raw, self.text_names, self.settings.columns)
        for name, text in zip(self.text_names, texts, strict=True):
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

    def parts(self, raws: Sequence[Any], count: int) -> Iterator[Sequence[Any]]:
        """Fewer than `count` where texts are long."""
        return in_small_parts(raws, count, self.rows_each)

    def windows(self, sample: Tensors) -> Sequence[Tensors]:
        """The windows of a sample, each with the graph's inputs [time]."""
        sizes = sample["windows"].tolist()
        if len(sizes) == 1:
            return (sample,)
        ends = np.cumsum(sizes).tolist()
        return [
            {name: sample[name][end - size : end] for name in self.settings.inputs}
            for size, end in zip(sizes, ends, strict=True)
        ]

    def collate(self, samples: Sequence[Tensors]) -> Tensors:
        """Windows to one batch [batch, time], padded at the end to the longest. A single one is not copied."""
        if len(samples) == 1:
            return {name: samples[0][name][np.newaxis] for name in self.settings.inputs}
        longest = max(map(self.length, samples))
        batch: Tensors = {}
        for name in self.settings.inputs:
            fill = self.settings.pad_id if name == "input_ids" else 0
            padded = np.full((len(samples), longest), fill, np.int64)
            for place, row in enumerate(samples):
                padded[place, : len(row[name])] = row[name]
            batch[name] = padded
        return batch

    def merge(self, rows: Sequence[Tensors], sample: Tensors, graphs: Graphs) -> Tensors:
        """The windows' outputs as one: one after another where every token has an entry, else their mean."""
        if len(rows) == 1:
            return rows[0]
        merged: Tensors = {}
        for name in rows[0]:
            values = [row[name] for row in rows]
            if name in self.timed_outputs:
                merged[name] = np.concatenate(values)
            else:
                merged[name] = weighted_mean(np.stack(values), sample["windows"])
        return merged


def weighted_mean(values: NDArray[Any], weights: NDArray[Any]) -> NDArray[Any]:
    """The mean over the first axis, each row with its weight, in the dtype of `values`."""
    shares = weights.astype(np.float64) / float(weights.sum())
    mean: NDArray[Any] = np.tensordot(shares, values.astype(np.float64), axes=1).astype(values.dtype)
    return mean
