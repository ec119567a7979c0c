"""What each task of sequences makes of a recurrent model: names of inputs and outputs, and widths."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from edgewright.pipeline.models.recurrent.network import Dimensions
from edgewright.runtime.bundle.structure import from_plain
from edgewright.runtime.errors import ModelError


@dataclass(frozen=True)
class RecurrentTask:
    """One task: `values` and `output` are names in the graph, `settings` is "module:class" of the runtime."""

    values: str
    output: str
    classifies: bool
    settings: str


_SERIES = "edgewright.runtime.series.settings:SeriesSettings"

RECURRENT_TASKS: Mapping[str, RecurrentTask] = MappingProxyType(
    {
        "sequence-classification": RecurrentTask("values", "logits", True, _SERIES),
        "sequence-regression": RecurrentTask("values", "prediction", False, _SERIES),
        "forecasting": RecurrentTask("values", "prediction", False, _SERIES),
        "text-classification": RecurrentTask(
            "tokens", "logits", True, "edgewright.runtime.text.decoding:TextSettings"
        ),
        "audio-classification": RecurrentTask(
            "values", "logits", True, "edgewright.runtime.sound.mel:AudioSettings"
        ),
    }
)
"""The tasks that recurrent models do, by name."""


def load_settings(task: str, plain: Mapping[str, Any]) -> Any:
    """The settings of `task` from plain values. Raises `ModelError`."""
    module, _, name = RECURRENT_TASKS[task].settings.partition(":")
    kind = getattr(importlib.import_module(module), name)
    try:
        return from_plain(kind, dict(plain))
    except ValueError as error:  # also what the settings themselves refuse
        raise ModelError(
            f"the model's record: settings: {error}: take it from the run that made it"
        ) from None


def dimensions_of(task: str, settings: Any, classes: int, assets: Mapping[str, bytes]) -> Dimensions:
    """The widths of a model for `task` with these settings. Raises `ModelError` where an asset is missing."""
    if task == "text-classification":
        return Dimensions(_vocabulary(assets), classes, tokens=True)
    if task == "audio-classification":
        return Dimensions(settings.mels, classes)
    features, targets = len(settings.features), len(settings.targets)
    if task == "sequence-classification":
        return Dimensions(features, classes)
    if task == "sequence-regression":
        return Dimensions(features, targets, per_step=True)
    forecast = settings.forecast
    if forecast is None:
        raise ModelError(
            "forecasting needs settings of a forecast: fit them with the recipe's forecast section"
        )
    return Dimensions(features, targets, horizon=forecast.horizon, known=len(forecast.known))


def _vocabulary(assets: Mapping[str, bytes]) -> int:
    """How many rows an embedding needs for the tokenizer's ids."""
    from tokenizers import Tokenizer

    if "tokenizer" not in assets:
        raise ModelError("text-classification needs a tokenizer: fit one on the training texts first")
    try:
        ids = Tokenizer.from_str(assets["tokenizer"].decode("utf-8")).get_vocab().values()
    except Exception as error:  # the library raises plain Exception
        raise ModelError(
            f"the tokenizer cannot be read ({error}): take it from the run that made it"
        ) from None
    return int(max(ids)) + 1
