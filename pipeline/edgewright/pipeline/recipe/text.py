"""The sections of a recipe that say how texts are read and answered."""

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from edgewright.pipeline.recipe.values import Section

_MOST_TOKENS = 65536


def _count(least: int) -> Any:
    """A check for "auto" or a whole number from `least`."""

    def check(value: Any) -> Any:
        if value == "auto":
            return value
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError(f"expected auto or a whole number, found {value!r}")
        if not least <= value <= _MOST_TOKENS:
            bound = f"at least {least}" if value < least else f"at most {_MOST_TOKENS}"
            raise ValueError(f"must be {bound}, found {value}")
        return value

    return BeforeValidator(check)


def _switch(value: Any) -> Any:
    if value == "auto" or isinstance(value, bool):
        return value
    raise ValueError(f"expected auto, true or false, found {value!r}")


def _template(value: Any) -> Any:
    if value == "auto":
        return value
    if not isinstance(value, str) or value.count("{}") != 1:
        raise ValueError(
            f'expected auto or a sentence with {{}} in the place of the label, such as "This is about {{}}.", '
            f"found {value!r}"
        )
    return value


class Text(Section):
    """How sentences become tokens, and what becomes of texts of more than `max_tokens` tokens.

    A recurrent net learns a vocabulary of so many entries from the training texts. A checkpoint has its own, and reads
    as many tokens as it was trained on (auto: at most 512). A longer text is cut off (truncate), read in windows that
    share `stride` tokens (stride), or refused. `pooling` makes one vector of those of the tokens, `normalise` gives it
    the length 1; auto is what the checkpoint says. With `multi_label` any number of labels may hold, each from a
    probability of `threshold`.
    """

    vocabulary: int = Field(default=8000, ge=300, le=1_000_000)
    max_tokens: Annotated[Literal["auto"] | int, _count(1)] = "auto"
    lowercase: bool = True
    policy: Literal["truncate", "stride", "refuse"] = "truncate"
    stride: Annotated[Literal["auto"] | int, _count(0)] = "auto"
    pooling: Literal["auto", "mean", "cls", "max"] = "auto"
    normalise: Annotated[Literal["auto"] | bool, BeforeValidator(_switch)] = "auto"
    multi_label: bool = False
    threshold: float = Field(default=0.5, gt=0, lt=1)

    @model_validator(mode="after")
    def _windows_go_on(self) -> Self:
        if self.stride != "auto" and self.policy != "stride":
            raise ValueError(
                f"stride says what windows share, and with policy: {self.policy} there are none: "
                "remove the key, or use policy: stride"
            )
        stride, size = self.stride, self.max_tokens
        if isinstance(stride, int) and isinstance(size, int) and stride >= size:
            raise ValueError(
                f"a stride of {stride} leaves windows of {size} tokens nothing new: lower stride"
            )
        if self.threshold != 0.5 and not self.multi_label:
            raise ValueError(
                "threshold is for multi_label: true, of one label the best counts: remove the key, or set multi_label"
            )
        return self


class Questions(Section):
    """How spans become answers.

    `no_answer`: some texts hold none, as in SQuAD 2; none is given where its score lies more than `null_threshold`
    above the best span's. An answer has at most `max_answer_tokens` tokens.
    """

    no_answer: bool = False
    null_threshold: float = 0.0
    max_answer_tokens: int = Field(default=30, ge=1, le=_MOST_TOKENS)

    @model_validator(mode="after")
    def _only_no_answer_has_a_threshold(self) -> Self:
        if self.null_threshold and not self.no_answer:
            raise ValueError(
                "null_threshold is for no_answer: true, without it every question has an answer: "
                "remove the key, or set no_answer"
            )
        return self


class ZeroShot(Section):
    """How labels that nobody trained are scored: by a model of natural language inference, or by embeddings.

    `template` makes a sentence of a label, which stands in the place of {}; auto follows `by`, and that the checkpoint.
    """

    by: Literal["auto", "nli", "embedding"] = "auto"
    template: Annotated[str, BeforeValidator(_template)] = "auto"
