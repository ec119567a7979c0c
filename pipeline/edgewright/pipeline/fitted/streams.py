"""What a stream remembers, from the training part; and the evaluation part as the streams that it was cut from."""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from edgewright.exporters.reference import Turn
from edgewright.pipeline.data.samples import Sample, Splits
from edgewright.pipeline.models.model import BuiltModel
from edgewright.pipeline.recipe.recipe import Recipe
from edgewright.runtime.bundle.manifest import StreamMemory
from edgewright.runtime.contracts import STEP
from edgewright.runtime.series.settings import Series
from edgewright.runtime.sound.decoding import load_audio
from edgewright.runtime.sound.mel import AudioSettings, frame_count, frame_levels
from edgewright.runtime.sound.pauses import is_silence, lead, longest_pause

_HEARD = 1000
"""Sounds of the training part that are listened to for their length and their pauses."""

_LEAST_PAUSE = 0.2
"""Seconds: between the syllables of a word it is quiet for up to a tenth."""

_LONGER = 1.25
"""A pause between sounds is so many times the longest one within a sound of the training."""


def stream_memory(recipe: Recipe, splits: Splits, built: BuiltModel) -> StreamMemory | None:
    """What a stream of this model remembers; None where it does not stream. Raises `InputError` for a sound that is no
    longer what it was.
    """
    if STEP not in built.others:
        return None
    samples = splits.train or splits.evaluation
    if isinstance(built.settings, AudioSettings):
        return _of_sounds(recipe.stream_memory, samples, built.settings)
    if recipe.spec.forecasts:
        return StreamMemory(recipe.stream_memory, recipe.forecast.context)
    if recipe.data.window is not None:
        return StreamMemory(recipe.stream_memory, recipe.data.window)
    return StreamMemory(recipe.stream_memory, max(len(sample.raw.values) for sample in samples))


def _of_sounds(memory: str, samples: Sequence[Sample], settings: AudioSettings) -> StreamMemory:
    longest = pause = 1
    silence, leads = False, []
    places = np.linspace(0, len(samples) - 1, min(_HEARD, len(samples))).round().astype(int)
    for place in sorted(set(places.tolist())):
        sound = load_audio(samples[place].raw, settings)
        longest = max(longest, frame_count(len(sound), settings))
        levels = frame_levels(sound, settings)
        pause, silence = max(pause, longest_pause(levels)), silence or is_silence(levels)
        leads.append(lead(sound, settings.hop))
    if silence:  # it is something to be heard: every step has an answer
        return StreamMemory(memory, longest)
    least = math.ceil(_LEAST_PAUSE * settings.sample_rate / settings.hop)
    # The first frames that are loud at their end begin in the pause, as those of the training that begin softly do.
    onset = max(0, settings.fft // settings.hop - round(float(np.median(leads))))
    return StreamMemory(memory, longest, max(least, math.ceil(_LONGER * pause)), onset)


def streams_of(samples: Sequence[Sample], seed: int) -> tuple[tuple[Turn, ...], ...]:
    """The recordings that samples were cut from, as turns of one stream each; samples that are recordings themselves,
    such as sounds, one after another in one stream.
    """
    recordings: dict[int, list[int]] = {}
    alone: list[int] = []
    for row, sample in enumerate(samples):
        if sample.place is None:
            alone.append(row)
        else:
            recordings.setdefault(id(sample.place.recording), []).append(row)
    found = [tuple(_turns(samples, rows)) for rows in recordings.values()]
    if alone:  # in an order in which each class follows each
        mixed = np.random.default_rng(seed).permutation(alone).tolist()
        found.append(tuple(Turn(samples[row].raw, row, 1) for row in mixed))
    return tuple(found)


def _turns(samples: Sequence[Sample], rows: Sequence[int]) -> Iterator[Turn]:
    """What is pushed of one recording, up to where each sample ends."""
    done = 0
    for row, place in sorted(
        ((row, place) for row in rows if (place := samples[row].place) is not None),
        key=lambda one: one[1].stop,
    ):
        whole: Series = place.recording
        steps = slice(done, place.stop)
        times = None if whole.times is None else whole.times[steps]
        known = samples[row].raw.known
        piece = Series(whole.values[steps], whole.columns, times, whole.name, known)
        yield Turn(piece, row, place.stop - place.start)
        done = place.stop
