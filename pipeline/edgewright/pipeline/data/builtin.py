"""Built-in sets: data that comes with a dependency or is made on the spot, for trying things out offline."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgewright.pipeline.catalog import TASK_RULES
from edgewright.pipeline.data.samples import Found, Noun, Sample, Splits, content_of_array
from edgewright.pipeline.data.series.builtin import SERIES_SETS, find_series_set
from edgewright.pipeline.data.series.open import split_recordings
from edgewright.pipeline.data.sound.builtin import SOUND_SETS
from edgewright.pipeline.data.sound.files import SOUNDS
from edgewright.pipeline.data.text.builtin_entities import ENTITY_SETS
from edgewright.pipeline.data.text.builtin_questions import QUESTION_SETS
from edgewright.pipeline.data.text.builtin_texts import TEXT_SETS
from edgewright.pipeline.data.text.content import content_of_text
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
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = np.rint(digits.images * (255 / 16)).astype(np.uint8)
    return BuiltinSet(list(images), [int(target) for target in digits.target], tuple("0123456789"))


BUILTIN_SETS: Mapping[str, Callable[[], BuiltinSet]] = {"digits": _digits}
"""Name to the function that loads it; `data: builtin:NAME` in a recipe of images."""


_SETS: Mapping[str, Mapping[str, object]] = {
    "image-classification": BUILTIN_SETS,
    "text-classification": TEXT_SETS,
    "token-classification": ENTITY_SETS,
    "question-answering": QUESTION_SETS,
    "sentence-embedding": TEXT_SETS,
    "zero-shot-classification": TEXT_SETS,
    "audio-classification": SOUND_SETS,
}
"""The sets of each task whose samples are not series."""


def builtin_names(task: str) -> tuple[str, ...]:
    """The names of the sets that there are for a task."""
    if task in _SETS:
        return tuple(_SETS[task])
    return tuple(name for name, one in SERIES_SETS.items() if task in one.tasks)


def open_builtin(name: str, recipe: Recipe) -> Found:
    """The set `name`, undivided; `data.classes` are the classes to keep, in order.

    Raises `RecipeError` for a name that is unknown, or is of another task, and `DataError` for labels that the head
    of a checkpoint does not have.
    """
    _check(name, recipe.task)
    if recipe.task == "token-classification":
        return _entities(name, recipe)
    if recipe.task == "question-answering":
        return _questions(name, recipe)
    classes, rows, noun = _rows(name, recipe)
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
            content_of_text(raw) if isinstance(raw, str) else content_of_array(raw),
        )
        for sample, raw, target in rows
        if classes[target] in places
    )
    source = f"builtin:{name}"
    return Found(kept, {"train": samples}, (), source, len(samples), noun, fixed=head is not None)


def _entities(name: str, recipe: Recipe) -> Found:
    rows = ENTITY_SETS[name]()
    sentences = [
        TaggedSentence(
            "train", f"{name}/{number:04d}", words, tags, f"builtin:{name}", (f"sentence {number + 1}",)
        )
        for number, (words, tags) in enumerate(rows)
    ]
    return found_sentences(sentences, recipe, f"builtin:{name}", kept=kept_labels(recipe))


def _questions(name: str, recipe: Recipe) -> Found:
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


def open_builtin_series(name: str, recipe: Recipe) -> Splits:
    """The set `name` of series, divided. Raises `RecipeError` as `open_builtin` does."""
    _check(name, recipe.task)
    found = find_series_set(name)
    assert found is not None, "a name that was checked is known"
    return split_recordings({"train": [found.load(recipe, name)]}, recipe, f"builtin:{name}")


def _rows(name: str, recipe: Recipe) -> tuple[tuple[str, ...], Sequence[tuple[str, Any, int]], Noun]:
    """The classes, the rows (id, raw input, index of the class), and what the rows are called."""
    if _SETS[recipe.task] is TEXT_SETS:
        return (*TEXT_SETS[name](), TEXTS)
    if recipe.task == "audio-classification":
        return (*SOUND_SETS[name](recipe.audio.sample_rate), SOUNDS)
    loaded = BUILTIN_SETS[name]()
    rows = [
        (f"{name}/{index:04d}", image, target)
        for index, (image, target) in enumerate(zip(loaded.images, loaded.targets, strict=True))
    ]
    return loaded.classes, rows, Noun()


def _check(name: str, task: str) -> None:
    names = builtin_names(task)
    series = find_series_set(name)
    if name in names or (series is not None and task in series.tasks):
        return
    tasks = [other for other, sets in _SETS.items() if other in TASK_RULES and name in sets]
    tasks += list(series.tasks if series is not None else ())
    choose = f"choose from {', '.join(names)}"
    if tasks:
        raise RecipeError(f"data: builtin:{name} is for {' or '.join(tasks)}, not for {task}: {choose}")
    raise RecipeError(f"data: unknown built-in set {name!r}{did_you_mean(name, names)}: {choose}")
