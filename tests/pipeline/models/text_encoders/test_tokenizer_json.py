"""A tokenizer.json that is read to the tokenizer it was made of."""

import json
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer, models

from edgewright.pipeline.models.text_encoders.tokenizer_json import tokenizer_json


def unigram(scores: list[float]) -> Any:
    pieces = [(f"piece{place}", score) for place, score in enumerate(scores)]
    pieces[0] = ('"<unk>"\\ü▁', scores[0])
    return Tokenizer(models.Unigram(pieces, 0))


def read_scores(content: bytes) -> list[float]:
    again = Tokenizer.from_str(content.decode())
    return [score for _, score in json.loads(again.to_str())["model"]["vocab"]]


@pytest.mark.parametrize("kind", [np.float64, np.float32])
def test_scores_are_read_as_they_were(kind: Any) -> None:
    """Sentencepiece keeps scores in float32; those that are trained here are float64."""
    random = np.random.default_rng(0)
    scores = [float(kind(score)) for score in -random.uniform(0.5, 25.0, 5000)]
    tokenizer = unigram(scores)
    usual = sum(one != two for one, two in zip(read_scores(tokenizer.to_str().encode()), scores, strict=True))
    exact = sum(one != two for one, two in zip(read_scores(tokenizer_json(tokenizer)), scores, strict=True))
    assert usual > 300, "the library reads decimal numbers exactly: this module has nothing left to do"
    assert exact < 15


def test_scores_of_any_size() -> None:
    scores = [
        0.0,
        -0.0,
        -10.0,
        -100.5,
        -0.25,
        -1e-2,
        -1e-7,
        -1e20,
        3.5,
        -1234567.890123456,
        -5e-324,
        -1.7e308,
    ]
    found = json.loads(tokenizer_json(unigram(scores)))["model"]["vocab"]
    assert [score for _, score in found] == pytest.approx(scores, rel=1e-15)
    assert found[0][0] == '"<unk>"\\ü▁'


def test_everything_else_stays() -> None:
    tokenizer = unigram([-1.5, -2.25])
    tokenizer.add_special_tokens(["[CLS]", "vocab", "vocab_"])
    assert json.loads(tokenizer_json(tokenizer)) == json.loads(tokenizer.to_str())


def test_other_models_are_written_as_ever() -> None:
    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0, "ü": 1}, "[UNK]"))
    assert tokenizer_json(tokenizer) == tokenizer.to_str().encode()
