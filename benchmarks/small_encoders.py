"""Small checkpoints of any architecture, for tests and benchmarks that no hub is needed for.

Libraries initialise for training: with weights that small every text is answered nearly alike, and any graph would
seem to agree. Here weights are of a trained network's scale.
"""

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

from edgewright.pipeline.models.text_encoders.architectures import small_config
from edgewright.pipeline.models.text_encoders.network import published_class
from edgewright.pipeline.models.text_encoders.quiet import quiet_transformers

_WORDS, _LETTERS = 1000, 200


def spread_weights(module: nn.Module, seed: int = 0) -> None:
    """Give every weight of `module`, in place, random values that keep activations at their scale and differ."""
    import torch

    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        for layer in module.modules():
            for name, parameter in layer.named_parameters(recurse=False):
                if isinstance(layer, nn.Embedding):
                    nn.init.normal_(parameter, std=1.0)
                    if layer.padding_idx is not None:
                        parameter[layer.padding_idx].zero_()
                elif parameter.ndim > 1:
                    nn.init.normal_(parameter, std=1.0 / math.sqrt(parameter[0].numel()))
                elif name == "weight":  # the scale of a normalisation
                    nn.init.uniform_(parameter, 0.7, 1.3)
                else:
                    nn.init.normal_(parameter, std=0.1)


def small_tokenizer(texts: Sequence[str], pad_id: int = 0, words: int = _WORDS, types: bool = True) -> Any:
    """A tokenizer of the characters and the commonest words of `texts`, as transformers has it, with the padding token
    at `pad_id`. The same texts give the same one, which the library's own trainer does not promise.
    """
    import transformers
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    specials = ["[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    specials.insert(pad_id, "[PAD]")
    normalizer, divide = normalizers.BertNormalizer(lowercase=True), pre_tokenizers.BertPreTokenizer()
    found = Counter(
        word for text in texts for word, _ in divide.pre_tokenize_str(normalizer.normalize_str(text))
    )
    letters = Counter(letter for word in found.elements() for letter in word)
    alphabet = _commonest(letters)[:_LETTERS]
    pieces = [*specials, *alphabet, *(f"##{letter}" for letter in alphabet), *_commonest(found)]
    vocabulary = {piece: place for place, piece in enumerate(list(dict.fromkeys(pieces))[:words])}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, divide
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1" if types else "[CLS] $A [SEP] $B [SEP]",
        special_tokens=[(mark, tokenizer.token_to_id(mark)) for mark in ("[CLS]", "[SEP]")],
    )
    build: Any = transformers.PreTrainedTokenizerFast
    return build(
        tokenizer_object=tokenizer,
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        pad_token="[PAD]",
        mask_token="[MASK]",
        model_max_length=64,
        model_input_names=["input_ids", *(["token_type_ids"] if types else []), "attention_mask"],
    )


def _commonest(counts: Counter[str]) -> list[str]:
    return sorted(counts, key=lambda name: (-counts[name], name))


def save_small_checkpoint(
    folder: Path,
    name: str,
    texts: Sequence[str],
    answer: str | None = None,
    labels: Sequence[str] = (),
    seed: int = 0,
    **changes: Any,
) -> Path:
    """Write a checkpoint of the architecture `name` as transformers saves one; returns `folder`.

    Args:
        texts: its tokenizer learns its words from them.
        answer: "text", "tokens" or "span" for a model with such a head; None for the bare encoder.
        labels: names of the head's classes.
        changes: of the configuration.
    """
    import transformers

    with quiet_transformers():
        config = small_config(name, _WORDS, **changes)
    types = int(getattr(config, "type_vocab_size", 0) or 0) > 1
    tokenizer = small_tokenizer(texts, int(config.pad_token_id), types=types)
    names = {
        "id2label": dict(enumerate(labels)),
        "label2id": {one: place for place, one in enumerate(labels)},
    }
    given = {**changes, **(names if labels else {}), **({"num_labels": 2} if answer == "span" else {})}
    kind: Any = transformers.AutoModel if answer is None else published_class(answer)
    with quiet_transformers():
        config = small_config(name, len(tokenizer), **given)
        model = kind.from_config(config)
        spread_weights(model, seed)
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return folder
