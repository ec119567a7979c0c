"""The sections of a recipe that only models of sequences have: the network, and what each task adds to it."""

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from edgewright.pipeline.recipe.values import Names, Section, none_word


class Network(Section):
    """The shape of a recurrent model: `layers` of `hidden` units, whose readout feeds the head.

    `dropout` lies between the layers and before the head; `residual` adds the input of a layer to its output.
    `activation` is that of an rnn. `readout` is the last step, or the mean or maximum over all steps. `embedding` is
    the width of a token.
    """

    layers: int = Field(default=1, ge=1, le=64)
    hidden: int = Field(default=128, ge=1, le=16384)
    bidirectional: bool = False
    dropout: float = Field(default=0.0, ge=0, lt=1)
    residual: bool = False
    layer_norm: bool = False
    init: Literal["default", "xavier", "he", "orthogonal"] = "default"
    activation: Literal["tanh", "relu"] = "tanh"
    readout: Literal["last", "mean", "max"] = "last"
    embedding: int = Field(default=128, ge=1, le=16384)


class Stream(Section):
    """What an answer of a stream is made of. With `memory` context it is the last steps, as many as a sample of the
    training has: `forecast.context`, `data.window`, the longest sound. With carried it is all steps since the stream
    began or was reset; samples are then learnt from with earlier steps, or another sound, before them. auto is context
    where samples are cut out of recordings or are sounds, and carried where they are whole series.
    """

    memory: Literal["auto", "context", "carried"] = "auto"


class Forecast(Section):
    """What is forecast: `horizon` steps ahead out of `context` steps, where the pattern repeats every `season` steps.

    `context` is filled in from the other two where it is not given. `known` are columns whose future is known when
    a forecast is made (holidays, prices). The model learns the difference to an anchor: the last season repeated,
    the last value, or nothing. `per_series` normalises each series by itself. With `reach_back` the context of a
    window may begin in the part of the split before it; what it has to forecast never does.
    """

    horizon: int = Field(default=1, ge=1)
    context: int = Field(default=16, ge=1)
    season: int = Field(default=1, ge=1)
    known: Names = None
    anchor: Literal["seasonal", "last", "none"] = "seasonal"
    per_series: bool = False
    reach_back: bool = False

    @model_validator(mode="after")
    def _the_context_holds_a_season(self) -> Self:
        if self.anchor == "seasonal" and self.context < self.season:
            raise ValueError(
                f"the context of {self.context} steps does not hold a season of {self.season}: "
                "raise context, or use anchor: last"
            )
        return self


class Audio(Section):
    """How sound becomes frames: `mels` bands of the spectrum of `window_ms` milliseconds, every `hop_ms`.

    A recording of another sample rate is resampled or refused; what is longer than `max_seconds` is refused.
    """

    sample_rate: int = Field(default=16000, ge=1000, le=384_000)
    window_ms: float = Field(default=25.0, gt=0, le=1000)
    hop_ms: float = Field(default=10.0, gt=0, le=1000)
    mels: int = Field(default=40, ge=4, le=256)
    max_seconds: Annotated[Annotated[float, Field(gt=0)] | None, BeforeValidator(none_word)] = None
    other_rate: Literal["resample", "refuse"] = "resample"

    @model_validator(mode="after")
    def _windows_touch(self) -> Self:
        if self.hop_ms > self.window_ms:
            raise ValueError(
                f"hop_ms {self.hop_ms:g} is longer than window_ms {self.window_ms:g}: sound between the windows "
                "would not be heard: lower hop_ms"
            )
        if self.window_ms * self.sample_rate < 16000:  # 16 samples
            raise ValueError(f"window_ms {self.window_ms:g} is too short for {self.sample_rate} Hz: raise it")
        return self
