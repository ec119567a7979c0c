"""By which class other tools read a tokenizer.json. Exporters write it down; a device never asks."""

from collections.abc import Mapping
from typing import Any

from edgewright.runtime.bundle.structure import parse_json

_BERT = ["BertNormalizer", "BertPreTokenizer", "WordPiece"]


def tokenizer_class(content: bytes, tokens: Mapping[str, str], types: bool) -> dict[str, Any]:
    """The part of tokenizer_config.json that names the class; `tokens` are the special ones, and `types` says whether
    the model tells the parts of a pair apart.

    transformers.js gives token types by some classes only: by the general one a pair would be answered as if it were
    one text. transformers makes a `BertTokenizer` of these words alone: they say all that tokenizer.json does. Where
    there is more to say, the general class stays.
    """
    found: Any = parse_json(content)
    parts = [found.get(part) or {} for part in ("normalizer", "pre_tokenizer", "model")]
    marks = (tokens.get("cls_token"), tokens.get("sep_token"), parts[2].get("unk_token"))
    plain = [part.get("type") for part in parts] == _BERT and marks == ("[CLS]", "[SEP]", "[UNK]")
    if not types or not plain:
        return {"tokenizer_class": "PreTrainedTokenizerFast"}
    normalizer = parts[0]
    return {
        "tokenizer_class": "BertTokenizer",
        "do_lower_case": normalizer.get("lowercase", True),
        "strip_accents": normalizer.get("strip_accents"),
        "tokenize_chinese_chars": normalizer.get("handle_chinese_chars", True),
    }
