"""Small checkpoints: the same texts give the same tokenizer, which knows their words."""

from benchmarks.small_encoders import small_tokenizer

TEXTS = [
    f"The {animal} number {number} is here, and that one is not."
    for number in range(40)
    for animal in ["cat", "dog"]
]


def test_the_same_texts_give_the_same_tokenizer() -> None:
    first, again = small_tokenizer(TEXTS), small_tokenizer(TEXTS)
    assert first.backend_tokenizer.to_str() == again.backend_tokenizer.to_str()


def test_common_words_are_one_token_and_rare_ones_are_letters() -> None:
    tokenizer = small_tokenizer(TEXTS, pad_id=1, words=70)
    assert tokenizer.pad_token_id == 1 and len(tokenizer) == 70
    assert tokenizer.tokenize("the dog is here") == ["the", "dog", "is", "here"]
    assert tokenizer.tokenize("tin") == ["t", "##i", "##n"]
    assert tokenizer.tokenize("π") == ["[UNK]"]
