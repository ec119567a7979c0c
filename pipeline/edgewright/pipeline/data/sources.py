"""From a recipe to its data: `open_data` looks at everything, `restore_splits` finds what a run has used."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgewright.pipeline.data.builtin import open_builtin
from edgewright.pipeline.data.folder import open_folder
from edgewright.pipeline.data.samples import SPLITS, Sample, Skipped, Splits
from edgewright.pipeline.data.scan import Progress
from edgewright.pipeline.data.split import divide
from edgewright.pipeline.recipe import BUILTIN_PREFIX, Recipe
from edgewright.runtime.errors import DataError
from edgewright.runtime.files import sha256_of_file
from edgewright.runtime.structure import StructureError, from_plain

__all__ = ["open_data", "restore_splits"]


def open_data(recipe: Recipe, progress: Progress | None = None) -> Splits:
    """Find, check and divide the data of `recipe`. Raises `DataError` or `RecipeError`."""
    data = recipe.data
    if data.source.startswith(BUILTIN_PREFIX):
        found = open_builtin(data.source.removeprefix(BUILTIN_PREFIX), data.classes)
    else:
        found = open_folder(Path(data.source), data.classes, progress)
    splits = divide(found, data, recipe.split_seed)
    if recipe.training.early_stopping is not None and not splits.validation:
        raise DataError(
            "training.early_stopping watches the validation split, and there is none: set data.validation"
        )
    return splits


_JUDGED = ("calibration", "evaluation")
"""The splits that are read again after training; what stands in them decides what ships."""


@dataclass(frozen=True)
class _Document:
    source: str
    classes: tuple[str, ...]
    splits: Mapping[str, tuple[tuple[str, int, str], ...]]
    skipped: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    files: int


def restore_splits(document: Any) -> Splits:
    """The splits that `Splits.to_plain` wrote, with their raw inputs.

    Raises `DataError` when one is gone, or one that a verdict depends on was altered.
    """
    try:
        plain = from_plain(_Document, document, "splits")
        if set(plain.splits) != set(SPLITS):
            raise StructureError(f"splits: expected {', '.join(SPLITS)}")
    except StructureError as error:
        raise DataError(f"the list of samples is broken ({error}): run fit again") from None
    raws = _raws(plain)
    train, validation, calibration, evaluation = (
        tuple(Sample(name, raws[name], target, content) for name, target, content in plain.splits[split])
        for split in SPLITS
    )
    skipped = tuple(Skipped(path, reason) for path, reason in plain.skipped)
    return Splits(
        plain.classes,
        train,
        validation,
        calibration,
        evaluation,
        skipped,
        plain.source,
        plain.notes,
        plain.files,
    )


def _raws(plain: _Document) -> Mapping[str, Any]:
    rows = [row for split in SPLITS for row in plain.splits[split]]
    if plain.source.startswith(BUILTIN_PREFIX):
        found = open_builtin(plain.source.removeprefix(BUILTIN_PREFIX), plain.classes)
        known = {sample.id: sample for sample in found.given["train"]}
        for name, _, content in rows:
            if name not in known or known[name].content != content:
                raise DataError(
                    f"{plain.source} no longer holds the sample {name} that this run used: run fit again"
                )
        return {name: known[name].raw for name, _, _ in rows}
    root = Path(plain.source)
    missing = [name for name, _, _ in rows if not (root / name).is_file()]
    if missing:
        raise DataError(
            f"{len(missing)} images that this run used are gone from {root}, first {missing[0]}: "
            "put the folder back, or run fit again"
        )
    for split in _JUDGED:
        for name, _, content in plain.splits[split]:
            if sha256_of_file(root / name) != content:
                raise DataError(
                    f"{name} in {root} is no longer the image that this run was divided with: "
                    "put it back, or run fit again with --restart"
                )
    return {name: root / name for name, _, _ in rows}
