"""Built-in sets: data that comes with a dependency or is made on the spot, for trying things out offline."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgewright.pipeline.data.content import content_of_text
from edgewright.pipeline.data.digits import handwritten_digits
from edgewright.pipeline.data.samples import Dataset, Sample, SampleKind, Splits, content_of_array
from edgewright.pipeline.data.series.builtin import SERIES_SETS, series_set
from edgewright.pipeline.data.series.open import split_recordings
from edgewright.pipeline.data.sound.builtin import SOUND_SETS
from edgewright.pipeline.data.sound.files import SOUNDS
from edgewright.pipeline.data.text.builtin_entities import ENTITY_SETS
from edgewright.pipeline.data.text.builtin_questions import QUESTION_SETS
from edgewright.pipeline.data.text.builtin_texts import TEXT_SETS
from edgewright.pipeline.data.text.head_labels import foreign_label, kept_labels
from edgewright.pipeline.data.text.labelled import TEXTS
from edgewright.pipeline.data.text.questions import AskedQuestion, found_questions
from edgewright.pipeline.data.text.tagged import TaggedSentence, found_sentences
from edgewright.pipeline.recipe.recipe import Recipe
from edgewright.runtime.errors import DataError, RecipeError
from edgewright.runtime.hints import did_you_mean


@dataclass(frozen=True)
class BuiltinSet:
    """Arrays of uint8 that `load_image` takes, and the class of each."""

    images: Sequence[NDArray[np.uint8]]
    targets: Sequence[int]
    classes: tuple[str, ...]


def _digits() -> BuiltinSet:
    """1797 handwritten digits of 8x8 grey pixels, from scikit-learn (UCI, CC BY 4.0)."""
    pictures, targets = handwritten_digits()
    images = np.rint(pictures * (255 / 16)).astype(np.uint8)
    return BuiltinSet(list(images), targets.tolist(), tuple("0123456789"))


BUILTIN_SETS: Mapping[str, Callable[[], BuiltinSet]] = {"digits": _digits}
"""Name to the function that loads it; `data: builtin:NAME` in a recipe of images."""


def builtin_images(name: str, recipe: Recipe) -> Dataset:
    """A set of images, undivided; `data.classes` are the classes to keep, in order."""
    loaded = BUILTIN_SETS[name]()
    rows = [
        (f"{name}/{index:04d}", image, target)
        for index, (image, target) in enumerate(zip(loaded.images, loaded.targets, strict=True))
    ]
    return _labelled(name, recipe, loaded.classes, rows, SampleKind())


def builtin_sounds(name: str, recipe: Recipe) -> Dataset:
    """A set of sounds, at the recipe's sample rate."""
    rate = recipe.audio.sample_rate
    classes, rows = SOUND_SETS[name](rate)
    return _labelled(
        name, recipe, classes, [(sample, (raw, rate), place) for sample, raw, place in rows], SOUNDS
    )


def builtin_texts(name: str, recipe: Recipe) -> Dataset:
    """A set of texts with one label each."""
    return _labelled(name, recipe, *TEXT_SETS[name](), TEXTS)


def _labelled(
    name: str,
    recipe: Recipe,
    classes: tuple[str, ...],
    rows: Sequence[tuple[str, Any, int]],
    noun: SampleKind,
) -> Dataset:
    """Rows (id, raw input, index of the class) of the classes that the recipe keeps.

    Raises `RecipeError` for a class that there is not, `DataError` for labels that the head of a checkpoint does not
    have.
    """
    head = kept_labels(recipe)
    kept = head or recipe.data.classes or classes
    for label in classes if head else ():
        if label not in kept:
            raise DataError(foreign_label(f"builtin:{name}", label, kept))
    for label in () if head else kept:
        if label not in classes:
            raise RecipeError(
                f"data.classes: builtin:{name} has no class {label!r}{did_you_mean(label, classes)}: "
                f"it has {', '.join(classes)}"
            )
    places = {label: target for target, label in enumerate(kept)}
    samples = tuple(
        Sample(
            sample,
            raw,
            places[classes[target]],
            content_of_text(raw) if isinstance(raw, str) else content_of_array(_array(raw)),
        )
        for sample, raw, target in rows
        if classes[target] in places
    )
    source = f"builtin:{name}"
    return Dataset(kept, {"train": samples}, (), source, len(samples), noun, fixed=head is not None)


def _array(raw: Any) -> NDArray[Any]:
    """A picture, or the samples of a sound, which has its rate beside it."""
    array: NDArray[Any] = raw[0] if isinstance(raw, tuple) else raw
    return array


def builtin_entities(name: str, recipe: Recipe) -> Dataset:
    """A set of sentences with labelled words."""
    rows = ENTITY_SETS[name]()
    sentences = [
        TaggedSentence(
            "train", f"{name}/{number:04d}", words, tags, f"builtin:{name}", (f"sentence {number + 1}",)
        )
        for number, (words, tags) in enumerate(rows)
    ]
    return found_sentences(sentences, recipe, f"builtin:{name}", kept=kept_labels(recipe))


def builtin_questions(name: str, recipe: Recipe) -> Dataset:
    """The questions; those without an answer only where the recipe wants them."""
    asked = [
        AskedQuestion(
            "train",
            f"{name}/{number:04d}",
            question,
            context,
            ((answer, None),) if answer else (),
            f"builtin:{name}, question {number + 1}",
        )
        for number, (question, context, answer) in enumerate(QUESTION_SETS[name]())
        if answer or recipe.question.no_answer
    ]
    return found_questions(asked, recipe, f"builtin:{name}")


def builtin_series(name: str, recipe: Recipe) -> Splits:
    """A set of series, divided; `name` may say how long they are."""
    known = series_set(name)
    assert known is not None, "a name that was checked is known"
    return split_recordings({"train": [SERIES_SETS[known].load(recipe, name)]}, recipe, f"builtin:{name}")
