"""How text becomes what an encoder reads: tokens, types, masks, windows. It equals what transformers makes of a text,
through the Rust library `tokenizers` alone.
"""

import functools
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgewright.runtime.errors import BundleError, InputError
from edgewright.runtime.text.decoding import load_tokenizer
from edgewright.runtime.text.pieces import pieces_of, takes_pieces
from edgewright.runtime.text.settings import EncoderTextSettings

_Feeds = dict[str, NDArray[Any]]
_Part = tuple[int, int]

_PROBES = ("a", "the", "1", ".", "A", "中", "é", "x y")
_NOWHERE = (-1, -1)

_AT_ONCE = 1 << 18
"""Characters of texts that are read together; a longer text is read in pieces."""

_PIECES = 16
"""Pieces that are read together."""


@dataclass(frozen=True)
class Tokens:
    """The tokens of one text, without special ones: `ids` int64 [tokens], and where it was asked for `offsets`, int32
    [tokens, 2]: the first character of each and the one behind its last.
    """

    ids: NDArray[np.int64]
    offsets: NDArray[np.int32] | None

    def __len__(self) -> int:
        return len(self.ids)


MOST_WINDOW_TOKENS = 1 << 26
"""Tokens of all windows of one text: half a gigabyte."""


@dataclass(frozen=True)
class _Template:
    """What stands before, between and behind the texts: token ids [n], their types [n], and the types of the texts."""

    ids: tuple[NDArray[np.int64], ...]
    types: tuple[NDArray[np.int64], ...]
    text_types: tuple[int, ...]

    @functools.cached_property
    def specials(self) -> int:
        return sum(map(len, self.ids))


