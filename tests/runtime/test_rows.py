"""Files with many inputs: their rows as training reads them, and rows that cannot be read."""

import datetime
import json
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from edgewright.pipeline.data.files import tables as trained
from edgewright.runtime.errors import InputError
from edgewright.runtime.inputs import Unreadable
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
    ((_, raw),) = TASK.inputs(str(written(tmp_path / "c.tsv", "id\ttext\n1\tAda\n")))
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


def text_of(row: int) -> str:
    return f"row {row}: {'the film was good ' * 10}"


def lines(path: Path, rows: int) -> Path:
    """A table of any form, or sentences, as its ending says."""
    form = path.suffix
    with path.open("w", encoding="utf-8") as file:
        if form == ".jsonl":
            file.writelines(json.dumps({"text": text_of(row)}) + "\n" for row in range(rows))
        elif form == ".conll":
            file.writelines(
                "".join(f"{word} O\n" for word in text_of(row).split()) + "\n" for row in range(rows)
            )
        elif form == ".parquet":
            table = pyarrow.table({"text": [text_of(row) for row in range(rows)]})
            parquet.write_table(table, path, row_group_size=5000)
        else:
            mark = {".csv": ";", ".tsv": "\t"}[form]
            file.write(f"text{mark}label\n")
            file.writelines(f"{text_of(row)}{mark}{row}\n" for row in range(rows))
    return path


@pytest.mark.parametrize("form", [".csv", ".tsv", ".jsonl", ".parquet", ".conll"])
def test_memory_does_not_grow_with_the_rows(tmp_path: Path, form: str) -> None:
    def peak(rows: int) -> int:
        path = lines(tmp_path / f"{rows}{form}", rows)
        tracemalloc.start()
        try:
            assert sum(1 for _ in TAGGED_READERS[form](path)) == rows
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(100)  # what is imported on first use
    few, many = (1000, 4000) if form == ".conll" else (5000, 20_000)
    assert peak(many) <= 1.2 * peak(few) + (1 << 20), "a list of the rows takes 8 MB more"


@pytest.mark.parametrize(
    ("form", "broken"),
    [
        (".csv", b"caf\xe9;0\n"),
        (".csv", b'good;"never closed\n'),
        (".tsv", b'"two" quotes\t0\n'),
        (".conll", b"caf\xe9 O\n"),
        (".conll", b"alone\n"),
    ],
)
def test_what_stands_above_a_broken_line_is_read(tmp_path: Path, form: str, broken: bytes) -> None:
    path = lines(tmp_path / f"a{form}", 3000)
    with path.open("ab") as file:
        file.write(broken)
    *above, (name, last) = TAGGED_READERS[form](path)
    assert len(above) == 3000 and name == str(path)
    assert not any(isinstance(raw, Unreadable) for _, raw in above)
    line = path.read_bytes().count(b"\n")
    assert isinstance(last, Unreadable) and f"line {line}" in last.reason


def test_a_parquet_file_that_is_broken_further_on(tmp_path: Path) -> None:
    path = lines(tmp_path / "a.parquet", 20_000)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 2000] = bytes(2000)
    path.write_bytes(content)
    *above, (name, last) = table_rows(path)
    assert 4000 < len(above) < 20_000 and name == str(path) and isinstance(last, Unreadable)


def test_rows_come_as_they_are_read(tmp_path: Path) -> None:
    path = lines(tmp_path / "a.csv", 50_000)
    reader: Callable[[Path], Iterator[object]] = TAGGED_READERS[".csv"]
    tracemalloc.start()
    next(reader(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < path.stat().st_size / 2


def test_a_line_without_an_end_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    for name in ("a.csv", "a.jsonl"):
        path = tmp_path / name
        with path.open("wb") as file:
            file.write(b"text\n")
            file.truncate(65 << 20)
        *_, (_, last) = table_rows(path)
        assert isinstance(last, Unreadable) and "more than 64 MiB: divide it" in last.reason


def test_times_and_large_numbers_of_parquet_are_the_texts_of_training(tmp_path: Path) -> None:
    moments = [datetime.datetime(2024, 1, 31), datetime.datetime(2024, 2, 1, 12)]
    parquet.write_table(pyarrow.table({"text": moments}), tmp_path / "a.parquet")
    parquet.write_table(pyarrow.table({"text": [2**60 + 1, None]}), tmp_path / "b.parquet")
    for name, expected in (("a", "2024-01-31T00:00:00.000000000"), ("b", str(2**60 + 1))):
        path = tmp_path / f"{name}.parquet"
        assert texts(path)[0] == expected == trained.read_table(path, "parquet").texts("text")[0]
