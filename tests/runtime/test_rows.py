"""Files with many inputs: their rows as training reads them, and rows that cannot be read."""

from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from edgewright.runtime.errors import InputError
from edgewright.runtime.text.raw import Words
from edgewright.runtime.text.reading import read_parts, read_words
from edgewright.runtime.text.tagged_rows import TAGGED_READERS
from edgewright.runtime.text.text_rows import ROW_READERS, table_rows
from tests.messages import refused
from tests.runtime.encoder_bundle import case

TASK = case("entities").device_task()


def written(path: Path, content: str) -> Path:
    path.write_text(content, encoding="utf-8")
    return path


def texts(path: Path) -> list[str]:
    """The text of each row, or what is wrong with it."""
    found = []
    for _, raw in table_rows(path):
        try:
            found.append(read_parts(raw, ("text",))[0])
        except InputError as error:
            found.append(str(error).removeprefix(str(path)))
    return found


def test_numbers_and_gaps_are_read_as_in_training(tmp_path: Path) -> None:
    lines = "".join(f'{{"text": {cell}}}\n' for cell in ("5", "1.0", "2.5", "true", "null", '"x"'))
    assert texts(written(tmp_path / "a.jsonl", lines)) == ["5", "1", "2.5", "True", "", "x"]
    for name, cells in (("b", [5, None, 7]), ("c", [1.0, 2.5]), ("d", [True, False])):
        path = tmp_path / f"{name}.parquet"
        parquet.write_table(pyarrow.table({"text": cells}), path)
        expected = {"b": ["5", "", "7"], "c": ["1", "2.5"], "d": ["True", "False"]}[name]
        assert texts(path) == expected


def test_a_bad_row_takes_none_of_the_others_with_it(tmp_path: Path) -> None:
    table = written(tmp_path / "a.tsv", "text\tlabel\ngood\ta\nshort\nbad\tb\n")
    assert texts(table) == ["good", ", line 3 has another number of cells: mend it", "bad"]
    table = written(tmp_path / "b.csv", " text ;label\ngood;a\n")
    assert texts(table) == ["good"], "names of columns are read without the spaces around them"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.tsv", "text\tlabel\n", " names columns and has no rows: write one input on each line"),
        ("b.csv", "text,text\na,b\n", ": the column 'text' occurs twice: rename one"),
        ("c.parquet", "no parquet", " is not a Parquet file that can be read: "),
        ("d.ndjson", "\n", " is empty: write one input on each line"),
    ],
)
def test_files_that_cannot_be_read(tmp_path: Path, name: str, content: str, message: str) -> None:
    (found,) = texts(written(tmp_path / name, content))
    assert found.startswith(message)


def test_parquet_without_rows(tmp_path: Path) -> None:
    parquet.write_table(pyarrow.table({"text": pyarrow.array([], pyarrow.string())}), tmp_path / "a.parquet")
    assert texts(tmp_path / "a.parquet") == [" has no rows: write one input into each"]


def test_a_token_classifier_reads_words_of_tables(tmp_path: Path) -> None:
    table = written(tmp_path / "a.csv", "words,text\nAda lives,no\n,a text\n")
    (_, first), (_, second) = TASK.inputs(str(table))
    assert read_words(first) == ("Ada", "lives") and second == {"text": "a text"}
    lines = written(
        tmp_path / "b.jsonl", '{"tokens": null, "text": "Ada"}\n{"tokens": ["Ada"]}\n{"words": ""}\n'
    )
    (_, first), (_, second), (_, third) = TASK.inputs(str(lines))
    assert first == {"text": "Ada"} and read_words(second) == ("Ada",)
    with refused(InputError):
        TASK.encode(third)
    (_, raw) = TASK.inputs(str(written(tmp_path / "c.tsv", "id\ttext\n1\tAda\n")))[0]
    assert raw == {"id": "1", "text": "Ada"}, "a .tsv with such a header is a table"


def test_files_of_sentences_that_cannot_be_read(tmp_path: Path) -> None:
    for name, content, message in [
        ("a.conll", "Ada B-PER\nlives\n", "line 2 has one column: write a word and its tag"),
        ("b.bio", "\n\n", "holds no sentence: give lines with a word and its tag"),
        ("c.tsv", "\n", "holds no sentence"),
        ("d.tsv", "-DOCSTART-\tO\tO\n\nAda\n", "line 3 has one column"),
    ]:
        ((_, raw),) = TASK.inputs(str(written(tmp_path / name, content)))
        with pytest.raises(InputError, match=message):
            TASK.encode(raw)
    ((_, raw),) = TASK.inputs("none.iob")
    with refused(InputError):
        TASK.encode(raw)
    odd = written(tmp_path / "d.conll", "New York\tB-LOC\n")
    ((_, raw),) = TASK.inputs(str(odd))
    assert raw == Words(("New York",))
    with refused(InputError):
        TASK.encode(raw)


def test_a_path_of_many_inputs_is_no_text(tmp_path: Path) -> None:
    for suffix in TAGGED_READERS:
        with refused(InputError):
            TASK.encode(written(tmp_path / f"a{suffix}", "text\nAda\n"))
    for suffix in ROW_READERS:
        with refused(InputError):
            case("one label").device_task().encode(tmp_path / f"a{suffix}")


def test_a_folder_holds_files_of_every_ending(tmp_path: Path) -> None:
    written(tmp_path / "a.conll", "Ada B-PER\n")
    written(tmp_path / "b.tsv", "lives\tO\n")
    written(tmp_path / "c.csv", "text\nBerlin\n")
    assert [name for name, _ in TASK.inputs(str(tmp_path))] == [
        f"{tmp_path}/a.conll:1", f"{tmp_path}/b.tsv:1", f"{tmp_path}/c.csv:2",
    ]  # fmt: skip
