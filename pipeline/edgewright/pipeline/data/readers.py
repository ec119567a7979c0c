"""Kinds of data: how the samples of each are found, in files of the user's or in a built-in set."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgewright.pipeline.catalog import load
from edgewright.pipeline.data.builtin import (
    BUILTIN_SETS,
    builtin_entities,
    builtin_images,
    builtin_questions,
    builtin_series,
    builtin_sounds,
    builtin_texts,
)
from edgewright.pipeline.data.files.folder import open_folder
from edgewright.pipeline.data.samples import Dataset, SampleKind, Splits
from edgewright.pipeline.data.series.builtin import SERIES_SETS, series_set
from edgewright.pipeline.data.series.open import open_series
from edgewright.pipeline.data.sound.builtin import SOUND_SETS
from edgewright.pipeline.data.sound.files import SOUNDS as A_SOUND
from edgewright.pipeline.data.sound.files import audio_kind
from edgewright.pipeline.data.text.builtin_entities import ENTITY_SETS
from edgewright.pipeline.data.text.builtin_questions import QUESTION_SETS
from edgewright.pipeline.data.text.builtin_texts import TEXT_SETS
from edgewright.pipeline.data.text.labelled import TEXTS, open_texts
from edgewright.pipeline.data.text.questions import QUESTIONS as A_QUESTION
from edgewright.pipeline.data.text.questions import open_questions
from edgewright.pipeline.data.text.tagged import SENTENCES, open_tagged_texts
from edgewright.pipeline.progress import Count
from edgewright.pipeline.recipe.recipe import Recipe


@dataclass(frozen=True)
class Reader:
    """One kind of data.

    `noun` is what messages call a raw input. `open` finds the samples of `data.source`; what it does not divide itself
    is divided afterwards. `builtin` gives those of a built-in set, by its name in a recipe, and `sets` are those there
    are. `files`: raw inputs are files, found again by their paths.
    """

    noun: SampleKind
    open: Callable[[Recipe, Count | None], Dataset | Splits]
    builtin: Callable[[str, Recipe], Dataset | Splits]
    sets: Mapping[str, Any]
    files: bool = False

    def set_of(self, name: str) -> str | None:
        """The built-in set that a name in a recipe means, None where there is none."""
        return series_set(name) if self.sets is SERIES_SETS else name if name in self.sets else None


def _open_images(recipe: Recipe, progress: Count | None) -> Dataset:
    return open_folder(Path(recipe.data.source), recipe.data.classes, progress)


def _open_sounds(recipe: Recipe, progress: Count | None) -> Dataset:
    return open_folder(Path(recipe.data.source), recipe.data.classes, progress, audio_kind(recipe.audio))


IMAGES = Reader(SampleKind(), _open_images, builtin_images, BUILTIN_SETS, files=True)
SOUNDS = Reader(A_SOUND, _open_sounds, builtin_sounds, SOUND_SETS, files=True)
SERIES = Reader(SampleKind("series", "series", "series"), open_series, builtin_series, SERIES_SETS)
LABELLED_TEXTS = Reader(TEXTS, open_texts, builtin_texts, TEXT_SETS)
TAGGED_TEXTS = Reader(SENTENCES, open_tagged_texts, builtin_entities, ENTITY_SETS)
QUESTIONS = Reader(A_QUESTION, open_questions, builtin_questions, QUESTION_SETS)


def reader_of(recipe: Recipe) -> Reader:
    """How the data of the recipe's task is found."""
    reader: Reader = load(recipe.spec.reader)
    return reader
