"""Small checkpoints with trained heads, as transformers saves them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

__all__ = ["save_checkpoint"]

_WORDS = (
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "this",
    "is",
    "good",
    "bad",
    "number",
    "##s",
    "a",
    "text",
)


def save_checkpoint(folder: Path, head: str, labels: Sequence[str] = (), **config: Any) -> Path:
    """A BERT of random weights with the class `head` of transformers in `folder`; returns the folder."""
    import torch
    import transformers

    library: Any = transformers  # its classes are found by name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(_WORDS))
    names = {
        "id2label": dict(enumerate(labels)),
        "label2id": {one: place for place, one in enumerate(labels)},
    }
    settings = library.BertConfig(
        vocab_size=len(_WORDS),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=32,
        **(names if labels else {}),
        **config,
    )
    torch.manual_seed(0)
    getattr(library, head)(settings).save_pretrained(folder)
    library.BertTokenizerFast(str(folder / "vocab.txt"), model_max_length=32).save_pretrained(folder)
    return folder
