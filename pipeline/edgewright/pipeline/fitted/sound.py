"""What a recurrent net of sounds is told: how frames are cut, and the scale of each band."""

from dataclasses import replace

import numpy as np

from edgewright.pipeline.data.samples import Splits
from edgewright.pipeline.data.sound.files import audio_settings_of
from edgewright.pipeline.fitted.carried import carried_with
from edgewright.pipeline.fitted.fitted import Fitted
from edgewright.pipeline.fitted.moments import Moments, floats
from edgewright.pipeline.recipe.recipe import Recipe
from edgewright.runtime.sound.decoding import load_audio
from edgewright.runtime.sound.mel import log_mel


def fit_bands(recipe: Recipe, splits: Splits) -> Fitted:
    """Mean and standard deviation of each mel band, or those of the run that the recipe starts from.

    Raises `RecipeError` where that run cut its frames otherwise.
    """
    settings = audio_settings_of(recipe.audio)
    carried = carried_with(recipe)
    bands = carried.bands(settings)
    if bands is not None:
        return Fitted(replace(settings, mean=bands[0], std=bands[1]), {}, (carried.note,))
    moments = Moments(recipe.audio.mels)
    for sample in splits.train:
        moments.add(log_mel(load_audio(sample.raw, settings), settings).astype(np.float64))
    mean, std = moments.result()
    return Fitted(replace(settings, mean=floats(mean), std=floats(std)))
