"""Questions on texts that may answer them: SQuAD JSON of both versions, or a table of questions."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgewright.pipeline.data.content import content_of_text, content_with
from edgewright.pipeline.data.files.scan import reported
from edgewright.pipeline.data.files.table_files import TableFile, find_tables
from edgewright.pipeline.data.files.tables import TABLE_SUFFIXES, Table, read_table
from edgewright.pipeline.data.samples import Answers, Dataset, Sample, SampleKind, Skipped
from edgewright.pipeline.data.text.tables import LISTS, column_texts, is_missing, sample_names
from edgewright.pipeline.progress import Count
from edgewright.pipeline.recipe.recipe import Recipe
from edgewright.runtime.bundle.structure import StructureError, parse_json
from edgewright.runtime.errors import DataError, InputError
from edgewright.runtime.text.decoding import load_text
from edgewright.runtime.text.raw import Question

QUESTIONS = SampleKind("question", "questions", "question", "questions")

QUESTION_SUFFIXES = {**TABLE_SUFFIXES, ".json": "squad"}
"""Suffix of a file to its format."""

_NAMED = 3


@dataclass(frozen=True)
class AskedQuestion:
    """A question with what a file says of its answers; a start is None where only the text is known."""

    split: str
    id: str
    question: str
    context: str
    answers: tuple[tuple[str, int | None], ...]
    place: str


def open_questions(recipe: Recipe, progress: Count | None = None) -> Dataset:
    """The questions of `recipe`, undivided; the raw input of each is a `Question`. Raises `DataError`."""
    source = Path(recipe.data.source)
    files = find_tables(source, recipe.data.format, QUESTION_SUFFIXES, class_folders=False)
    asked: list[AskedQuestion] = []
    for file in reported(files, progress):
        read = list(_read_squad(file.path) if file.form == "squad" else _read_table(file, recipe))
        names = sample_names(file, len(read), len(files) > 1)
        asked += [AskedQuestion(file.split, name, *parts) for name, parts in zip(names, read, strict=True)]
    splits = tuple(dict.fromkeys(file.split for file in files))
    return found_questions(asked, recipe, str(source), splits)


def found_questions(
    asked: Sequence[AskedQuestion], recipe: Recipe, source: str, splits: Sequence[str] = ("train",)
) -> Dataset:
    """Questions as samples; those on one text stay in one split. Raises `DataError`.

    A question that is empty, or whose answer is not where it is said to be, is skipped.
    """
    given: dict[str, list[Sample]] = {split: [] for split in splits}
    groups: dict[str, str] = {}
    skipped: list[Skipped] = []
    unanswered: list[AskedQuestion] = []
    for one in asked:
        empty = next((name for name in ("question", "context") if not getattr(one, name).strip()), None)
        if empty is not None:
            skipped.append(Skipped(one.id, f"has no {empty} ({one.place})"))
            continue
        answers, reason = _placed(one)
        if reason is not None:
            skipped.append(Skipped(one.id, f"{reason} ({one.place})"))
            continue
        if not answers.texts:
            unanswered.append(one)
        raw = Question(one.question, one.context)
        target = [list(answers.texts), list(answers.starts)]
        given[one.split].append(Sample(one.id, raw, answers, content_with(raw, target)))
        groups[one.id] = content_of_text(one.context)
    if unanswered and not recipe.question.no_answer:
        places = ", ".join(one.place for one in unanswered[:_NAMED])
        raise DataError(
            f"{len(unanswered)} of {len(asked)} questions have no answer, first {places}: "
            "set question.no_answer: true, or leave them out"
        )
    notes = (
        ("every question has an answer, so that question.no_answer: true teaches nothing",)
        if recipe.question.no_answer and not unanswered and asked
        else ()
    )
    samples = {split: tuple(found) for split, found in given.items()}
    return Dataset((), samples, tuple(skipped), source, len(asked), QUESTIONS, notes, groups)


def _placed(one: AskedQuestion) -> tuple[Answers, str | None]:
    """The answers with their places in the text, and why they cannot be used."""
    texts, starts = [], []
    for text, given in one.answers:
        if not text.strip():
            return Answers(), "has an empty answer: give its text, or no answer at all"
        found = one.context.find(text)
        start = found if given is None else given
        if start < 0 or one.context[start : start + len(text)] != text:
            where = f", it stands at {found}" if found >= 0 else ""
            at = f" at character {given}" if given is not None else ""
            shown = text if len(text) <= 40 else f"{text[:37]}..."
            return Answers(), f"has an answer that is not in its text{at}{where}: {shown!r}"
        texts.append(text)
        starts.append(start)
    return Answers(tuple(texts), tuple(starts)), None


_Parts = tuple[str, str, tuple[tuple[str, int | None], ...], str]


def _read_squad(path: Path) -> Iterator[_Parts]:
    """Question, text, answers and place of each question of a file in the form of SQuAD."""
    try:
        document = parse_json(load_text(path))
    except (InputError, StructureError) as error:
        message = str(error)
        raise DataError(message if message.startswith(str(path)) else f"{path.name}: {message}") from None
    for article, entry in enumerate(_items(document, "data", path.name)):
        where = f"{path.name}, data[{article}]"
        for number, paragraph in enumerate(_items(entry, "paragraphs", where)):
            inside = f"{where}.paragraphs[{number}]"
            context = _string(paragraph, "context", inside)
            for place, asked in enumerate(_items(paragraph, "qas", inside)):
                name = f"{inside}.qas[{place}]"
                question = _string(asked, "question", name)
                answers = () if asked.get("is_impossible") is True else _answers(asked.get("answers"), name)
                yield question, context, answers, f"{path.name}, question {asked.get('id', name)!s}"


def _read_table(file: TableFile, recipe: Recipe) -> Iterator[_Parts]:
    data = recipe.data
    if file.form == "npz":
        raise DataError(f"{file.path.name}: questions come as squad, jsonl, parquet or csv: convert it")
    table = read_table(file.path, file.form)
    columns = [
        _texts(table, name, key) for name, key in ((data.question, "question"), (data.context, "context"))
    ]
    answers = table.cells[table.need(data.answers, "data.answers")]
    for row in range(table.rows):
        place = f"{table.name}, {table.place(row)}"
        yield columns[0][row], columns[1][row], _answers(answers[row], place), place


def _texts(table: Table, column: str, key: str) -> list[str]:
    return [text or "" for text in column_texts(table, table.need(column, f"data.{key}"))]


def _items(document: Any, key: str, where: str) -> list[Any]:
    found = document.get(key) if isinstance(document, Mapping) else None
    if not isinstance(found, list):
        raise DataError(
            f"{where} has no list {key!r}: SQuAD files hold data, paragraphs and qas; questions on lines of their own "
            "come as .jsonl"
        )
    return found


def _string(entry: Any, key: str, where: str) -> str:
    found = entry.get(key) if isinstance(entry, Mapping) else None
    if not isinstance(found, str):
        raise DataError(f"{where} has no text {key!r}: add it")
    return found


def _answers(cell: Any, where: str) -> tuple[tuple[str, int | None], ...]:
    """The answers of a cell: objects with text and answer_start, lists of both, texts, or one text."""
    if is_missing(cell):
        return ()
    if isinstance(cell, str):
        return ((cell, None),) if cell.strip() else ()
    if isinstance(cell, Mapping) and "text" in cell:
        texts, starts = cell["text"], cell.get("answer_start")
        if isinstance(texts, str):
            texts, starts = [texts], [starts]
        if isinstance(texts, LISTS) and starts is None:
            starts = [None] * len(texts)
        if not isinstance(texts, LISTS) or not isinstance(starts, LISTS):
            raise DataError(
                f"{where}: text and answer_start are no lists: give each answer its text and start"
            )
        if len(texts) != len(starts):
            raise DataError(f"{where} has {len(texts)} answers and {len(starts)} starts: give each one")
        cell = [{"text": text, "answer_start": start} for text, start in zip(texts, starts, strict=True)]
    if not isinstance(cell, LISTS):
        raise DataError(f'{where}: the answers are no list: write [{{"text": ..., "answer_start": ...}}]')
    found: list[tuple[str, int | None]] = []
    for one in cell:
        text = one if isinstance(one, str) else one.get("text") if isinstance(one, Mapping) else None
        start = one.get("answer_start") if isinstance(one, Mapping) else None
        if not isinstance(text, str):
            raise DataError(f"{where}: {one!r} is not an answer: give its text and answer_start")
        if start is not None and (isinstance(start, bool) or not isinstance(start, (int, np.integer))):
            raise DataError(f"{where}: answer_start {start!r} is not a whole number: count characters from 0")
        found.append((text, None if start is None else int(start)))
    return tuple(found)
