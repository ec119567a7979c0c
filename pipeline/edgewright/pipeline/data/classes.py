"""Classes by their names: in which order they stand, and whether the data has those that the recipe lists."""

import re
from collections.abc import Collection, Sequence

from edgewright.runtime.errors import RecipeError
from edgewright.runtime.hints import did_you_mean

_SHOWN = 20


def sort_classes(names: Collection[str]) -> tuple[str, ...]:
    """Class names in order: as numbers where all are whole numbers, else as texts; "01" stands before "1"."""
    if all(re.fullmatch(r"-?\d+", name) for name in names):
        return tuple(sorted(names, key=lambda name: (int(name), name)))
    return tuple(sorted(names))


def check_listed(listed: Sequence[str], classes: Sequence[str], where: object) -> None:
    """Raise `RecipeError` where one of `listed`, which are `data.classes`, is none of the classes of the data."""
    for name in listed:
        if name not in classes:
            raise RecipeError(
                f"data.classes: {where} has no class {name!r}{did_you_mean(name, classes)}: "
                f"it has {', '.join(classes[:_SHOWN])}{' ...' if len(classes) > _SHOWN else ''}"
            )
