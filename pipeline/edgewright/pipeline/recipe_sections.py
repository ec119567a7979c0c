"""The sections of a recipe, one frozen model each: every key with its type, its bounds and its default."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from edgewright.pipeline.recipe_text import did_you_mean

__all__ = [
    "AUTO_VARIANTS",
    "VARIANTS",
    "Budget",
    "Data",
    "Input",
    "Quantization",
    "Section",
    "Training",
    "Transfer",
    "check_variants",
]

AUTO_VARIANTS = ("fp32", "fp16", "int8-dynamic", "int8-static")
"""What `variants: auto` means."""

VARIANTS = (*AUTO_VARIANTS, "int4")
"""What a recipe may list: the names of `edgewright.exporters.precision`."""


def _none_word(value: Any) -> Any:
    return None if value == "none" else value


def _rate(value: Any) -> Any:
    if value == "auto":
        return value
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < float("inf"):
        raise ValueError(f"expected auto or a number greater than 0, found {value!r}")
    return float(value)


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


def _classes(value: Any) -> Any:
    if value is None or value == "none":
        return None
    if not isinstance(value, (list, tuple)):
        raise ValueError(f"expected a list of class names, found {value!r}")
    names = tuple(
        str(name) if isinstance(name, int) and not isinstance(name, bool) else name for name in value
    )
    for name in names:
        if not isinstance(name, str) or not name:
            raise ValueError(f"{name!r} is not the name of a class: put quotes around it")
    if len(set(names)) != len(names):
        raise ValueError("a class is listed twice: remove one")
    if len(names) < 2:
        raise ValueError("a classifier needs at least two classes: list more, or remove the key to use all")
    return names


_PositiveOrNone = Annotated[Annotated[int, Field(ge=1)] | None, BeforeValidator(_none_word)]
_Share = Annotated[float, Field(ge=0, lt=1)]
_Seed = Annotated[int, Field(ge=0, lt=2**32)]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Data(Section):
    """Where samples come from and how they are divided. A bare string in the recipe is `source`.

    `source` is a folder (absolute once loaded) or "builtin:NAME". Shares are of all samples; a folder's own
    validation or test split takes the place of the share. `train_per_class` keeps only so many training
    samples of each class. More unreadable files than the share `max_bad` and the data is refused.
    """

    source: str = Field(min_length=1)
    classes: Annotated[tuple[str, ...] | None, BeforeValidator(_classes)] = None
    train_per_class: _PositiveOrNone = None
    validation: _Share = 0.1
    calibration: _Share = 0.1
    calibration_limit: int = Field(default=128, ge=1)
    evaluation: float = Field(default=0.2, gt=0, lt=1)
    max_bad: float = Field(default=0.05, ge=0, le=1)
    seed: Annotated[_Seed | None, BeforeValidator(_none_word)] = None

    @model_validator(mode="after")
    def _leaves_something_to_train_on(self) -> Self:
        shares = self.validation + self.calibration + self.evaluation
        if shares >= 1:
            raise ValueError(
                f"validation + calibration + evaluation is {shares:g}: "
                "keep the sum below 1 to leave samples to train on"
            )
        return self


class Input(Section):
    """What the model sees. `size` is the side of the square crop in pixels; None takes the model's own."""

    size: Annotated[Annotated[int, Field(ge=8, le=4096)] | None, BeforeValidator(_none_word)] = None


class Transfer(Section):
    """How much of the pretrained model is kept.

    `unfreeze` is "all", a number of last blocks (the head is the last), or names and globs. `head_epochs`
    trains the head alone first; then the earliest block learns at the learning rate divided by
    `rate_divisor`, the head at the full rate. Where `weights` is none the defaults are unfreeze all,
    head_epochs 0 and rate_divisor 1. `engine` runs the frozen backbone of a feature extraction.
    """

    mode: Literal["fine-tuning", "feature-extraction"] = "fine-tuning"
    unfreeze: Annotated[Literal["all"] | int | tuple[str, ...], BeforeValidator(_unfreeze)] = 2
    head_epochs: int = Field(default=1, ge=0)
    rate_divisor: float = Field(default=100.0, ge=1)
    gradual: bool = False
    head: Literal["new", "keep"] = "new"
    engine: Literal["auto", "torch", "onnx"] = "auto"

    @model_validator(mode="after")
    def _fits_the_mode(self) -> Self:
        if self.mode == "feature-extraction":
            if self.unfreeze != 1:
                raise ValueError(
                    "feature-extraction trains the head only: remove unfreeze, or use mode: fine-tuning"
                )
            if self.gradual:
                raise ValueError("gradual unfreezing needs mode: fine-tuning")
        elif self.engine != "auto":
            raise ValueError(
                "engine is for mode: feature-extraction, fine-tuning always runs in torch: remove the key"
            )
        return self


class Training(Section):
    """The loop. `lr: auto` finds the rate by a range test; `early_stopping` is the patience in epochs.

    `augment` defaults to light for a folder and to none for built-in data and for feature extraction.
    """

    epochs: int = Field(default=5, ge=1)
    batch_size: int = Field(default=32, ge=1)
    lr: Annotated[Literal["auto"] | float, BeforeValidator(_rate)] = "auto"
    optimizer: Literal["adamw", "sgd"] = "adamw"
    weight_decay: float = Field(default=0.01, ge=0)
    schedule: Literal["one-cycle", "cosine", "constant"] = "one-cycle"
    clip_norm: Annotated[Annotated[float, Field(gt=0)] | None, BeforeValidator(_none_word)] = 1.0
    seed: _Seed = 0
    early_stopping: _PositiveOrNone = None
    class_weights: Literal["none", "balanced"] = "none"
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    augment: Literal["none", "light", "standard"] = "light"
    metric: Literal["accuracy", "macro-f1", "auroc"] = "accuracy"
    workers: int = Field(default=0, ge=0)
    precision: Literal["no", "bf16", "fp16"] = "no"
    checkpoint_seconds: float = Field(default=60.0, ge=0)


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