class EncoderTokenizer:
    """A tokenizer.json with the settings of a model. Safe to use from many threads."""

    def __init__(
        self, content: bytes, settings: EncoderTextSettings, texts: int = 1, cut: int | None = None
    ) -> None:
        """Load a tokenizer.

        Args:
            content: A tokenizer.json.
            settings: How the model reads.
            texts: How many texts make one input, 1 or 2.
            cut: Which of two texts gives way when they are too long together, 0 or 1; None is the longer one.

        Raises:
            BundleError: The tokenizer cannot be used, or does not belong to the model.
        """
        self.settings = settings
        self._tokenizer = load_tokenizer(content)
        self._tokenizer.encode_special_tokens = settings.split_special_tokens
        size = self._tokenizer.get_vocab_size(with_added_tokens=True)
        if settings.vocabulary is not None and size > settings.vocabulary:
            raise BundleError(
                f"the tokenizer knows {size} tokens, the model {settings.vocabulary}: they do not belong together, "
                "take the tokenizer from the folder of the model"
            )
        self._cut = cut if texts == 2 else 0
        self._template = _learn(self._tokenizer, texts)
        self._takes_mask = "attention_mask" in settings.inputs
        self._takes_types = "token_type_ids" in settings.inputs
        self._room = settings.max_tokens - self._template.specials
        if self._room < texts or settings.stride >= self._room:
            raise BundleError(
                f"{settings.max_tokens} tokens leave no room beside {self._template.specials} special ones and a "
                f"stride of {settings.stride}: raise max_tokens"
            )

    @functools.cached_property
    def _takes_pieces(self) -> bool:
        return takes_pieces(self._tokenizer)

    def special_tokens(self) -> dict[str, str]:
        """The tokens that play a part, as they are written, by transformers' word for it: "pad_token"; "cls_token" and
        "sep_token" before and behind a text, where tokenizer.json itself calls them special.
        """
        known = {
            number: str(token.content) for number, token in self._tokenizer.get_added_tokens_decoder().items()
        }
        before, *_, behind = self._template.ids
        found = {
            "pad_token": self._tokenizer.id_to_token(self.settings.pad_id),
            "cls_token": known.get(int(before[0])) if len(before) else None,
            "sep_token": known.get(int(behind[-1])) if len(behind) else None,
        }
        return {part: token for part, token in found.items() if token is not None}

    def tokens(self, texts: Sequence[str], offsets: bool = False) -> list[Tokens]:
        """The tokens of each text, in parallel; offsets take longer.

        However long the texts are, only the numbers of their tokens stand in memory at once.
        """
        found: list[Tokens] = []
        waiting: list[str] = []
        size = 0
        for text in texts:
            if len(text) > _AT_ONCE and self._takes_pieces:
                found += self._few(waiting, offsets)
                found.append(self._long(text, offsets))
                waiting, size = [], 0
                continue
            waiting.append(text)
            size += len(text)
            if size > _AT_ONCE:
                found += self._few(waiting, offsets)
                waiting, size = [], 0
        return found + self._few(waiting, offsets)

    def _few(self, texts: list[str], offsets: bool) -> list[Tokens]:
        """The tokens of some texts."""
        if not texts:
            return []
        if len(texts) == 1:
            encodings = [self._tokenizer.encode(texts[0], add_special_tokens=False)]
        elif offsets:
            encodings = self._tokenizer.encode_batch(texts, add_special_tokens=False)
        else:
            encodings = self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        return [
            Tokens(
                np.array(encoding.ids, np.int64),
                np.array(encoding.offsets, np.int32).reshape(-1, 2) if offsets else None,
            )
            for encoding in encodings
        ]

    def _long(self, text: str, offsets: bool) -> Tokens:
        """The tokens of a long text, found piece by piece."""
        ids: list[NDArray[np.int64]] = []
        places: list[NDArray[np.int32]] = []
        for some in _batched(pieces_of(text), _PIECES):
            for (start, _), tokens in zip(
                some, self._few([piece for _, piece in some], offsets), strict=True
            ):
                ids.append(tokens.ids)
                if tokens.offsets is not None:
                    places.append(tokens.offsets + np.int32(start))
        return Tokens(np.concatenate(ids), np.concatenate(places) if offsets else None)

    def single(self, text: str) -> _Feeds | None:
        """What `sample` makes of one text without offsets, if that is one window with at least one token; else None.

        A single short text has the tokens that the library arranges itself, which is all there is to do: every line of
        Python between two runs of a graph finds the caches cold, and takes some ten times as long as it would alone.
        """
        try:
            encoding = self._tokenizer.encode(text)
        except TypeError:  # half a character, which `load_text` names
            return None
        ids = encoding.ids
        total = len(ids)
        if not self._template.specials < total <= self.settings.max_tokens:
            return None
        made: _Feeds = {"input_ids": np.array(ids, np.int64)}
        if self._takes_mask:
            made["attention_mask"] = np.array(encoding.attention_mask, np.int64)
        if self._takes_types:
            made["token_type_ids"] = np.array(encoding.type_ids, np.int64)
        made["lengths"] = np.array(total, np.int32)
        made["windows"] = np.array([total], np.int32)
        made["lost"] = np.array(0, np.int32)
        return made

    def sample(self, parts: Sequence[Tokens], texts: Sequence[str]) -> _Feeds:
        """One sample: all its windows, one after another.

        Args:
            parts: The tokens of each text.
            texts: The texts themselves, for messages.

        Returns:
            The graph's inputs, int64 [T]; `lengths` int32, T; `windows` int32 [windows], the length of each; `lost`
            int32, how many tokens were cut off. With offsets, `offsets` int32 [T, 2], in characters of the text that
            may be cut, -1 for tokens that do not come from it.

        Raises:
            InputError: A text is too long and may not be cut.
        """
        windows, lost = self._windows([len(part) for part in parts], texts)
        template, pieces = self._template, []
        ids: list[NDArray[np.int64]] = []
        for window in windows:
            length = template.specials
            for before, part, (start, stop) in zip(template.ids, parts, window, strict=False):
                ids += (before, part.ids[start:stop])
                length += stop - start
            ids.append(template.ids[-1])
            pieces.append(length)
        made: _Feeds = {"input_ids": np.concatenate(ids)}
        total = len(made["input_ids"])
        if self._takes_mask:
            made["attention_mask"] = np.ones(total, np.int64)
        if self._takes_types:
            made["token_type_ids"] = self._types(windows)
        made["lengths"] = np.array(total, np.int32)
        made["windows"] = np.array(pieces, np.int32)
        made["lost"] = np.array(lost, np.int32)
        places = parts[self._cut or 0].offsets
        if places is not None:
            made["offsets"] = self._offsets(places, windows)
        return made

    def _types(self, windows: Sequence[Sequence[_Part]]) -> NDArray[np.int64]:
        template, made = self._template, []
        for window in windows:
            for number, (start, stop) in enumerate(window):
                made.append(template.types[number])
                made.append(np.full(stop - start, template.text_types[number], np.int64))
            made.append(template.types[-1])
        return np.concatenate(made)

    def _offsets(self, places: NDArray[np.int32], windows: Sequence[Sequence[_Part]]) -> NDArray[np.int32]:
        chosen, made = self._cut or 0, []
        for window in windows:
            for number, (start, stop) in enumerate(window):
                made.append(np.full((len(self._template.ids[number]), 2), _NOWHERE, np.int32))
                made.append(
                    places[start:stop] if number == chosen else np.full((stop - start, 2), _NOWHERE, np.int32)
                )
            made.append(np.full((len(self._template.ids[-1]), 2), _NOWHERE, np.int32))
        return np.concatenate(made)

    def _windows(self, sizes: list[int], texts: Sequence[str]) -> tuple[list[list[_Part]], int]:
        """Which tokens of each text every window holds, and how many no window does."""
        total, policy = sum(sizes), self.settings.policy
        if total <= self._room:
            return [[(0, size) for size in sizes]], 0
        if policy == "refuse":
            raise InputError(
                f"the text {shown(*texts)} has {total + self._template.specials} tokens, the model takes "
                f"{self.settings.max_tokens}: shorten it, or choose text.policy: truncate or stride"
            )
        if policy == "stride":
            return self._strides(sizes, texts), 0
        kept = self._kept(sizes, texts)
        if self.settings.truncation_side == "left":
            return [[(size - keep, size) for size, keep in zip(sizes, kept, strict=True)]], total - sum(kept)
        return [[(0, keep) for keep in kept]], total - sum(kept)

    def _kept(self, sizes: list[int], texts: Sequence[str]) -> list[int]:
        if len(sizes) == 2 and self._cut is None:  # as the Rust library does it, to the token
            short, long = sorted(sizes)
            long = short if short > self._room else max(short, self._room - short)
            if short + long > self._room:
                short = self._room // 2
                long = short + self._room % 2
            return [short, long] if sizes[0] <= sizes[1] else [long, short]
        cut = self._cut or 0
        kept = list(sizes)
        kept[cut] = self._free(sizes, cut, texts, 0)
        return kept

    def _strides(self, sizes: list[int], texts: Sequence[str]) -> list[list[_Part]]:
        stride = self.settings.stride
        cut = len(sizes) - 1 if self._cut is None else self._cut
        free = self._free(sizes, cut, texts, stride)
        windows, start = [], 0
        while True:
            stop = min(start + free, sizes[cut])
            window: list[_Part] = [(0, size) for size in sizes]
            window[cut] = (start, stop)
            windows.append(window)
            if stop == sizes[cut]:
                return windows
            if len(windows) * self._room > MOST_WINDOW_TOKENS:
                raise InputError(
                    f"the text {shown(texts[cut])} has {sizes[cut]} tokens, too many for windows that share {stride} "
                    f"of {self._room}: split it"
                )
            start += free - stride

    def _free(self, sizes: list[int], cut: int, texts: Sequence[str], stride: int) -> int:
        """How many tokens of the text `cut` fit beside the other one."""
        fixed = sum(sizes) - sizes[cut]
        if self._room - fixed <= stride:
            raise InputError(
                f"the text {shown(texts[1 - cut])} alone has {fixed} tokens of the {self._room} that the model takes: "
                "shorten it"
            )
        return self._room - fixed


