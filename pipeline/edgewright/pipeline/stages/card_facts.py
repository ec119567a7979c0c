"""What a model card says of how its model came to be: the data, the transfer, what it is given."""

from pathlib import Path
from typing import Any

from edgewright.pipeline.data.samples import Splits
from edgewright.pipeline.models.model import BuiltModel
from edgewright.pipeline.recipe.recipe import Recipe
from edgewright.runtime.images.encoding import ImageSettings
from edgewright.runtime.sound.mel import AudioSettings
from edgewright.runtime.text.decoding import TextSettings
from edgewright.runtime.text.settings import EncoderTextSettings


def card_facts(recipe: Recipe, splits: Splits, built: BuiltModel) -> dict[str, str]:
    """Facts by name, in the order to print them."""
    counts = {name: sum(count) for name, count in splits.counts().items()}
    return {
        "Data": f"{Path(splits.source).name}, {counts['train']} training, {counts['validation']} validation, "
        f"{counts['calibration']} calibration and {counts['evaluation']} evaluation samples",
        "Transfer": _transfer(recipe),
        "Input": _input(built.settings),
    }


def _transfer(recipe: Recipe) -> str:
    if recipe.weights == "none":
        return "trained from random weights"
    return "none: the checkpoint as it is" if recipe.transfer.mode == "none" else recipe.transfer.mode


def _input(settings: Any) -> str:
    """What the model is given."""
    if isinstance(settings, ImageSettings):
        return f"{settings.crop[0]} x {settings.crop[1]} pixels"
    if isinstance(settings, AudioSettings):
        return f"{settings.mels} log-mel bands of sound at {settings.sample_rate} Hz"
    if isinstance(settings, (TextSettings, EncoderTextSettings)):
        return f"text of up to {settings.max_tokens} tokens"
    if settings.forecast is not None:
        plan = settings.forecast
        return f"the last {plan.context} steps of {', '.join(settings.features)}; it answers the next {plan.horizon}"
    return f"steps of {', '.join(settings.features)}"
