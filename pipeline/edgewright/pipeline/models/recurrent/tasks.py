"""How wide a recurrent model is for each task of sequences, from the task's settings."""

from collections.abc import Mapping
from typing import Any, cast

from edgewright.pipeline.catalog import RECURRENT, TASKS, RecurrentTask, load
from edgewright.pipeline.models.recurrent.network import Dimensions
from edgewright.runtime.bundle.structure import from_plain
from edgewright.runtime.errors import ModelError


def recurrent_tasks() -> dict[str, RecurrentTask]:
    """The tasks that recurrent models do, by name."""
    return {
        name: cast(RecurrentTask, spec.families[RECURRENT])
        for name, spec in TASKS.items()
        if RECURRENT in spec.families
    }


def load_settings(task: str, plain: Mapping[str, Any]) -> Any:
    """The settings of `task` from plain values. Raises `ModelError`."""
    try:
        return from_plain(load(recurrent_tasks()[task].settings), dict(plain))
    except ValueError as error:  # also what the settings themselves refuse
        raise ModelError(
            f"the model's record: settings: {error}: take it from the run that made it"
        ) from None


def dimensions_of(task: str, settings: Any, classes: int, assets: Mapping[str, bytes]) -> Dimensions:
    """The widths of a model for `task` with these settings. Raises `ModelError` where an asset is missing."""
    dimensions: Dimensions = load(recurrent_tasks()[task].dimensions)(settings, classes, assets)
    return dimensions


def of_sequences(settings: Any, classes: int, assets: Mapping[str, bytes]) -> Dimensions:
    """One class for each series."""
    return Dimensions(len(settings.features), classes)


def of_every_step(settings: Any, classes: int, assets: Mapping[str, bytes]) -> Dimensions:
    """Numbers for every step of a series."""
    return Dimensions(len(settings.features), len(settings.targets), per_step=True)


def of_forecasts(settings: Any, classes: int, assets: Mapping[str, bytes]) -> Dimensions:
    """The next steps of a series."""
    forecast = settings.forecast
    if forecast is None:
        raise ModelError(
            "forecasting needs settings of a forecast: fit them with the recipe's forecast section"
        )
    features, targets = len(settings.features), len(settings.targets)
    return Dimensions(features, targets, horizon=forecast.horizon, known=len(forecast.known))


def of_bands(settings: Any, classes: int, assets: Mapping[str, bytes]) -> Dimensions:
    """One class for each sound."""
    return Dimensions(settings.mels, classes)


def of_tokens(settings: Any, classes: int, assets: Mapping[str, bytes]) -> Dimensions:
    """One class for each text."""
    return Dimensions(_vocabulary(assets), classes, tokens=True)


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
