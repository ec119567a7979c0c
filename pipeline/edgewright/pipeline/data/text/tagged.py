"""Texts whose words are labelled: files of the CoNLL form, or tables with lists of words and tags."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgewright.pipeline.data.content import content_with
from edgewright.pipeline.data.files.scan import reported
from edgewright.pipeline.data.files.table_files import TableFile, find_tables
from edgewright.pipeline.data.files.tables import TABLE_SUFFIXES, Table, read_table
from edgewright.pipeline.data.samples import Dataset, Sample, SampleKind, Skipped, TaggedWords
from edgewright.pipeline.data.text.bio import bio_problem, is_bio, sort_tags, unknown_tag
from edgewright.pipeline.data.text.head_labels import kept_labels
from edgewright.pipeline.data.text.tables import LISTS, sample_names
from edgewright.pipeline.progress import Count
from edgewright.pipeline.recipe.data import Data
from edgewright.pipeline.recipe.recipe import Recipe
from edgewright.runtime.errors import DataError, InputError
from edgewright.runtime.text.conll import CONLL_SUFFIXES, conll_sentences
from edgewright.runtime.text.raw import Words
from edgewright.runtime.text.words import find_words, place_words

SENTENCES = SampleKind("sentence", "sentences", "sentence", "sentences")

TAGGED_SUFFIXES = {**TABLE_SUFFIXES, **CONLL_SUFFIXES}
"""Suffix of a file to its format; a .tsv has no header here."""


@dataclass(frozen=True)
class TaggedSentence:
    """Words with their tags; `places` are the line of each word, or one place for all, `text` is what they were cut
    from, where the file has it.
    """

    split: str
    id: str
    words: tuple[str, ...]
    tags: tuple[str, ...]
    file: str
    places: tuple[str, ...]
    text: str = ""

    def place(self, word: int) -> str:
        """ "train.conll, line 17" for the word of this index."""
        return f"{self.file}, {self.places[min(word, len(self.places) - 1)]}"


def open_tagged_texts(recipe: Recipe, progress: Count | None = None) -> Dataset:
    """The sentences of `recipe`, undivided; the raw input of each is its text, as a device gets it, the target are
    `TaggedWords`. Raises `DataError` or `RecipeError`.
    """
    kept = kept_labels(recipe)
    source = Path(recipe.data.source)
    files = find_tables(source, recipe.data.format, TAGGED_SUFFIXES, class_folders=False)
    sentences: list[TaggedSentence] = []
    for file in reported(files, progress):
        sentences += _read_file(file, recipe, kept, len(files) > 1)
    splits = tuple(dict.fromkeys(file.split for file in files))
    return found_sentences(sentences, recipe, str(source), splits, kept)


def found_sentences(
    sentences: Sequence[TaggedSentence],
    recipe: Recipe,
    source: str,
    splits: Sequence[str] = ("train",),
    kept: tuple[str, ...] | None = None,
) -> Dataset:
    """Sentences as samples. Raises `DataError` for tags that break the rules of BIO or are not in the list of labels.

    `kept` are the labels of a head that is kept; without it they are those of the training sentences.
    """
    name = Path(source).name
    if not sentences:
        raise DataError(f"{name} holds no sentence: give lines with a word and its tag")
    bio = is_bio(tag for sentence in sentences for tag in sentence.tags)
    if not bio and recipe.training.metric == "span-f1":
        plain = ", ".join(sort_tags(tag for sentence in sentences[:100] for tag in sentence.tags)[:5])
        raise DataError(
            f"{name} has tags without B- and I- ({plain}), which mark no spans: use training.metric: accuracy"
        )
    known = kept or recipe.data.classes
    labels = known or sort_tags(tag for one in sentences if one.split == "train" for tag in one.tags)
    index = {label: place for place, label in enumerate(labels)}
    owner = "data.classes" if known == recipe.data.classes and known else "the model's labels"
    given: dict[str, list[Sample]] = {split: [] for split in splits}
    skipped, foreign = [], []
    for one in sentences:
        _check(one, bio, index, owner if known else f"the training part of {name}")
        if not one.words:
            skipped.append(Skipped(one.id, f"has no words ({one.place(0)})"))
            continue
        odd = next((word for word in one.words if word.split() != [word]), None)
        if odd is not None:
            skipped.append(
                Skipped(
                    one.id,
                    f"the word {odd!r} is empty or holds white space ({one.place(one.words.index(odd))})",
                )
            )
            continue
        if one.text and find_words(one.text, one.words) is None:
            foreign.append(one.place(0))
        given[one.split].append(_sample(one, index))
    return Dataset(
        labels,
        {split: tuple(samples) for split, samples in given.items()},
        tuple(skipped),
        source,
        len(sentences),
        SENTENCES,
        _spaced_notes(foreign, len(sentences)),
        fixed=kept is not None,
    )


def _sample(one: TaggedSentence, index: dict[str, int]) -> Sample:
    """The text that the words were cut from, or where the file does not have it the words with a space between them."""
    text, places = place_words(one.words)
    found = find_words(one.text, one.words) if one.text else None
    labels = np.array([index[tag] for tag in one.tags], np.int64)
    if found is None or one.text == text:
        return Sample(
            one.id, text, TaggedWords(places, labels), content_with(Words(one.words), list(one.tags))
        )
    tagged = [one.tags, found.tolist()]
    return Sample(one.id, one.text, TaggedWords(found, labels), content_with(one.text, tagged))


def _spaced_notes(places: Sequence[str], count: int) -> tuple[str, ...]:
    if not places:
        return ()
    return (
        f"the words of {len(places)} of {count} sentences are not those of their text, first {places[0]}: "
        "these are read with a space between any two words",
    )


def _check(one: TaggedSentence, bio: bool, index: dict[str, int], owner: str) -> None:
    problem = bio_problem(one.tags) if bio else None
    if problem is not None:
        raise DataError(f"{one.place(problem[0])}: {problem[1]}")
    for word, tag in enumerate(one.tags):
        if tag not in index:
            raise DataError(f"{one.place(word)}: {unknown_tag(tag, tuple(index), owner)}")


def _read_file(
    file: TableFile, recipe: Recipe, kept: tuple[str, ...] | None, several: bool
) -> list[TaggedSentence]:
    if file.form == "conll":
        read = list(_read_conll(file.path))
    elif file.form == "npz":
        raise DataError(f"{file.path.name}: sentences come as conll, jsonl, parquet or csv: convert it")
    else:
        read = list(_read_table(read_table(file.path, file.form), recipe, kept))
    names = sample_names(file, len(read), several)
    return [
        TaggedSentence(file.split, name, words, tags, file.path.name, places, text)
        for name, (words, tags, places, text) in zip(names, read, strict=True)
    ]


_Read = tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...], str]


def _read_conll(path: Path) -> Iterator[_Read]:
    """Words, tags, lines and text of each sentence."""
    try:
        for one in conll_sentences(path):
            yield one.words, one.tags, tuple(f"line {line}" for line in one.lines), one.text
    except InputError as error:
        raise DataError(str(error)) from None


def _read_table(table: Table, recipe: Recipe, kept: tuple[str, ...] | None) -> Iterator[_Read]:
    data = recipe.data
    words = table.cells[table.need(data.words, "data.words")]
    tags = table.cells[table.need(data.tags, "data.tags")]
    (column,) = data.texts
    named = column in table.columns or column != Data.model_fields["text"].default
    texts = table.cells[table.need(column, "data.text")] if named else None
    for row in range(table.rows):
        place = f"{table.name}, {table.place(row)}"
        found = [_word(word, place) for word in _listed(words[row], place, data.words)]
        names = _named(_listed(tags[row], place, data.tags), kept or data.classes, place)
        if len(found) != len(names):
            raise DataError(f"{place} has {len(found)} words and {len(names)} tags: give each word one")
        text = "" if texts is None else texts[row]
        yield tuple(found), tuple(names), (table.place(row),), text if isinstance(text, str) else ""


def _listed(cell: Any, place: str, column: str) -> list[Any]:
    if cell is None:
        return []
    if isinstance(cell, str):
        return cell.split()
    if not isinstance(cell, LISTS):
        raise DataError(f"{place}: the column {column!r} holds {cell!r}: give a list, or text with spaces")
    return list(cell)


def _word(word: Any, place: str) -> str:
    """A word as text, nothing at all as an empty one."""
    if isinstance(word, (*LISTS, dict)):
        raise DataError(f"{place}: {word!r} is not a word: give a text for each")
    return "" if word is None else str(word)


def _named(tags: list[Any], known: tuple[str, ...] | None, place: str) -> list[str]:
    """Tags as names; numbers are places in the list of labels."""
    if tags and all(isinstance(tag, (int, np.integer)) and not isinstance(tag, bool) for tag in tags):
        if known is None:
            raise DataError(f"{place}: the tags are numbers: list their names in data.classes, in order")
        outside = next((tag for tag in tags if not 0 <= tag < len(known)), None)
        if outside is not None:
            raise DataError(f"{place}: the tag {outside} is none of the {len(known)} labels: correct it")
        return [known[tag] for tag in tags]
    for tag in tags:
        if not isinstance(tag, str) or not tag:
            raise DataError(f"{place}: {tag!r} is not a tag: give names such as B-PER")
    return [str(tag) for tag in tags]
