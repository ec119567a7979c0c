"""What travels with the weights of another run: layers that are kept must see inputs of the scale they learnt on."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgewright.pipeline.recipe.recipe import Recipe
from edgewright.runtime.errors import RecipeError
from edgewright.runtime.series.settings import Scales
from edgewright.runtime.series.values import TOLERANCE
from edgewright.runtime.sound.mel import AudioSettings

_SOUND = ("sample_rate", "window", "hop", "fft", "mels", "low_hz", "high_hz")


class Carried:
    """The settings and assets that a run left beside its weights; nothing where it left none."""

    def __init__(self, record: Mapping[str, Any] | None, source: str) -> None:
        found = record or {}
        self._settings: Mapping[str, Any] = found.get("settings") or {}
        self._assets: Mapping[str, Any] = found.get("assets") or {}
        self.source = source

    def scales(self, features: tuple[str, ...], targets: tuple[str, ...], fitted: Scales) -> Scales:
        """The run's scales of the same features, and of the same targets; else those that were `fitted`."""
        if tuple(self._settings.get("features", ())) != features:
            return fitted
        mean, std = _numbers(self._settings["mean"]), _numbers(self._settings["std"])
        if self._settings.get("forecast") is not None or targets == features[: len(targets)]:
            return mean, std, mean[: len(targets)], std[: len(targets)]
        if tuple(self._settings.get("targets", ())) != targets or not targets:
            return mean, std, fitted[2], fitted[3]
        return (
            mean, std, _numbers(self._settings["target_mean"]), _numbers(self._settings["target_std"])
        )  # fmt: skip

    def step_note(self, step: float | None) -> str | None:
        """A sentence for the user where the run's steps were of another length."""
        before = self._settings.get("step")
        if step is None or before is None or abs(step - before) <= TOLERANCE * before:
            return None
        return f"the steps are {step:g} long, those of {self.source} were {before:g}: what it learnt may not hold"

    def bands(self, settings: AudioSettings) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
        """mean and std of the run's bands. Raises `RecipeError` where its frames were made otherwise."""
        if "mels" not in self._settings:
            return None
        for key in _SOUND:
            if self._settings.get(key) != getattr(settings, key):
                raise RecipeError(
                    f"audio: {self.source} was trained with {key} {self._settings.get(key)}, the recipe says "
                    f"{getattr(settings, key)}: use the same section audio"
                )
        return _numbers(self._settings["mean"]), _numbers(self._settings["std"])

    @property
    def note(self) -> str:
        """A sentence for the user where scales or bands were taken over."""
        return f"inputs are scaled as {self.source} learnt them"

    @property
    def tokenizer(self) -> bytes | None:
        """The run's tokenizer.json."""
        text = self._assets.get("tokenizer")
        return text.encode() if isinstance(text, str) else None


def carried_with(recipe: Recipe) -> Carried:
    """What travels with the recipe's weights; empty for random ones, and for those of another family of models."""
    if recipe.weights in ("none", "imagenet"):
        return Carried(None, "")
    from edgewright.pipeline.models.recurrent.build import LIBRARY
    from edgewright.pipeline.models.weights import read_weights_record

    path = Path(recipe.weights)
    record = read_weights_record(path)
    if record is not None and record.get("library", LIBRARY) != LIBRARY:
        record = None
    return Carried(record, f"{path.parent.name}/{path.name}")


def _numbers(values: Any) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
