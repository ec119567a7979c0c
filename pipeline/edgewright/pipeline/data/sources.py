"""From a recipe to its data: `open_data` looks at everything, `restore_splits` finds what a run has used."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgewright.pipeline.catalog import BUILTIN_PREFIX, TASKS, load
from edgewright.pipeline.data.readers import reader_of
from edgewright.pipeline.data.samples import SPLITS, Sample, SampleKind, Skipped, Splits
from edgewright.pipeline.data.split import divide
from edgewright.pipeline.progress import Count
from edgewright.pipeline.recipe.recipe import Recipe
from edgewright.runtime.bundle.files import sha256_of_file
from edgewright.runtime.bundle.structure import StructureError, from_plain
from edgewright.runtime.errors import DataError, RecipeError
from edgewright.runtime.hints import did_you_mean


def open_data(recipe: Recipe, progress: Count | None = None) -> Splits:
    """Find, check and divide the data of `recipe`. Raises `DataError` or `RecipeError`."""
    splits = _open(recipe, progress)
    for label in splits.classes:
        if label.encode("utf-8", "replace").decode("utf-8") != label:  # no file of ours could hold it
            raise DataError(
                f"the label {label!r} of {splits.source} holds half a character (a lone surrogate): write it in UTF-8"
            )
    if recipe.training.early_stopping is not None and not splits.validation:
        raise DataError(
            "training.early_stopping watches the validation split, and there is none: set data.validation"
        )
    return splits


def builtin_names(task: str) -> tuple[str, ...]:
    """The names of the built-in sets that there are for a task."""
    return TASKS[task].builtin


def _open(recipe: Recipe, progress: Count | None) -> Splits:
    data, reader = recipe.data, reader_of(recipe)
    if data.source.startswith(BUILTIN_PREFIX):
        name = data.source.removeprefix(BUILTIN_PREFIX)
        _check_builtin(name, recipe)
        found = reader.builtin(name, recipe)
    else:
        found = reader.open(recipe, progress)
    if isinstance(found, Splits):
        return found
    return divide(found, data, recipe.split_seed)


def _check_builtin(name: str, recipe: Recipe) -> None:
    """Raise `RecipeError` for a built-in set that there is not, or that is for other tasks."""
    names = builtin_names(recipe.task)
    if reader_of(recipe).set_of(name) in names:
        return
    choose = f"choose from {', '.join(names)}"
    tasks = [task for task, spec in TASKS.items() if load(spec.reader).set_of(name) in spec.builtin]
    if tasks:
        raise RecipeError(
            f"data: builtin:{name} is for {' or '.join(tasks)}, not for {recipe.task}: {choose}"
        )
    raise RecipeError(f"data: unknown built-in set {name!r}{did_you_mean(name, names)}: {choose}")


_JUDGED = ("calibration", "evaluation")
"""The splits that are read again after training; what stands in them decides what ships."""


@dataclass(frozen=True)
class _Document:
    source: str
    classes: tuple[str, ...]
    splits: Mapping[str, tuple[tuple[str, int | None, str], ...]]
    skipped: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    files: int
    features: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()


def restore_splits(document: Any, recipe: Recipe) -> Splits:
    """The splits that `Splits.to_plain` wrote for `recipe`, with their raw inputs.

    Raises `DataError` when one is gone, or one that a verdict depends on was altered.
    """
    try:
        plain = from_plain(_Document, document, "splits")
        if set(plain.splits) != set(SPLITS):
            raise StructureError(f"splits: expected {', '.join(SPLITS)}")
    except StructureError as error:
        raise DataError(f"the list of samples is broken ({error}): run fit again") from None
    reader = reader_of(recipe)
    if reader.files and not plain.source.startswith(BUILTIN_PREFIX):
        return _from_files(plain, reader.noun)
    return _opened_again(plain, recipe)


def _from_files(plain: _Document, noun: SampleKind) -> Splits:
    """The splits of a folder, whose files are only looked for."""
    root = Path(plain.source)
    rows = [row for split in SPLITS for row in plain.splits[split]]
    missing = [name for name, _, _ in rows if not (root / name).is_file()]
    if missing:
        raise DataError(
            f"{len(missing)} {noun.many} that this run used are gone from {root}, first {missing[0]}: "
            "put the folder back, or run fit again"
        )
    for split in _JUDGED:
        for name, _, content in plain.splits[split]:
            if sha256_of_file(root / name) != content:
                raise DataError(
                    f"{name} in {root} is no longer the {noun.one} that this run was divided with: "
                    "put it back, or run fit again with --restart"
                )
    train, validation, calibration, evaluation = (
        tuple(
            Sample(name, root / name, target or 0, content) for name, target, content in plain.splits[split]
        )
        for split in SPLITS
    )
    return Splits(
        plain.classes,
        train,
        validation,
        calibration,
        evaluation,
        tuple(Skipped(path, reason) for path, reason in plain.skipped),
        plain.source,
        plain.notes,
        plain.files,
    )


def _opened_again(plain: _Document, recipe: Recipe) -> Splits:
    """The splits of a table or a built-in set, read again; each sample must still be there with its label."""
    data = recipe.data.model_copy(update={"source": plain.source})
    found = _open(recipe.model_copy(update={"data": data}), None)
    known = {(sample.id, sample.content): sample for split in SPLITS for sample in found.split(split)}
    samples: dict[str, tuple[Sample, ...]] = {}
    for split in SPLITS:
        for name, label, content in plain.splits[split]:
            sample = known.get((name, content))
            altered = sample is not None and found.classes == plain.classes and sample.label != label
            if sample is None or altered:
                with_label = "with the label " if altered else ""
                raise DataError(
                    f"{plain.source} no longer holds the sample {name} {with_label}that this run used: "
                    "put it back, or run fit again with --restart"
                )
        samples[split] = tuple(known[name, content] for name, _, content in plain.splits[split])
    if plain.classes != found.classes or (plain.features, plain.targets) != (found.features, found.targets):
        raise DataError(
            f"{plain.source} no longer has the classes or columns that this run used: run fit again with --restart"
        )
    return replace(
        found,
        train=samples["train"],
        validation=samples["validation"],
        calibration=samples["calibration"],
        evaluation=samples["evaluation"],
        skipped=tuple(Skipped(path, reason) for path, reason in plain.skipped),
        notes=plain.notes,
        files=plain.files,
    )
