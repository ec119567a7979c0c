"""The architectures of encoders that are known to be carried whole, each with a small configuration.

Others that transformers can load are carried where their export proves to be right; these are tested.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

_OFFSET = {"pad_token_id": 1, "type_vocab_size": 1, "max_position_embeddings": 66}
"""RoBERTa and its kin number positions from the padding token on."""

_DISENTANGLED = {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_biased_input": False}

ARCHITECTURES: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "bert": {},
        "roberta": _OFFSET,
        "distilbert": {"dim": 64, "n_layers": 2, "n_heads": 4, "hidden_dim": 96},
        "electra": {"embedding_size": 32},
        "deberta-v2": {
            **_DISENTANGLED,
            "position_buckets": 16,
            "type_vocab_size": 0,
            "share_att_key": True,
            "norm_rel_ebd": "layer_norm",
        },
        "deberta": {**_DISENTANGLED, "type_vocab_size": 0},
        "modernbert": {"local_attention": 16, "global_attn_every_n_layers": 2},
        "xlm-roberta": _OFFSET,
        "albert": {"embedding_size": 32},
        "mpnet": {"pad_token_id": 1, "max_position_embeddings": 66},
        "camembert": _OFFSET,
        "convbert": {"embedding_size": 64},
        "data2vec-text": _OFFSET,
        "ernie": {},
        "megatron-bert": {},
        "nomic_bert": {},
        "rembert": {"input_embedding_size": 32},
        "roberta-prelayernorm": _OFFSET,
        "roformer": {},
        "squeezebert": {"embedding_size": 64},
        "xlm-roberta-xl": {**_OFFSET, "type_vocab_size": 1},
    }
)
"""transformers' name of an architecture to what its small configuration says beside `_SMALL`."""

_SMALL = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 96,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
}
_MARKS = ("bos_token_id", "cls_token_id", "eos_token_id", "sep_token_id", "mask_token_id")


def small_config(name: str, vocabulary: int, **changes: Any) -> Any:
    """A configuration of transformers for two narrow layers and 64 tokens; `changes` win. Raises `KeyError`."""
    from transformers import AutoConfig

    made = {**_SMALL, **dict.fromkeys(_MARKS, 2), **ARCHITECTURES[name], "vocab_size": vocabulary, **changes}
    return AutoConfig.for_model(name, **made)
