"""The sections of a recipe, one frozen model each: every key with its type, its bounds and its default."""

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from edgewright.pipeline.recipe.values import PositiveOrNone, Section, Seed, none_word
from edgewright.runtime.hints import did_you_mean

AUTO_VARIANTS = ("fp32", "fp16", "int8-dynamic", "int8-static")
"""What `variants: auto` means, unless the family of the model says otherwise."""

VARIANTS = (*AUTO_VARIANTS, "int4", "int8-dynamic-vnni", "int8-static-vnni")
"""What a recipe may list: the names of `edgewright.exporters.precision.registry`."""


def _rate(value: Any) -> Any:
    if value == "auto":
        return value
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < float("inf"):
        raise ValueError(f"expected auto or a number greater than 0, found {value!r}")
    try:
        return float(value)
    except OverflowError:
        raise ValueError(
            "expected auto or a number greater than 0, found one of hundreds of digits"
        ) from None


def _unfreeze(value: Any) -> Any:
    names = [value] if isinstance(value, str) else value
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return value
    if isinstance(names, (list, tuple)) and names and all(isinstance(name, str) and name for name in names):
        return "all" if "all" in names else tuple(names)
    raise ValueError(
        f"expected all, a number of last blocks from 1, or names such as [layer4, fc], found {value!r}"
    )


def check_variants(value: Any) -> Any:
    """ "auto", or a list of known variants that has fp32. Raises `ValueError`."""
    if value == "auto":
        return value
    if not isinstance(value, (list, tuple)):
        raise ValueError(f"expected auto or a list such as [fp32, int8-static], found {value!r}")
    for name in value:
        if name not in VARIANTS:
            raise ValueError(
                f"unknown variant {name!r}{did_you_mean(name, VARIANTS)}: choose from {', '.join(VARIANTS)}"
            )
    if len(set(value)) != len(value):
        raise ValueError("a variant is listed twice: remove one")
    if "fp32" not in value:
        raise ValueError(
            "fp32 is missing: every other variant is made from it and measured beside it, so list it too"
        )
    return tuple(value)


class Input(Section):
    """What the model sees. `size` is the side of the square crop in pixels; None takes the model's own."""

    size: Annotated[Annotated[int, Field(ge=8, le=4096)] | None, BeforeValidator(none_word)] = None


class Transfer(Section):
    """How much of the pretrained model is kept. `mode` none ships a checkpoint as it is, and trains nothing.

    `unfreeze` is "all", a number of last blocks (the head is the last), or names and globs. `head_epochs`
    trains the head alone first; then the earliest block learns at the learning rate divided by
    `rate_divisor`, the head at the full rate; with `layer_decay` every block learns at the rate of the next one times
    this. Where `weights` is none the defaults are unfreeze all,
    head_epochs 0 and rate_divisor 1. `engine` runs the frozen backbone of a feature extraction.
    """

    mode: Literal["fine-tuning", "feature-extraction", "none"] = "fine-tuning"
    unfreeze: Annotated[Literal["all"] | int | tuple[str, ...], BeforeValidator(_unfreeze)] = 2
    head_epochs: int = Field(default=1, ge=0)
    rate_divisor: float = Field(default=100.0, ge=1)
    layer_decay: Annotated[Annotated[float, Field(gt=0, le=1)] | None, BeforeValidator(none_word)] = None
    gradual: bool = False
    head: Literal["new", "keep"] = "new"
    engine: Literal["auto", "torch", "onnx"] = "auto"

    @model_validator(mode="after")
    def _fits_the_mode(self) -> Self:
        if self.layer_decay is not None:
            if self.mode != "fine-tuning":
                raise ValueError(
                    "layer_decay needs mode: fine-tuning, nothing but a head trains here: remove it"
                )
            if self.rate_divisor not in (1.0, 100.0):
                raise ValueError("layer_decay takes the place of rate_divisor: keep one of them")
        if self.mode == "none":
            if self.unfreeze != 1 or self.gradual:
                raise ValueError("none trains nothing: remove unfreeze and gradual, or use mode: fine-tuning")
            if self.head != "keep":
                raise ValueError("none keeps the checkpoint's head: remove head, or use mode: fine-tuning")
        if self.mode == "feature-extraction":
            if self.unfreeze != 1:
                raise ValueError(
                    "feature-extraction trains the head only: remove unfreeze, or use mode: fine-tuning"
                )
            if self.gradual:
                raise ValueError("gradual unfreezing needs mode: fine-tuning")
        elif self.engine != "auto":
            raise ValueError(
                f"engine is for mode: feature-extraction, {self.mode} always runs in torch: remove the key"
            )
        return self


class Training(Section):
    """The loop. `lr: auto` finds the rate by a range test; `early_stopping` is the patience in epochs.

    `augment` defaults to light for a folder of images and to none for built-in data, for feature extraction and for
    what is not an image; `epochs` to more where a recurrent net starts from random weights, and `least_steps` there to
    600: few samples are gone through more often than `epochs` says, until there were so many updates. `metric` defaults
    to that of the task: r2 (the share of the variance explained) for regression, skill (the share of the seasonal-naive
    forecast's error that is saved) for forecasting, span-f1, f1 and neighbour-accuracy for entities, answers and
    embeddings, micro-f1 where any number of labels may hold, accuracy for the rest. A schedule that is linear rises
    over the share `warmup` of the steps and then falls to 0. `loss` is that of regression and
    forecasting; None is mse for the one and mae for the other.
    """

    epochs: int = Field(default=5, ge=1)
    least_steps: int = Field(default=0, ge=0)
    batch_size: int = Field(default=32, ge=1)
    lr: Annotated[Literal["auto"] | float, BeforeValidator(_rate)] = "auto"
    optimizer: Literal["adamw", "sgd"] = "adamw"
    weight_decay: float = Field(default=0.01, ge=0)
    schedule: Literal["one-cycle", "cosine", "constant", "linear"] = "one-cycle"
    warmup: float = Field(default=0.1, ge=0, lt=1)
    clip_norm: Annotated[Annotated[float, Field(gt=0)] | None, BeforeValidator(none_word)] = 1.0
    seed: Seed = 0
    early_stopping: PositiveOrNone = None
    class_weights: Literal["none", "balanced"] = "none"
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    augment: Literal["none", "light", "standard"] = "light"
    metric: str = "accuracy"
    workers: int = Field(default=0, ge=0)
    precision: Literal["no", "bf16", "fp16"] = "no"
    checkpoint_seconds: float = Field(default=60.0, ge=0)
    loss: Annotated[Literal["mse", "mae", "huber"] | None, BeforeValidator(none_word)] = None

    @model_validator(mode="after")
    def _only_a_linear_schedule_warms_up(self) -> Self:
        if self.warmup != 0.1 and self.schedule != "linear":
            raise ValueError(f"warmup is for schedule: linear, not for {self.schedule}: remove the key")
        return self


class Quantization(Section):
    """How int8-static is calibrated; auto takes the better of percentile and minmax."""

    method: Literal["auto", "percentile", "minmax"] = "auto"
    per_channel: bool = True


class Budget(Section):
    """What a variant may cost and must bring: see `edgewright.exporters.verdict`."""

    max_drop: float = Field(default=0.01, ge=0, le=1)
    smaller_by: float = Field(default=0.10, ge=0, lt=1)
    faster_by: float = Field(default=0.05, ge=0, lt=1)
    require: Literal["estimate", "interval"] = "estimate"
