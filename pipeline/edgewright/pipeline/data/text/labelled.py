"""Texts and their classes: a table with a column of each, or a folder of .txt files for each class."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgewright.pipeline.data.classes import check_listed, sort_classes
from edgewright.pipeline.data.content import content_of_raw, content_of_text, content_with
from edgewright.pipeline.data.files.folder import list_files
from edgewright.pipeline.data.files.scan import error_reason, reported
from edgewright.pipeline.data.files.table_files import TableFile, find_tables
from edgewright.pipeline.data.files.tables import TABLE_SUFFIXES, Table, read_table
from edgewright.pipeline.data.samples import Dataset, Sample, SampleKind, Skipped
from edgewright.pipeline.data.text.head_labels import foreign_label, kept_labels
from edgewright.pipeline.data.text.tables import LISTS, column_texts, is_missing, sample_names
from edgewright.pipeline.progress import Count
from edgewright.pipeline.recipe.recipe import Recipe
from edgewright.runtime.errors import DataError, InputError
from edgewright.runtime.hints import did_you_mean
from edgewright.runtime.inputs import suffix_reason
from edgewright.runtime.text.decoding import TEXT_SUFFIXES, load_text
from edgewright.runtime.text.raw import TextPair

TEXTS = SampleKind("text", "texts", "text", "texts")

_MOST_BYTES = 4 << 30
"""Of the targets of texts with any number of labels."""

_MANY_CLASSES = 50
"""From so many on, a column of which most values occur once holds no classes."""


@dataclass(frozen=True)
class _Row:
    split: str
    id: str
    raw: str | TextPair
    labels: tuple[str, ...]
    place: str


def open_texts(recipe: Recipe, progress: Count | None = None) -> Dataset:
    """The texts of `recipe`, undivided; the raw input of each is the text itself, or a `TextPair`.

    Raises `DataError`, `RecipeError`, and `ModelError` for a checkpoint that cannot be opened to ask for its labels.
    """
    kept = kept_labels(recipe)
    source = Path(recipe.data.source)
    if source.is_dir() and not any(
        path.is_file() and path.suffix.lower() in TABLE_SUFFIXES for path in source.iterdir()
    ):
        return _from_folder(source, recipe, progress, kept)
    return _from_tables(source, recipe, kept)


def _from_folder(
    source: Path, recipe: Recipe, progress: Count | None, kept: tuple[str, ...] | None
) -> Dataset:
    for key, asked in (
        ("text.multi_label", recipe.text.multi_label),
        ("data.text", len(recipe.data.texts) == 2),
    ):
        if asked:
            raise DataError(
                f"{key}: a folder of .txt files holds one text and one class each: give a table instead"
            )
    listing = list_files(source, None if kept else recipe.data.classes, TEXTS, TEXT_SUFFIXES)
    index = {name: target for target, name in enumerate(kept or listing.classes)}
    for name in listing.classes:
        if name not in index:
            raise DataError(foreign_label(str(source / name), name, tuple(index)))
    given: dict[str, list[Sample]] = {split: [] for split in listing.splits}
    skipped = list(listing.loose)
    for split, name, target in reported(listing.files, progress):
        text, reason = _read(source / name)
        if reason is not None:
            skipped.append(Skipped(name.encode(errors="backslashreplace").decode(), reason))
        else:
            label = index[listing.classes[target]]
            given[split].append(Sample(name, text, label, content_of_text(text)))
    samples = {split: tuple(found) for split, found in given.items()}
    count = len(listing.files) + len(listing.loose)
    return Dataset(tuple(index), samples, tuple(skipped), str(source), count, TEXTS, fixed=kept is not None)


def _read(path: Path) -> tuple[str, str | None]:
    """The text of a file, and why it cannot be used."""
    reason = suffix_reason(path, TEXTS.one, TEXT_SUFFIXES)
    if reason is not None:
        return "", reason
    try:
        text = load_text(path)
    except InputError as error:
        return "", error_reason(path, error)
    return text, None if text.strip() else "is empty: remove it"


def _from_tables(source: Path, recipe: Recipe, kept: tuple[str, ...] | None) -> Dataset:
    files = find_tables(source, recipe.data.format, TABLE_SUFFIXES, class_folders=False)
    rows: list[_Row] = []
    skipped: list[Skipped] = []
    count = 0
    for file in files:
        count += _read_rows(file, recipe, len(files) > 1, rows, skipped)
    classes = kept or _classes(rows, recipe, source.name)
    if kept:
        for row in rows:
            for label in row.labels:
                if label not in kept:
                    raise DataError(foreign_label(row.place, label, kept))
    index = {name: target for target, name in enumerate(classes)}
    several = recipe.text.multi_label
    if several and len(rows) * len(classes) * 8 > _MOST_BYTES:
        raise DataError(
            f"{source.name} has {len(classes)} labels for {len(rows)} texts, more than the memory holds: "
            "list the commonest in data.classes"
        )
    given: dict[str, list[Sample]] = {file.split: [] for file in files}
    for row in rows:
        if several:
            given[row.split].append(_with_labels(row, index))
        elif row.labels[0] in index:
            target = index[row.labels[0]]
            given[row.split].append(Sample(row.id, row.raw, target, content_of_raw(row.raw)))
    samples = {split: tuple(found) for split, found in given.items()}
    notes = _label_notes(rows, recipe) if several else ()
    return Dataset(classes, samples, tuple(skipped), str(source), count, TEXTS, notes, fixed=kept is not None)


def _with_labels(row: _Row, index: dict[str, int]) -> Sample:
    held = sorted(label for label in row.labels if label in index)
    target = np.zeros(len(index))
    target[[index[label] for label in held]] = 1.0
    return Sample(row.id, row.raw, target, content_with(row.raw, held))


def _label_notes(rows: Sequence[_Row], recipe: Recipe) -> tuple[str, ...]:
    if recipe.data.separator is not None or any(len(row.labels) != 1 for row in rows):
        return ()
    return (
        "every text has exactly one label: where several stand in one cell, say what parts them, such as "
        "data.separator: ','",
    )


def _read_rows(
    file: TableFile, recipe: Recipe, several: bool, rows: list[_Row], skipped: list[Skipped]
) -> int:
    """Append the rows of a table, and those that cannot be used; returns how many it has."""
    data = recipe.data
    if file.form == "npz":
        raise DataError(f"{file.path.name}: texts come as csv, jsonl or parquet: convert it")
    table = read_table(file.path, file.form)
    columns = [column_texts(table, table.need(name, "data.text")) for name in data.texts]
    labels = _labels(table, recipe)
    for row, name in enumerate(sample_names(file, table.rows, several)):
        texts = [column[row] for column in columns]
        empty = next(
            (key for key, text in zip(data.texts, texts, strict=True) if not (text or "").strip()), None
        )
        found = labels[row]
        if empty is not None:
            what = "text" if len(texts) == 1 else empty
            skipped.append(Skipped(name, f"has no {what} ({table.place(row)})"))
        elif found is None:
            skipped.append(Skipped(name, f"has no label ({table.place(row)})"))
        else:
            first, *rest = (text or "" for text in texts)
            raw = TextPair(first, rest[0]) if rest else first
            rows.append(_Row(file.split, name, raw, found, f"{table.name}, {table.place(row)}"))
    return table.rows


def _labels(table: Table, recipe: Recipe) -> list[tuple[str, ...] | None]:
    """The labels of each row, None where they are not known."""
    column = table.need(recipe.data.label, "data.label")
    if recipe.text.multi_label:
        return [
            _several(cell, recipe.data.separator, f"{table.name}, {table.place(row)}")
            for row, cell in enumerate(table.cells[column])
        ]
    for row, cell in enumerate(table.cells[column]):
        if isinstance(cell, (*LISTS, dict)):
            raise DataError(
                f"{table.name}, {table.place(row)}: the column {column!r} holds several labels: give each text one"
                + (", or set text.multi_label: true" if _may_hold_several(recipe) else "")
            )
    names = [(label or "").strip() for label in table.texts(column)]
    return [(name,) if name else None for name in names]


def _may_hold_several(recipe: Recipe) -> bool:
    return any("multi_label" in own.text for own in recipe.spec.families.values())


def _several(cell: Any, separator: str | None, where: str) -> tuple[str, ...] | None:
    """The labels of a cell, each once; nothing at all is not known, an empty text or list is no label."""
    if is_missing(cell):
        return None
    if isinstance(cell, LISTS):
        parts = list(cell)
    elif isinstance(cell, str):
        parts = (
            [part for part in cell.split(separator) if part.strip()] if separator else [cell][: bool(cell)]
        )
    else:
        parts = [int(cell) if isinstance(cell, (float, np.floating)) and float(cell).is_integer() else cell]
    for part in parts:
        if isinstance(part, bool) or not isinstance(part, (str, int, np.integer)) or not str(part).strip():
            raise DataError(f"{where}: {part!r} is not a label: give a list of names")
    return tuple(dict.fromkeys(str(part).strip() for part in parts))


def _classes(rows: Sequence[_Row], recipe: Recipe, where: str) -> tuple[str, ...]:
    counts = Counter(label for row in rows if row.split == "train" for label in row.labels)
    names = sort_classes(set(counts))
    if recipe.data.classes is None:
        extra = sorted({label for row in rows for label in row.labels} - set(names))
        if extra:
            raise DataError(
                f"{where}: the class {extra[0]!r}{did_you_mean(extra[0], names)} is in no training text: "
                "give every split the same classes, or list them in data.classes"
            )
        if len(names) > _MANY_CLASSES and sum(count == 1 for count in counts.values()) > len(names) / 2:
            raise DataError(
                f"data.label: {where} has {len(names)} different values in {recipe.data.label!r} for {len(rows)} "
                "texts, most of them once: name the column that holds the class, or list those to learn in data.classes"
            )
        if not names and rows:
            raise DataError(f"data.label: no text of {where} has a label: name the column that holds them")
        return names
    check_listed(recipe.data.classes, names, where)
    return recipe.data.classes
