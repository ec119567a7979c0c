"""How a text becomes what an encoder reads: the settings that stand in the manifest as `processor`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edgewright.runtime.bundle.structure import StructureError, from_plain
from edgewright.runtime.errors import BundleError
from edgewright.runtime.text.words import UNITS, WORDS

ENCODER_POLICIES = ("truncate", "stride", "refuse")
"""What is done about a text of more tokens than the model takes: keep the first ones, read it in windows that share
some tokens, or say no.
"""

ENCODER_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
"""Everything that an encoder's graph may take, int64 [batch, time] each."""

MOST_TOKENS = 1 << 31
"""Tokens that a model may be said to read at once."""

_SIDES = ("right", "left")
_WAYS = ("nli", "embedding")


@dataclass(frozen=True)
class QuestionSettings:
    """How spans become answers.

    `no_answer`: the model was taught questions without an answer; there is none where its score lies more than
    `null_threshold` above the best span's. An answer has at most `max_answer_tokens` tokens.
    """

    no_answer: bool = False
    null_threshold: float = 0.0
    max_answer_tokens: int = 30

    def __post_init__(self) -> None:
        if self.max_answer_tokens < 1:
            raise ValueError(f"max_answer_tokens {self.max_answer_tokens} must be 1 or more")


@dataclass(frozen=True)
class ZeroShotSettings:
    """How labels that are given with the text are scored.

    `by` "nli": the text is the premise, `template` with the label in place of {} the hypothesis; `entailment` and
    `contradiction` are the places of these classes in the logits (without the latter, several labels at once cannot
    be scored). `by` "embedding": the cosine of text and label, times `scale`, is the logit of the label.
    """

    by: str
    template: str = "{}"
    entailment: int = 0
    contradiction: int | None = None
    scale: float = 20.0

    def __post_init__(self) -> None:
        if self.by not in _WAYS:
            raise ValueError(f"zero_shot.by {self.by!r} is not one of {', '.join(_WAYS)}")
        if self.template.count("{}") != 1:
            raise ValueError(
                f"zero_shot.template {self.template!r} must hold {{}} once, the place of the label"
            )
        if self.entailment < 0 or (self.contradiction is not None and self.contradiction < 0):
            raise ValueError("zero_shot.entailment and contradiction are places in the logits, 0 or more")
        if self.entailment == self.contradiction or (self.by != "nli" and self.contradiction is not None):
            raise ValueError("zero_shot.contradiction must be another class of an nli model than entailment")
        if not self.scale > 0.0:
            raise ValueError(f"zero_shot.scale {self.scale} must be above 0")


@dataclass(frozen=True)
class EncoderTextSettings:
    """How text becomes the tensors of an encoder; it stands in the manifest as `processor`, the tokenizer beside it.

    Args:
        max_tokens: How many tokens the model reads at once, special ones included.
        policy: What is done about longer texts, one of `ENCODER_POLICIES`.
        stride: How many tokens two windows share, with policy "stride".
        inputs: Which of `ENCODER_INPUTS` the graph takes, in its order.
        pad_id: The token that stands where a text is shorter than others of its batch.
        vocabulary: How many rows the model's table of tokens has; a tokenizer of more is refused.
        pair: Two texts make one input.
        columns: What the texts are called in tables and JSON, beside the task's own names for them.
        multi_label: Any number of labels may hold, each with a probability of its own.
        threshold: The probability from which such a label counts as chosen.
        truncation_side: The end that policy "truncate" cuts off.
        split_special_tokens: Read "[SEP]" in a text as its letters.
        normalise: An embedding has length 1; so must the mean of several windows.
        question: Settings of question-answering.
        zero_shot: Settings of zero-shot-classification.
        units: What of a text has a label of its own in token-classification, one of `UNITS`.

    Raises `ValueError` for settings that no text can meet.
    """

    max_tokens: int
    policy: str = "truncate"
    stride: int = 0
    inputs: tuple[str, ...] = ("input_ids", "attention_mask")
    pad_id: int = 0
    vocabulary: int | None = None
    pair: bool = False
    columns: tuple[str, ...] = ()
    multi_label: bool = False
    threshold: float = 0.5
    truncation_side: str = "right"
    split_special_tokens: bool = False
    normalise: bool = False
    question: QuestionSettings | None = None
    zero_shot: ZeroShotSettings | None = None
    units: str = WORDS

    def __post_init__(self) -> None:
        if not 1 <= self.max_tokens <= MOST_TOKENS:
            raise ValueError(f"max_tokens {self.max_tokens} must be 1 or more, and at most {MOST_TOKENS}")
        if self.policy not in ENCODER_POLICIES:
            raise ValueError(f"policy {self.policy!r} is not one of {', '.join(ENCODER_POLICIES)}")
        if self.stride < 0 or (self.stride and self.policy != "stride"):
            raise ValueError(f"stride {self.stride} must be 0 or more, and 0 unless the policy is stride")
        if self.stride >= self.max_tokens:
            raise ValueError(f"stride {self.stride} must be less than max_tokens {self.max_tokens}")
        unknown = [name for name in self.inputs if name not in ENCODER_INPUTS]
        if unknown or "input_ids" not in self.inputs or len(set(self.inputs)) != len(self.inputs):
            raise ValueError(
                f"inputs {', '.join(self.inputs)} must be input_ids and others of {ENCODER_INPUTS}"
            )
        if self.pad_id < 0 or (self.vocabulary is not None and self.pad_id >= self.vocabulary):
            raise ValueError(f"pad_id {self.pad_id} is no token of the model")
        if not 0.0 < self.threshold < 1.0:
            raise ValueError(f"threshold {self.threshold} must lie between 0 and 1")
        if self.truncation_side not in _SIDES:
            raise ValueError(f"truncation_side {self.truncation_side!r} is not one of {', '.join(_SIDES)}")
        if self.units not in UNITS:
            raise ValueError(f"units {self.units!r} is not one of {', '.join(UNITS)}")
        way = self.zero_shot
        if way is not None and self.multi_label and way.contradiction is None:
            raise ValueError("several labels at once need zero_shot.by nli with a contradiction")


def encoder_settings(processor: Mapping[str, Any]) -> EncoderTextSettings:
    """The settings from a manifest's `processor`. Raises `BundleError` naming what is wrong."""
    try:
        return from_plain(EncoderTextSettings, dict(processor), "processor")
    except (StructureError, ValueError) as error:
        raise BundleError(
            f"the text settings cannot be used: {error}: get a fresh copy of the bundle"
        ) from None
