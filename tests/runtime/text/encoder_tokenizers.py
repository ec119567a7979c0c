"""Tokenizers of every family of encoders, small ones that are trained here; each as transformers has it."""

import functools
import math
from collections import Counter
from collections.abc import Callable
from typing import Any

from edgewright.pipeline.models.text_encoders.tokenizer_json import tokenizer_json
from tests.runtime.text.text_corpus import ordinary

__all__ = ["FAMILIES", "family"]

_WORDS = 4000


def _word_pieces(lower: bool) -> dict[str, int]:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lower)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer = trainers.WordPieceTrainer(
        vocab_size=_WORDS, limit_alphabet=700, special_tokens=specials, show_progress=False
    )
    tokenizer.train_from_iterator(ordinary(), trainer)
    return dict(tokenizer.get_vocab())


def _bytes(specials: list[str]) -> tuple[dict[str, int], Any]:
    import json

    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=_WORDS,
        special_tokens=specials,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(ordinary(), trainer)
    model = json.loads(tokenizer.to_str())["model"]
    return model["vocab"], [tuple(pair) for pair in model["merges"]]


@functools.cache
def _frequent_pieces() -> tuple[tuple[str, float], ...]:
    """Parts of words with the logarithm of how often they occur, no two alike: the library's own training gives others
    each time, and where two ways to cut a word are alike, which one is taken is nobody's promise.
    """
    counts: Counter[str] = Counter()
    for text in ordinary():
        for word in text.split():
            marked = f"\u2581{word}"
            counts.update(marked[at : at + size] for at in range(len(marked)) for size in range(1, 8))
    characters = [piece for piece in counts if len(piece) == 1]
    longer = (piece for piece in counts if len(piece) > 1)
    frequent = sorted(longer, key=lambda piece: (-counts[piece] * len(piece), piece))[:_WORDS]
    total = sum(counts.values())
    return tuple(
        (piece, math.log(counts[piece] / total) - 1e-5 * place)
        for place, piece in enumerate((*frequent, *sorted(characters)))
    )


def _pieces(specials: list[str]) -> list[tuple[str, float]]:
    return [*((special, 0.0) for special in specials), *_frequent_pieces()]


def _bert() -> Any:
    from transformers import BertTokenizer

    return BertTokenizer(vocab=_word_pieces(lower=True))


def _cased_bert() -> Any:
    from transformers import BertTokenizer

    return BertTokenizer(vocab=_word_pieces(lower=False), do_lower_case=False)


def _roberta() -> Any:
    from transformers import RobertaTokenizer

    vocab, merges = _bytes(["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    return RobertaTokenizer(vocab=vocab, merges=merges)


def _modern_bert() -> Any:
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    vocab, merges = _bytes(["[UNK]", "[CLS]", "[SEP]", "[PAD]"])
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=True)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken("[MASK]", lstrip=True, special=True)])
    tokenizer.add_tokens([AddedToken("  ", normalized=False), AddedToken("    ", normalized=False)])
    marks = [("[CLS]", vocab["[CLS]"]), ("[SEP]", vocab["[SEP]"])]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0", pair="[CLS]:0 $A:0 [SEP]:0 $B:0 [SEP]:0", special_tokens=marks
    )
    build: Any = PreTrainedTokenizerFast
    return build(
        tokenizer_object=tokenizer,
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        pad_token="[PAD]",
        mask_token="[MASK]",
        model_input_names=["input_ids", "attention_mask"],
    )


def _xlm_roberta() -> Any:
    from transformers import XLMRobertaTokenizer

    return XLMRobertaTokenizer(vocab=_pieces(["<s>", "<pad>", "</s>", "<unk>"]))


def _deberta() -> Any:
    from transformers import DebertaV2Tokenizer

    return DebertaV2Tokenizer(vocab=_pieces(["[PAD]", "[CLS]", "[SEP]", "[UNK]"]), unk_id=3)


FAMILIES: dict[str, Callable[[], Any]] = {
    "bert": _bert,
    "bert-cased": _cased_bert,
    "roberta": _roberta,
    "modernbert": _modern_bert,
    "xlm-roberta": _xlm_roberta,
    "deberta-v3": _deberta,
}


@functools.cache
def family(name: str) -> tuple[Any, bytes]:
    """A tokenizer as transformers has it, and its tokenizer.json."""
    tokenizer = FAMILIES[name]()
    return tokenizer, tokenizer_json(tokenizer.backend_tokenizer)
