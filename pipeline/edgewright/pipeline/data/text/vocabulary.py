"""A tokenizer learnt from the user's own texts: byte-level BPE, the same for the same texts."""

import contextlib
import os
from collections.abc import Iterator, Sequence

from edgewright.pipeline.recipe.text import Text
from edgewright.runtime.errors import DataError

PADDING = "[PAD]"
UNKNOWN = "[UNK]"
"""The first two entries of every vocabulary: batches are padded with 0."""


def train_tokenizer(texts: Sequence[str], settings: Text) -> bytes:
    """A tokenizer.json with at most `settings.vocabulary` entries. Raises `DataError` when there is nothing to learn.

    Every byte is an entry, so that no text is unknown to it, in whatever language or spelling.
    """
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    if not any(text.strip() for text in texts):
        raise DataError("no training text has a word in it: a vocabulary cannot be learnt from that")
    tokenizer = Tokenizer(models.BPE(unk_token=UNKNOWN))
    steps = [normalizers.NFKC(), *([normalizers.Lowercase()] if settings.lowercase else [])]
    tokenizer.normalizer = normalizers.Sequence(steps)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=settings.vocabulary,
        min_frequency=2,
        special_tokens=[PADDING, UNKNOWN],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    with one_thread():
        tokenizer.train_from_iterator(iter(texts), trainer, len(texts))
    content: str = tokenizer.to_str(pretty=True)
    return content.encode()


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Keep the tokenizers to the calling thread."""
    # Once it has used threads, the library warns in every process forked later, such as those of a data loader.
    name = "TOKENIZERS_PARALLELISM"
    before = os.environ.get(name)
    os.environ[name] = "false"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
