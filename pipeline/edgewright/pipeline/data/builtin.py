"""Built-in sets: real data that comes with a dependency, for trying things out offline."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgewright.pipeline.data.samples import Found, Sample, content_of_array
from edgewright.pipeline.recipe_text import did_you_mean
from edgewright.runtime.errors import RecipeError

__all__ = ["BUILTIN_SETS", "BuiltinSet", "open_builtin"]


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
"""Name to the function that loads it; `data: builtin:NAME` in a recipe."""


def open_builtin(name: str, wanted: Sequence[str] | None = None) -> Found:
    """The set `name`; `wanted` are the classes to keep, in order. Raises `RecipeError` for unknown names."""
    if name not in BUILTIN_SETS:
        raise RecipeError(
            f"data: unknown built-in set {name!r}{did_you_mean(name, BUILTIN_SETS)}: "
            f"choose from {', '.join(BUILTIN_SETS)}"
        )
    loaded = BUILTIN_SETS[name]()
    classes = loaded.classes if wanted is None else tuple(wanted)
    for label in classes:
        if label not in loaded.classes:
            raise RecipeError(
                f"data.classes: builtin:{name} has no class {label!r}{did_you_mean(label, loaded.classes)}: "
                f"it has {', '.join(loaded.classes)}"
            )
    targets = {loaded.classes.index(label): target for target, label in enumerate(classes)}
    samples = tuple(
        Sample(f"{name}/{index:04d}", image, targets[target], content_of_array(image))
        for index, (image, target) in enumerate(zip(loaded.images, loaded.targets, strict=True))
        if target in targets
    )
    return Found(classes, {"train": samples}, (), f"builtin:{name}", len(samples))
