"""Which files a source of tables consists of: one file, a file for each split, or one for each series."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgewright.pipeline.data.files.folder import list_files, split_of
from edgewright.pipeline.data.samples import SampleKind
from edgewright.runtime.errors import DataError
from edgewright.runtime.hints import did_you_mean
from edgewright.runtime.inputs import is_junk
from edgewright.runtime.tables.reading import TABLE_SUFFIXES

SERIES_SUFFIXES: Mapping[str, str] = TABLE_SUFFIXES
"""Suffix of a file that holds series, to its format."""

_NAMED = 5

_log = logging.getLogger("edgewright")

_NOUN = SampleKind("table", "tables", "series")


@dataclass(frozen=True)
class TableFile:
    """One file: the split it belongs to, its format, the name of its only series, the class of all its rows."""

    split: str
    path: Path
    form: str
    name: str
    label: str | None = None


def find_tables(
    source: Path,
    form: str,
    suffixes: Mapping[str, str],
    class_folders: bool,
    wanted: Sequence[str] | None = None,
) -> tuple[TableFile, ...]:
    """The files of `source`, a file or a folder.

    Files called train, test and the like are splits; any others are all "train", each a series of its own. With
    `class_folders` a folder of one folder for each class is another way to say what each file holds.

    Raises `DataError` when there is nothing, or nothing of a known format.
    """
    if source.is_file():
        return (TableFile("train", source, _form(source, form, suffixes), source.stem),)
    if not source.exists():
        parent = source.parent
        beside = [entry.name for entry in parent.iterdir()] if parent.is_dir() else []
        raise DataError(
            f"there is no data {source}{did_you_mean(source.name, beside)}: write the path of a table"
        )
    here = sorted(path for path in source.iterdir() if not is_junk(path.name))
    tables = [path for path in here if path.suffix.lower() in suffixes and path.is_file()]
    if not tables and class_folders:
        return _in_classes(source, form, suffixes, wanted)
    if not tables:
        raise DataError(
            f"{source} holds no table: give a file that ends in {', '.join(suffixes)}, or a folder of them"
        )
    others = [path.name for path in here if path not in tables]
    if others:
        more = f" and {len(others) - _NAMED} more" if len(others) > _NAMED else ""
        _log.info("%s: %s%s: no tables of this folder, not read", source, ", ".join(others[:_NAMED]), more)
    splits = {path: split_of(path.stem) for path in tables}
    if not any(splits.values()):
        return tuple(TableFile("train", path, _form(path, form, suffixes), path.stem) for path in tables)
    found: dict[str, Path] = {}
    for path, split in splits.items():
        if split is None:
            raise DataError(
                f"{source} has {path.name} beside tables that are splits (train, val, test): keep only those, or none"
            )
        if split in found:
            raise DataError(
                f"{source} has both {found[split].name} and {path.name}: keep one file for {split}"
            )
        found[split] = path
    if "train" not in found:
        raise DataError(f"{source} has {', '.join(path.name for path in tables)} but no train table: add one")
    return tuple(
        TableFile(split, path, _form(path, form, suffixes), path.stem) for split, path in found.items()
    )


def _in_classes(
    source: Path, form: str, suffixes: Mapping[str, str], wanted: Sequence[str] | None
) -> tuple[TableFile, ...]:
    listing = list_files(source, wanted, _NOUN, suffixes)
    found = []
    for split, name, target in listing.files:
        path = source / name
        if path.suffix.lower() in suffixes:
            label = listing.classes[target]
            found.append(
                TableFile(split, path, _form(path, form, suffixes), str(Path(name).with_suffix("")), label)
            )
    if not found:
        raise DataError(f"{source} holds no table: give files that end in {', '.join(suffixes)}")
    return tuple(found)


def _form(path: Path, form: str, suffixes: Mapping[str, str]) -> str:
    known = suffixes.get(path.suffix.lower())
    if form != "auto":
        return form
    if known is None:
        raise DataError(
            f"{path.name}: {path.suffix or 'no suffix'} is not the suffix of a table ({', '.join(suffixes)}): "
            "rename it, or set data.format"
        )
    return known
