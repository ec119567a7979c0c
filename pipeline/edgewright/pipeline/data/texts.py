"""Texts and their classes: a table with a column of each, or a folder of .txt files for each class."""

from pathlib import Path

from edgewright.pipeline.data.folder import list_files
from edgewright.pipeline.data.samples import Found, Noun, Sample, Skipped
from edgewright.pipeline.data.scan import Progress
from edgewright.pipeline.data.series import sort_classes
from edgewright.pipeline.data.table_files import TableFile, find_tables
from edgewright.pipeline.data.tables import TABLE_SUFFIXES, read_table
from edgewright.pipeline.recipe import Recipe
from edgewright.pipeline.recipe_text import did_you_mean
from edgewright.runtime.errors import DataError, InputError, RecipeError
from edgewright.runtime.files import sha256_of_bytes
from edgewright.runtime.text import TEXT_SUFFIXES, load_text

__all__ = ["TEXTS", "content_of_text", "open_texts"]

TEXTS = Noun("text", "texts", "text", "texts")


def content_of_text(text: str) -> str:
    """Hex SHA-256 of a text."""
    return sha256_of_bytes(text.encode(errors="surrogatepass"))


def open_texts(recipe: Recipe, progress: Progress | None = None) -> Found:
    """The texts of `recipe`, undivided; the raw input of each is the text itself. Raises `DataError`, `RecipeError`."""
    source = Path(recipe.data.source)
    if source.is_dir() and not any(
        path.is_file() and path.suffix.lower() in TABLE_SUFFIXES for path in source.iterdir()
    ):
        return _from_folder(source, recipe, progress)
    return _from_tables(source, recipe)


def _from_folder(source: Path, recipe: Recipe, progress: Progress | None) -> Found:
    listing = list_files(source, recipe.data.classes, TEXTS, TEXT_SUFFIXES)
    given: dict[str, list[Sample]] = {split: [] for split in listing.splits}
    skipped = []
    for done, (split, name, target) in enumerate(listing.files):
        text, reason = _read(source / name)
        if reason is not None:
            skipped.append(Skipped(name.encode(errors="backslashreplace").decode(), reason))
        else:
            given[split].append(Sample(name, text, target, content_of_text(text)))
        if progress is not None:
            progress(done + 1, len(listing.files))
    samples = {split: tuple(found) for split, found in given.items()}
    return Found(listing.classes, samples, tuple(skipped), str(source), len(listing.files), TEXTS)


def _read(path: Path) -> tuple[str, str | None]:
    """The text of a file, and why it cannot be used."""
    if path.suffix.lower() not in TEXT_SUFFIXES:
        return (
            "",
            f"does not end like a text ({', '.join(sorted(TEXT_SUFFIXES))}): rename, convert or remove it",
        )
    try:
        text = load_text(path)
    except InputError as error:
        return "", str(error).removeprefix(str(path)).strip(" :,")
    return text, None if text.strip() else "is empty: remove it"


def _from_tables(source: Path, recipe: Recipe) -> Found:
    files = find_tables(source, recipe.data.format, TABLE_SUFFIXES, class_folders=False)
    rows: list[tuple[str, str, str, str]] = []  # split, id, text, class
    skipped: list[Skipped] = []
    count = 0
    for file in files:
        count += _read_rows(file, recipe, len(files) > 1, rows, skipped)
    classes = _classes(rows, recipe, source.name)
    index = {name: target for target, name in enumerate(classes)}
    given: dict[str, list[Sample]] = {file.split: [] for file in files}
    for split, name, text, label in rows:
        if label in index:
            given[split].append(Sample(name, text, index[label], content_of_text(text)))
    samples = {split: tuple(found) for split, found in given.items()}
    return Found(classes, samples, tuple(skipped), str(source), count, TEXTS)


def _read_rows(
    file: TableFile,
    recipe: Recipe,
    several: bool,
    rows: list[tuple[str, str, str, str]],
    skipped: list[Skipped],
) -> int:
    """Append the rows of a table, and those that cannot be used; returns how many it has."""
    data = recipe.data
    if file.form == "npz":
        raise DataError(f"{file.path.name}: texts come as csv, jsonl or parquet: convert it")
    table = read_table(file.path, file.form, (*data.texts, data.label))
    texts = table.texts(table.need(data.texts[0], "data.text"))
    labels = table.texts(table.need(data.label, "data.label"))
    width = len(str(table.rows - 1))
    prefix = f"{file.name}/" if several else ""
    for row, (text, label) in enumerate(zip(texts, labels, strict=True)):
        name = f"{prefix}{row:0{width}d}"
        if text is None or not text.strip():
            skipped.append(Skipped(name, f"has no text ({table.place(row)})"))
        elif label is None or not label.strip():
            skipped.append(Skipped(name, f"has no label ({table.place(row)})"))
        else:
            rows.append((file.split, name, text, label.strip()))
    return table.rows


def _classes(rows: list[tuple[str, str, str, str]], recipe: Recipe, where: str) -> tuple[str, ...]:
    names = sort_classes({label for split, _, _, label in rows if split == "train"})
    if recipe.data.classes is None:
        extra = sorted({label for _, _, _, label in rows} - set(names))
        if extra:
            raise DataError(
                f"{where}: the class {extra[0]!r}{did_you_mean(extra[0], names)} is in no training text: "
                "give every split the same classes, or list them in data.classes"
            )
        return names
    for name in recipe.data.classes:
        if name not in names:
            raise RecipeError(
                f"data.classes: {where} has no class {name!r}{did_you_mean(name, names)}: "
                f"it has {', '.join(names[:20])}{' ...' if len(names) > 20 else ''}"
            )
    return recipe.data.classes
