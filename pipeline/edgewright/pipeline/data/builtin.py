"""Built-in sets: data that comes with a dependency or is made on the spot, for trying things out offline."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgewright.pipeline.data.audio_files import SOUNDS
from edgewright.pipeline.data.builtin_series import SERIES_SETS, find_series_set
from edgewright.pipeline.data.builtin_sounds import SOUND_SETS
from edgewright.pipeline.data.builtin_texts import TEXT_SETS
from edgewright.pipeline.data.samples import Found, Noun, Sample, Splits, content_of_array
from edgewright.pipeline.data.series import split_recordings
from edgewright.pipeline.data.texts import TEXTS, content_of_text
from edgewright.pipeline.recipe import Recipe
from edgewright.pipeline.recipe_text import did_you_mean
from edgewright.runtime.errors import RecipeError

__all__ = ["BUILTIN_SETS", "BuiltinSet", "builtin_names", "open_builtin", "open_builtin_series"]


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


def builtin_names(task: str) -> tuple[str, ...]:
    """The names of the sets that there are for a task."""
    others: Mapping[str, Mapping[str, object]] = {
        "image-classification": BUILTIN_SETS,
        "text-classification": TEXT_SETS,
        "audio-classification": SOUND_SETS,
    }
    if task in others:
        return tuple(others[task])
    return tuple(name for name, one in SERIES_SETS.items() if task in one.tasks)


def open_builtin(name: str, recipe: Recipe) -> Found:
    """The set `name` of images, texts or sounds, undivided; `data.classes` are the classes to keep, in order.

    Raises `RecipeError` for a name that is unknown, or is of another task.
    """
    _check(name, recipe.task)
    classes, rows, noun = _rows(name, recipe)
    kept = classes if recipe.data.classes is None else recipe.data.classes
    for label in kept:
        if label not in classes:
            raise RecipeError(
                f"data.classes: builtin:{name} has no class {label!r}{did_you_mean(label, classes)}: "
                f"it has {', '.join(classes)}"
            )
    targets = {classes.index(label): target for target, label in enumerate(kept)}
    samples = tuple(
        Sample(
            sample,
            raw,
            targets[target],
            content_of_text(raw) if isinstance(raw, str) else content_of_array(raw),
        )
        for sample, raw, target in rows
        if target in targets
    )
    return Found(kept, {"train": samples}, (), f"builtin:{name}", len(samples), noun)


def open_builtin_series(name: str, recipe: Recipe) -> Splits:
    """The set `name` of series, divided. Raises `RecipeError` as `open_builtin` does."""
    _check(name, recipe.task)
    found = find_series_set(name)
    assert found is not None, "a name that was checked is known"
    return split_recordings({"train": [found.load(recipe, name)]}, recipe, f"builtin:{name}")


def _rows(name: str, recipe: Recipe) -> tuple[tuple[str, ...], Sequence[tuple[str, Any, int]], Noun]:
    """The classes, the rows (id, raw input, index of the class), and what the rows are called."""
    if recipe.task == "text-classification":
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
    tasks = [
        other
        for other in ("image-classification", "text-classification", "audio-classification")
        if name in builtin_names(other)
    ] + list(series.tasks if series is not None else ())
    choose = f"choose from {', '.join(names)}"
    if tasks:
        raise RecipeError(f"data: builtin:{name} is for {' or '.join(tasks)}, not for {task}: {choose}")
    raise RecipeError(f"data: unknown built-in set {name!r}{did_you_mean(name, names)}: {choose}")