def joined(samples: Sequence[_Feeds]) -> _Feeds:
    """Several samples as one: all their windows, one after another. `groups` int32 says how many came from each."""
    if len(samples) == 1:
        made = dict(samples[0])
    else:
        made = {
            name: np.concatenate([sample[name] for sample in samples])
            if samples[0][name].ndim
            else np.array(sum(int(sample[name]) for sample in samples), np.int32)
            for name in samples[0]
        }
    made["groups"] = np.array([len(sample["windows"]) for sample in samples], np.int32)
    return made


def shown(*texts: str) -> str:
    """The beginning of one or two texts, for a message."""
    return " with ".join(repr(text if len(text) <= 40 else f"{text[:37]}...") for text in texts)


def _batched(pieces: Iterator[tuple[int, str]], count: int) -> Iterator[list[tuple[int, str]]]:
    while some := list(itertools.islice(pieces, count)):
        yield some


def _learn(tokenizer: Any, texts: int) -> _Template:
    """What the tokenizer puts around the texts, found by looking at what it does."""
    try:
        return _template(tokenizer, texts)
    except (BundleError, KeyboardInterrupt):
        raise
    except (
        BaseException
    ) as error:  # it raises plain exceptions, and for a panic in Rust not even one of those
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise BundleError(
            f"tokenizer.json reads no text ({reason}): get a fresh copy of the bundle"
        ) from None


def _template(tokenizer: Any, texts: int) -> _Template:
    for probe in _PROBES:
        plain = tokenizer.encode(probe, add_special_tokens=False).ids
        if plain:
            break
    else:
        raise BundleError("tokenizer.json finds no token in any text: get a fresh copy of the bundle")
    encoding = tokenizer.encode(*[probe] * texts)
    ids: list[list[int]] = [[]]
    types: list[list[int]] = [[]]
    text_types: list[int] = []
    sources: list[int] = []
    for token, kind, source in zip(encoding.ids, encoding.type_ids, encoding.sequence_ids, strict=True):
        if source is None:
            ids[-1].append(token)
            types[-1].append(kind)
        elif source not in sources[-1:]:
            ids.append([])
            types.append([])
            text_types.append(kind)
            sources.append(source)
    made = _Template(
        tuple(np.array(part, np.int64) for part in ids),
        tuple(np.array(part, np.int64) for part in types),
        tuple(text_types),
    )
    again: list[int] = list(made.ids[0])
    for part in made.ids[1:]:
        again += [*plain, *part.tolist()]
    if sources != list(range(texts)) or again != encoding.ids:
        raise BundleError(
            f"tokenizer.json arranges {texts} text(s) in a way that no encoder does: get a fresh copy of the bundle"
        )
    return made
