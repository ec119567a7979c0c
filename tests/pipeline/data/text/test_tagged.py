"""Sentences with labelled words: files of the CoNLL form, tables, and every tag that cannot be learnt."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgewright.pipeline.data.drawing import labels_of
from edgewright.pipeline.data.samples import Sample, Splits, TaggedWords
from edgewright.pipeline.data.sources import open_data, restore_splits
from edgewright.pipeline.data.text.bio import bio_problem, sort_tags
from edgewright.pipeline.recipe.load import recipe_from_plain
from edgewright.pipeline.recipe.recipe import Recipe
from edgewright.runtime.errors import DataError
from tests.messages import refused
from tests.pipeline.data.small_tables import every_sample, write_jsonl, write_parquet

NAMES = ("Ada", "Bo", "Cy", "Di", "Eve", "Flo", "Gus", "Hal", "Ivo", "Jo")
TOWNS = ("Oslo", "Rome", "Bonn", "Lima", "Cork")


def recipe(source: Path, sections: dict[str, Any] | None = None, **data: Any) -> Recipe:
    return recipe_from_plain(
        {
            "task": "token-classification",
            "model": "owner/bert",
            "data": {"source": str(source), **data},
            **(sections or {}),
        }
    )


def read(source: Path, sections: dict[str, Any] | None = None, **data: Any) -> Splits:
    return open_data(recipe(source, sections, **data))


def error_of(source: Path, sections: dict[str, Any] | None = None, **data: Any) -> str:
    with pytest.raises(DataError) as caught:
        read(source, sections, **data)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def sentences(count: int = 50) -> list[tuple[list[str], list[str]]]:
    return [
        (
            [NAMES[number % 10], "Berg", "lives", "in", TOWNS[number // 10], "."],
            ["B-PER", "I-PER", "O", "O", "B-LOC", "O"],
        )
        for number in range(count)
    ]


def cut(sample: Sample) -> list[str]:
    """The words of a sample, cut from its text."""
    assert isinstance(sample.target, TaggedWords)
    return [sample.raw[start:end] for start, end in sample.target.places]


def conll(rows: list[tuple[list[str], list[str]]], between: str = " ", middle: str = "") -> str:
    return "\n".join(
        "".join(f"{word}{between}{middle}{tag}\n" for word, tag in zip(*row, strict=True)) for row in rows
    )


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.conll", conll(sentences())),
        ("t.txt", "-DOCSTART- -X- O O\n\n" + conll(sentences(), middle="NN B-NP ") + "\n-DOCSTART- O\n"),
        ("t.tsv", "# sent_id = 1\n" + conll(sentences(), between="\t").replace("\n", "\r\n")),
        ("t.bio", "\ufeff" + conll(sentences()) + "\n\n\n"),
    ],
)
def test_files_of_the_conll_form(tmp_path: Path, name: str, text: str) -> None:
    splits = read(write(tmp_path / name, text))
    assert splits.classes == ("O", "B-LOC", "B-PER", "I-PER") and splits.files == 50
    counts = {split: count for split, (count,) in splits.counts().items()}
    assert counts == {"train": 30, "validation": 5, "calibration": 5, "evaluation": 10}
    for sample in every_sample(splits):
        words, tags = sentences()[int(sample.id)]
        assert sample.raw == " ".join(words) and cut(sample) == words
        assert isinstance(sample.target, TaggedWords) and sample.target.labels.dtype == np.int64
        assert [splits.classes[index] for index in sample.target.labels] == tags


@pytest.mark.parametrize("form", ["jsonl", "parquet", "numbers", "csv"])
def test_tables_of_lists(tmp_path: Path, form: str) -> None:
    rows = sentences()
    columns: dict[str, list[Any]] = {"words": [row[0] for row in rows], "tags": [row[1] for row in rows]}
    expected = read(write(tmp_path / "t.conll", conll(rows)))
    known: dict[str, Any] = {}
    if form == "jsonl":
        path = write_jsonl(tmp_path / "t.jsonl", columns)
    elif form == "csv":
        lines = "".join(f"{' '.join(words)},{' '.join(tags)}\n" for words, tags in rows)
        path = write(tmp_path / "t.csv", f"words,tags\n{lines}")
    else:
        known = {"classes": list(expected.classes)} if form == "numbers" else {}
        if known:
            columns["tags"] = [[expected.classes.index(tag) for tag in row[1]] for row in rows]
        path = write_parquet(tmp_path / "t.parquet", columns)
    assert read(path, **known).digest() == expected.digest()


def test_columns_have_any_name_and_files_are_splits(tmp_path: Path) -> None:
    rows = sentences()
    for name, part in (("train", rows[:40]), ("test", rows[40:])):
        columns = {"tokens": [row[0] for row in part], "ner": [row[1] for row in part]}
        write_jsonl(tmp_path / f"{name}.jsonl", columns)
    splits = read(tmp_path, words="tokens", tags="ner")
    assert len(splits.evaluation) == 10 and splits.evaluation[0].id.startswith("test/")
    message = error_of(tmp_path)
    assert message == "data.words: test.jsonl has no column 'words': it has tokens, ner"
    assert "(did you mean 'ner'?)" in error_of(tmp_path, words="tokens", tags="nerr")


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (
            "Ada I-PER\n",
            "'I-PER' follows 'O', and in BIO an entity begins with B-: write 'B-PER' (convert",
        ),
        ("Ada B-LOC\nBerg I-PER\n", "'I-PER' follows 'B-LOC'"),
        ("Ada B-PER\nBerg PER\n", "the tag 'PER' is neither O nor B-TYPE nor I-TYPE: correct it"),
        ("Ada S-PER\n", "the tag 'S-PER' is of BIOES or BILOU: convert the file to BIO (B-, I-, O)"),
        ("Ada B-\n", "the tag 'B-' is neither O nor"),
        ("Ada\n", "has one column: write a word and its tag, with white space between them"),
        ("Ada\t\n", "has an empty cell: write a word and its tag"),
    ],
)
def test_what_breaks_the_rules_is_named_with_its_line(tmp_path: Path, lines: str, expected: str) -> None:
    path = write(tmp_path / "t.conll", conll(sentences()) + "\n" + lines)
    number = 50 * 7 + len(lines.splitlines())
    assert error_of(path).startswith(f"t.conll, line {number}") and expected in error_of(path)


def test_a_tag_that_is_not_in_the_list(tmp_path: Path) -> None:
    path = write(tmp_path / "t.conll", conll(sentences()) + "\nthe B-LOG\n")
    known = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
    assert error_of(path, classes=known) == (
        "t.conll, line 351: the tag 'B-LOG' (did you mean 'B-LOC'?) is not in data.classes "
        "(O, B-PER, I-PER, B-LOC, I-LOC): correct it, or add it there"
    )
    path = write(tmp_path / "t.conll", conll(sentences()))
    assert "no training sentence has the label 'I-LOC'" in error_of(path, classes=known)
    (tmp_path / "splits").mkdir()
    write(tmp_path / "splits" / "train.conll", conll(sentences()))
    write(tmp_path / "splits" / "test.conll", "Rex B-ORG\n")
    assert error_of(tmp_path / "splits").startswith(
        "test.conll, line 1: the tag 'B-ORG' (did you mean 'B-PER'?)"
    )
    assert "is not in the training part of splits (O, B-LOC, B-PER, I-PER)" in error_of(tmp_path / "splits")


def test_words_and_tags_of_a_table_that_do_not_fit(tmp_path: Path) -> None:
    rows = sentences()

    def table(words: Any, tags: Any) -> Path:
        columns = {"words": [*(row[0] for row in rows), words], "tags": [*(row[1] for row in rows), tags]}
        return write_jsonl(tmp_path / "t.jsonl", columns)

    assert error_of(table(["a", "b"], ["O"])) == "t.jsonl, line 51 has 2 words and 1 tags: give each word one"
    assert "the tags are numbers: list their names in data.classes, in order" in error_of(table(["a"], [0]))
    assert "line 51: the tag 9 is none of the 2 labels" in error_of(table(["a"], [9]), classes=["O", "X"])
    assert "line 51: None is not a tag" in error_of(table(["a"], [None]))
    assert "line 51: the column 'words' holds 7: give a list" in error_of(table(7, ["O"]))
    splits = read(table([], []))
    assert [(one.path, one.reason) for one in splits.skipped] == [("50", "has no words (t.jsonl, line 51)")]
    splits = read(table(["New\u00a0York", ""], ["O", "O"]))
    assert "the word 'New\\xa0York' is empty or holds white space" in splits.skipped[0].reason
    splits = read(table(["a", None], ["O", "O"]))
    assert "the word '' is empty or holds white space" in splits.skipped[0].reason
    assert "line 51: ['b'] is not a word: give a text for each" in error_of(table(["a", ["b"]], ["O", "O"]))


def test_plain_labels_of_words_are_not_spans(tmp_path: Path) -> None:
    rows = [(["the", "dog", f"barks{number}"], ["DET", "NOUN", "VERB"]) for number in range(30)]
    path = write(tmp_path / "t.conll", conll(rows))
    assert error_of(path) == (
        "t.conll has tags without B- and I- (DET, NOUN, VERB), which mark no spans: use training.metric: accuracy"
    )
    assert read(path, {"training": {"metric": "accuracy"}}).classes == ("DET", "NOUN", "VERB")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "t.conll"
    path.write_bytes(b"Ada B-PER\nB\xe9 O\n")
    assert error_of(path).startswith(
        "t.conll, line 2 is not UTF-8 text"
    ) and "save the file as UTF-8" in error_of(path)
    assert "holds no sentence" in error_of(write(path, "\n-DOCSTART- O\n"))
    assert "is not the suffix of a table" in error_of(write(tmp_path / "t.ner", "a O\n"))
    assert read(write(tmp_path / "t.ner", conll(sentences())), format="conll").files == 50
    assert "there is no data" in error_of(tmp_path / "nothing.conll")


def test_a_rare_label_is_learnt_whatever_the_seed(tmp_path: Path) -> None:
    rows = [*sentences(), (["Rex", "barks"], ["B-DOG", "O"])]
    path = write(tmp_path / "t.conll", conll(rows))
    for seed in range(8):
        splits = read(path, seed=seed)
        rare = splits.classes.index("B-DOG")
        assert any("barks" in sample.raw for sample in splits.train if rare in labels_of([sample]))
        assert "no evaluation sentence has the label B-DOG: nothing is measured of it" in splits.notes


def test_a_sentence_twice_is_in_one_split(tmp_path: Path) -> None:
    rows = sentences()
    splits = read(write(tmp_path / "t.conll", conll(rows + rows)))
    homes: dict[Any, set[str]] = {}
    for split in splits.counts():
        for sample in splits.split(split):
            homes.setdefault(sample.raw, set()).add(split)
    assert all(len(home) == 1 for home in homes.values())
    assert any("none is judged twice" in note for note in splits.notes)


def test_a_run_finds_its_sentences_again(tmp_path: Path) -> None:
    path = write(tmp_path / "t.conll", conll(sentences()))
    splits = read(path)
    document = json.loads(json.dumps(splits.to_plain()))
    again = restore_splits(document, recipe(path))
    assert again.digest() == splits.digest()
    assert [cut(one) for one in again.train] == [cut(one) for one in splits.train]
    assert [labels_of([one]) for one in again.train] == [labels_of([one]) for one in splits.train]
    write(path, conll(sentences()).replace("B-PER", "B-PERS").replace("I-PER", "I-PERS"))
    with refused(DataError):
        restore_splits(document, recipe(path))


def test_the_rules_of_bio() -> None:
    assert bio_problem(["B-A", "I-A", "B-A", "O", "B-B", "I-B"]) is None
    assert bio_problem(["O", "B-A", "I-B"]) is not None
    assert bio_problem([]) is None
    assert sort_tags(["I-B", "B-B", "O", "B-A"]) == ("O", "B-A", "B-B", "I-B")


def test_the_text_that_words_were_cut_from(tmp_path: Path) -> None:
    rows = sentences()
    texts = [" ".join(words).replace(" .", ".") for words, _ in rows]
    columns: dict[str, list[Any]] = {"words": [row[0] for row in rows], "tags": [row[1] for row in rows]}
    named = read(write_jsonl(tmp_path / "a.jsonl", {**columns, "sentence": texts}), text="sentence")
    found = read(write_parquet(tmp_path / "b.parquet", {**columns, "text": texts}))
    comments = [f"# sent_id = {place}\n# text = {text}\n" for place, text in enumerate(texts)]
    lines = [conll([row]) for row in rows]
    path = write(tmp_path / "c.conll", "\n".join(map("".join, zip(comments, lines, strict=True))))
    for splits in (named, found, read(path)):
        assert splits.notes == ()
        for sample in every_sample(splits):
            assert sample.raw == texts[int(sample.id)] and cut(sample) == rows[int(sample.id)][0]
    spaced = read(write_jsonl(tmp_path / "d.jsonl", columns))
    assert spaced.digest() != found.digest()
    assert "data.text: a.jsonl has no column 'body'" in error_of(tmp_path / "a.jsonl", text="body")


def test_words_that_are_not_those_of_their_text(tmp_path: Path) -> None:
    rows = sentences()
    texts: list[Any] = [" ".join(words) for words, _ in rows]
    texts[3], texts[4], texts[5] = "another text", None, ""
    columns: dict[str, list[Any]] = {"words": [row[0] for row in rows], "tags": [row[1] for row in rows]}
    splits = read(write_jsonl(tmp_path / "a.jsonl", {**columns, "text": texts}))
    (note,) = splits.notes
    assert note == (
        "the words of 1 of 50 sentences are not those of their text, first a.jsonl, line 4: "
        "these are read with a space between any two words"
    )
    assert {sample.raw for sample in every_sample(splits)} == {" ".join(words) for words, _ in rows}
