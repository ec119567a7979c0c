"""A folder of files: one folder for each class, or train/val/test folders of such folders."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgewright.pipeline.data.classes import check_listed
from edgewright.pipeline.data.files.scan import IMAGES, FileKind, check_files
from edgewright.pipeline.data.samples import Dataset, Sample, SampleKind, Skipped
from edgewright.pipeline.progress import Count
from edgewright.runtime.errors import DataError
from edgewright.runtime.hints import did_you_mean
from edgewright.runtime.inputs import is_junk, visible_files

SPLIT_FOLDERS: Mapping[str, tuple[str, ...]] = {
    "train": ("train", "training"),
    "validation": ("val", "valid", "validation", "dev"),
    "calibration": ("calibration", "calib"),
    "evaluation": ("test", "testing", "eval", "evaluation"),
}
"""How the folder of each split may be called, in any case."""


@dataclass(frozen=True)
class Listing:
    """The files of a folder: the classes, and (split, path below the folder, index of the class) of each file.

    `loose` are files that lie beside the folders of the classes.
    """

    classes: tuple[str, ...]
    splits: tuple[str, ...]
    files: tuple[tuple[str, str, int], ...]
    loose: tuple[Skipped, ...]


def list_files(
    root: Path, wanted: Sequence[str] | None, noun: SampleKind, suffixes: Collection[str]
) -> Listing:
    """Every file below `root`, whatever its suffix; `wanted` are the classes to keep, in their order.

    Raises `DataError` when the folder is missing or not laid out as above, `RecipeError` for a class that it
    does not have.
    """
    try:
        _check_root(root, noun)
        layout = _layout(root, noun, suffixes)
        classes_of = {split: [entry.name for entry in _folders(folder)] for split, folder in layout.items()}
        classes = _choose(root, classes_of, wanted)
        files = tuple(
            (split, path.relative_to(root).as_posix(), target)
            for split, folder in layout.items()
            for target, name in enumerate(classes)
            for path in visible_files(folder / name)
        )
        loose = tuple(
            Skipped(path.relative_to(root).as_posix(), "lies in no folder of a class: move it into one")
            for folder in dict.fromkeys((root, *layout.values()))
            for path in sorted(folder.iterdir())
            if path.suffix.lower() in suffixes and not is_junk(path.name) and path.is_file()
        )
    except OSError as error:
        place = error.filename or root
        raise DataError(f"cannot read {place} ({error.strerror or error}): check its permissions") from None
    return Listing(classes, tuple(layout), files, loose)


def open_folder(
    root: Path,
    wanted: Sequence[str] | None = None,
    progress: Count | None = None,
    kind: FileKind = IMAGES,
) -> Dataset:
    """Look through `root`, whose files are of one `kind`; `wanted` are the classes to keep, in their order.

    Raises `DataError` when the folder is missing or not laid out as above, `RecipeError` for a class that it
    does not have.
    """
    listing = list_files(root, wanted, kind.noun, kind.suffixes)
    names = listing.files
    checked = check_files(root, [path for _, path, _ in names if _is_text(path)], progress, kind)
    given: dict[str, list[Sample]] = {split: [] for split in listing.splits}
    skipped = list(listing.loose)
    for split, path, target in names:
        found = checked.get(path)
        if found is None:
            shown = path.encode(errors="backslashreplace").decode()
            skipped.append(Skipped(shown, "has a name that is not UTF-8 text: rename it"))
        elif found.reason is None:
            given[split].append(Sample(path, root / path, target, found.content))
        else:
            skipped.append(Skipped(path, found.reason))
    return Dataset(
        listing.classes,
        {split: tuple(samples) for split, samples in given.items()},
        tuple(skipped),
        str(root),
        len(names) + len(listing.loose),
        kind.noun,
    )


def _check_root(root: Path, noun: SampleKind) -> None:
    if root.is_dir():
        return
    if root.exists():
        raise DataError(
            f"{root} is a file: data must be a folder with one folder of {noun.many} for each class"
        )
    beside = [entry.name for entry in root.parent.iterdir() if entry.is_dir()] if root.parent.is_dir() else []
    raise DataError(
        f"there is no data folder {root}{did_you_mean(root.name, beside)}: "
        f"write the path of a folder with one folder of {noun.many} for each class"
    )


def _folders(folder: Path) -> list[Path]:
    return sorted(
        (entry for entry in folder.iterdir() if entry.is_dir() and not is_junk(entry.name)),
        key=lambda entry: entry.name,
    )


def _is_text(name: str) -> bool:
    # A name of odd bytes could be written neither to JSON nor to most terminals.
    return not any("\ud800" <= character <= "\udfff" for character in name)


def _has_files(folder: Path, suffixes: Collection[str]) -> bool:
    return any(entry.suffix.lower() in suffixes and entry.is_file() for entry in folder.iterdir())


def split_of(word: str) -> str | None:
    """The split that a folder or file of this name holds, None when it is the name of something else."""
    name = word.lower()
    return next((split for split, names in SPLIT_FOLDERS.items() if name in names), None)


def _layout(root: Path, noun: SampleKind, suffixes: Collection[str]) -> dict[str, Path]:
    """The folder of each split; a folder of classes is all "train", from which the other splits are drawn."""
    inside = _folders(root)
    if not inside:
        if _has_files(root, suffixes):
            raise DataError(f"the {noun.many} lie directly in {root}: put them in one folder for each class")
        raise DataError(f"{root} has no folders: put the {noun.many} in one folder for each class")
    # A class may be called "train" or "test": it then holds files, not folders.
    splits = [
        folder
        for folder in inside
        if split_of(folder.name) and _folders(folder) and not _has_files(folder, suffixes)
    ]
    if not splits or (
        len(splits) < len(inside) and not any(split_of(folder.name) == "train" for folder in splits)
    ):
        return {"train": root}
    result: dict[str, Path] = {}
    for folder in inside:
        split = split_of(folder.name)
        if split is None:
            near = did_you_mean(
                folder.name.lower(), [name for names in SPLIT_FOLDERS.values() for name in names]
            )
            raise DataError(
                f"{root} has a folder {folder.name!r} beside {splits[0].name!r}{near}: "
                "keep only folders of splits (train, val, test), or only folders of classes"
            )
        if split in result:
            raise DataError(
                f"{root} has both {result[split].name!r} and {folder.name!r}: keep one folder for {split}"
            )
        result[split] = folder
    if "train" not in result:
        raise DataError(
            f"{root} has {', '.join(folder.name for folder in inside)} but no train folder: add one"
        )
    return result


def _choose(
    root: Path, classes_of: Mapping[str, Sequence[str]], wanted: Sequence[str] | None
) -> tuple[str, ...]:
    train = classes_of["train"]
    classes = tuple(train if wanted is None else wanted)
    for split, names in classes_of.items():
        if split == "train":
            check_listed(classes, names, root)
        missing = [name for name in classes if name not in names]
        extra = [name for name in names if name not in classes] if wanted is None else []
        if missing or extra:
            what = (
                f"{missing[0]!r} is in train but not in {split}"
                if missing
                else f"{extra[0]!r} is in {split} but not in train"
            )
            near = did_you_mean(missing[0], extra) if missing else ""
            raise DataError(
                f"the classes differ between splits of {root}: {what}{near}: "
                "give every split the same class folders, or list the classes in data.classes"
            )
    return classes
