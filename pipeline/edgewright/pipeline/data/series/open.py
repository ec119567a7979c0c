"""From a recipe of a series task to its samples: tables, files of arrays and folders of them, checked and divided."""

from collections.abc import Sequence
from pathlib import Path

from edgewright.pipeline.data.classes import check_listed, sort_classes
from edgewright.pipeline.data.files.scan import reported
from edgewright.pipeline.data.files.table_files import SERIES_SUFFIXES, TableFile, find_tables
from edgewright.pipeline.data.files.tables import read_table
from edgewright.pipeline.data.samples import Skipped, Splits
from edgewright.pipeline.data.series.from_arrays import array_recordings
from edgewright.pipeline.data.series.from_tables import table_recordings
from edgewright.pipeline.data.series.recordings import (
    Columns,
    Recording,
    Recordings,
    check_recordings,
    trained_step,
)
from edgewright.pipeline.data.series.split import SeriesSource, divide_recordings
from edgewright.pipeline.progress import Count
from edgewright.pipeline.recipe.recipe import Recipe
from edgewright.runtime.errors import DataError


def open_series(recipe: Recipe, progress: Count | None = None) -> Splits:
    """The samples of a series task, whose raw inputs are `Series`. Raises `DataError` or `RecipeError`."""
    source = Path(recipe.data.source)
    classifies = recipe.spec.classifies
    files = find_tables(source, recipe.data.format, SERIES_SUFFIXES, classifies, recipe.data.classes)
    given: dict[str, list[Recordings]] = {}
    for file in reported(files, progress):
        given.setdefault(file.split, []).append(_read(file, recipe))
    return split_recordings(given, recipe, str(source))


def _read(file: TableFile, recipe: Recipe) -> Recordings:
    if file.form == "npz":
        return array_recordings(file.path, recipe, file.name, file.label)
    return table_recordings(read_table(file.path, file.form), recipe, file.name, file.label)


def split_recordings(given: dict[str, list[Recordings]], recipe: Recipe, source: str) -> Splits:
    """Check recordings, by split ("train" at least), and divide them. `source` is what messages call them."""
    where = Path(source).name
    columns = _same_columns([one for found in given.values() for one in found], where)
    everything = [one for found in given.values() for recordings in found for one in recordings.series]
    step = trained_step(everything, recipe.data.step)
    # A whole series is laid on the grid by the device itself; windows and targets are cut in regular steps.
    regrid = not recipe.spec.classifies or recipe.data.window is not None
    checked: dict[str, list[Recording]] = {}
    skipped: list[Skipped] = []
    notes: list[str] = []
    for split, found in given.items():
        merged = Recordings(
            columns,
            tuple(one for recordings in found for one in recordings.series),
            tuple(one for recordings in found for one in recordings.skipped),
            tuple(dict.fromkeys(note for recordings in found for note in recordings.notes)),
        )
        _check_names(merged.series, where)
        merged, _ = check_recordings(merged, recipe.data, where, regrid, step)
        checked[split] = list(merged.series)
        skipped += merged.skipped
        notes += [note if len(given) == 1 else f"{split}: {note}" for note in merged.notes]
    classes = _classes(checked["train"], recipe, where)
    checked = {split: [one for one in series if _used(one, classes)] for split, series in checked.items()}
    files = len(everything) + sum(len(one.skipped) for found in given.values() for one in found)
    return divide_recordings(
        SeriesSource(checked, columns, classes, tuple(skipped), tuple(dict.fromkeys(notes)), source, files),
        recipe,
    )


def _same_columns(found: Sequence[Recordings], where: str) -> Columns:
    """The columns that all files share, in the order of the first. Raises `DataError` when one has others."""
    first = found[0].columns
    for other in found[1:]:
        if other.columns.features != first.features or other.columns.targets != first.targets:
            raise DataError(
                f"{where}: its files have different columns ({', '.join(first.features)} and "
                f"{', '.join(other.columns.features)}): give all the same, or name them in data.features"
            )
    return first


def _check_names(series: Sequence[Recording], where: str) -> None:
    seen: set[str] = set()
    for one in series:
        if one.name in seen:
            raise DataError(f"{where}: two series are called {one.name!r}: give each its own name")
        seen.add(one.name)


def _classes(train: Sequence[Recording], recipe: Recipe, where: str) -> tuple[str, ...]:
    if not recipe.spec.classifies:
        return ()
    names = sort_classes({label for one in train for label in one.labels or ()})
    if recipe.data.classes is None:
        if len(names) < 2:
            only = f"only one class ({names[0]})" if names else "no classes"
            raise DataError(f"{where} has {only}, a classifier needs two: add series of another class")
        return names
    check_listed(recipe.data.classes, names, where)
    return recipe.data.classes


def _used(one: Recording, classes: tuple[str, ...]) -> bool:
    return not classes or one.labels is None or any(label in classes for label in one.labels)
