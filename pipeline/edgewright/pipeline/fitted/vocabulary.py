"""What a recurrent net of texts is told: a vocabulary that is learnt from the training texts."""

from edgewright.pipeline.data.samples import SPLITS, Splits
from edgewright.pipeline.data.text.vocabulary import one_thread, train_tokenizer
from edgewright.pipeline.fitted.carried import carried_with
from edgewright.pipeline.fitted.fitted import Fitted
from edgewright.pipeline.recipe.recipe import Recipe
from edgewright.runtime.errors import DataError
from edgewright.runtime.text.decoding import TextSettings, load_tokenizer


def fit_vocabulary(recipe: Recipe, splits: Splits) -> Fitted:
    """The tokenizer of the run that the recipe starts from, else one that is trained on the training texts.

    Raises `DataError` where a text is too long and the recipe refuses that.
    """
    limit = recipe.text.max_tokens
    assert limit != "auto", "a recurrent net is told a number"
    carried = carried_with(recipe)
    content = carried.tokenizer or train_tokenizer([sample.raw for sample in splits.train], recipe.text)
    tokenizer = load_tokenizer(content)
    origin = f"of {carried.source}" if carried.tokenizer else f"learnt from {len(splits.train)} texts"
    notes = [f"the vocabulary has {tokenizer.get_vocab_size()} entries, {origin}"]
    everything = [sample for name in SPLITS for sample in splits.split(name)]
    with one_thread():
        counts = [len(found.ids) for found in tokenizer.encode_batch([sample.raw for sample in everything])]
    long = [sample for sample, count in zip(everything, counts, strict=True) if count > limit]
    if long:
        text = f"{len(long)} of {len(everything)} texts have more than {limit} tokens (the longest {max(counts)})"
        if recipe.text.policy == "refuse":
            raise DataError(
                f"{text}, first {long[0].id}: raise text.max_tokens, or use text.policy: truncate"
            )
        notes.append(f"{text}: only the first {limit} count")
    return Fitted(TextSettings(limit, recipe.text.policy), {"tokenizer": content}, tuple(notes))
