"""Reading tables: every format gives the same cells, and every mistake names the file, the place and the way out."""

import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgewright.pipeline.data.files import tables
from edgewright.pipeline.data.files.tables import Table, read_table
from edgewright.runtime.errors import DataError
from tests.messages import refused
from tests.pipeline.data.small_tables import WRITERS, sensors, write_csv, write_parquet

COLUMNS: dict[str, list[Any]] = {
    "name": ["a", "b", "c"],
    "value": [0.1, None, -3e-7],
    "count": [1, 2, 3],
    "day": ["2024-01-01", "2024-01-02", "2024-01-03"],
}
DAY = 86400.0


def message(path: Path, form: str = "csv") -> str:
    with pytest.raises(DataError) as caught:
        read_table(path, form)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_every_format_holds_the_same(tmp_path: Path, suffix: str) -> None:
    table = read_table(WRITERS[suffix](tmp_path / f"t{suffix}", COLUMNS), suffix[1:])
    assert table.columns == tuple(COLUMNS) and table.rows == 3
    assert table.texts("name") == ["a", "b", "c"] and table.texts("count") == ["1", "2", "3"]
    np.testing.assert_array_equal(table.numbers("value"), [0.1, np.nan, -3e-7])
    np.testing.assert_array_equal(np.diff(table.times("day")), [DAY, DAY])
    assert [name for name in table.columns if table.is_numeric(name)] == ["value", "count"]


def test_numbers_are_exact(tmp_path: Path) -> None:
    columns = sensors(steps=500)
    for suffix in (".csv", ".jsonl", ".parquet"):
        table = read_table(WRITERS[suffix](tmp_path / f"t{suffix}", columns), suffix[1:])
        np.testing.assert_array_equal(table.numbers("heat"), columns["heat"])


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_large_csv_is_read_by_another_reader_to_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, separator: str
) -> None:
    path = write_csv(tmp_path / "t.csv", {**COLUMNS, "word": ['"x ""y"" z"', "", "NA"]})
    path.write_text(path.read_text().replace(",", separator))
    small = read_table(path, "csv")
    monkeypatch.setattr(tables, "_LARGE", 1)
    monkeypatch.setattr(tables, "_read", None)  # calling it would fail
    large = read_table(path, "csv")
    assert large.columns == small.columns and large.rows == 3
    for name in ("value", "count"):
        np.testing.assert_array_equal(large.numbers(name), small.numbers(name))
    np.testing.assert_array_equal(large.times("day"), small.times("day"))
    for name in large.columns:
        assert large.texts(name) == small.texts(name)
    assert [large.place(row) for row in range(3)] == [small.place(row) for row in range(3)]


def test_what_the_reader_of_large_files_stumbles_over_is_explained_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "_LARGE", 1)
    path = tmp_path / "t.csv"
    path.write_text("a,b\n1,2\n3\n")
    assert "line 3 has 1 cells, the first line 2" in message(path)
    path.write_text("a,a\n1,2\n")
    assert "'a'" in message(path)
    path.write_text("a,b\n" + "1,2\n" * 50 + "x,2\n")
    with refused(DataError):
        read_table(path, "csv").numbers("a")
    assert "is a folder" in message(tmp_path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "is empty"),
        ("a,b\n", "holds no rows"),
        ("a,b\n1,2\n1,2,3\n", "line 3 has 3 cells, the first line 2"),
        ("a,b,a\n1,2,3\n", "the column 'a' occurs twice"),
        ("a,,b\n1,2,3\n", "column 2 has no name"),
        ("1,2\n3,4\n", "the first line holds numbers"),
        ('a,b\n1,"2\n3,4\n', "cannot be read (unexpected end of data)"),
    ],
)
def test_a_broken_csv(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text)
    found = message(path)
    assert "t.csv" in found and expected in found and found.count(": ") >= 1


def test_a_csv_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"a,b\n\xff\xfe,1\n")
    assert "UTF-8" in message(path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a": 1}\n{"a": \n', "line 2"),
        ('{"a": 1}\n[1]\n', "line 2"),
        ('{"a": 1}\n{"a": NaN}\n', "line 2"),
        ("\n\n", "holds no rows"),
    ],
)
def test_broken_json_lines(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text(text)
    assert expected in message(path, "jsonl")


def test_a_broken_parquet(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    path.write_bytes(b"PAR1 nothing PAR1")
    assert "t.parquet is not a Parquet file" in message(path, "parquet")
    assert "holds no rows" in message(write_parquet(path, {"a": []}), "parquet")


def test_text_in_a_number_column_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,b\n1,2\n\n3,4\nwarm,5\n")
    table = read_table(path, "csv")
    assert table.is_numeric("a")
    with refused(DataError):
        table.numbers("a")


@pytest.mark.parametrize("cell", ["inf", "-Infinity", "1e999"])
def test_infinity_names_the_line(tmp_path: Path, cell: str) -> None:
    path = write_csv(tmp_path / "t.csv", {"a": [1, cell]})
    with refused(DataError):
        read_table(path, "csv").numbers("a")


def test_missing_cells(tmp_path: Path) -> None:
    cells = ["1", "", "NA", "nan", "null", "None", "?", "n/a"]
    values = read_table(write_csv(tmp_path / "t.csv", {"a": cells, "b": range(8)}), "csv").numbers("a")
    assert values[0] == 1 and np.isnan(values[1:]).all()


def test_a_column_that_is_not_there_has_a_near_match() -> None:
    table = Table("t.csv", {"heat": [1], "flow": [2]}, 1)
    with refused(DataError):
        table.need("heet", "data.target")


def test_times_that_are_none(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "t.csv", {"when": ["2024-01-01", "soon"], "a": [1, 2]})
    with refused(DataError):
        read_table(path, "csv").times("when")


def test_types_of_parquet(tmp_path: Path) -> None:
    moments = [datetime.datetime(2024, 1, 1, hour, tzinfo=datetime.UTC) for hour in (0, 1)]
    columns: dict[str, list[Any]] = {
        "flag": [True, False],
        "gap": [1, None],
        "money": [Decimal("1.5"), Decimal("2.5")],
        "when": moments,
        "day": [moment.date() for moment in moments],
        "lists": [[1.0], [2.0, 3.0]],
    }
    table = read_table(write_parquet(tmp_path / "t.parquet", columns), "parquet")
    np.testing.assert_array_equal(table.numbers("flag"), [1, 0])
    np.testing.assert_array_equal(table.numbers("gap"), [1, np.nan])
    np.testing.assert_array_equal(table.numbers("money"), [1.5, 2.5])
    np.testing.assert_array_equal(table.times("when"), [1704067200, 1704070800])
    np.testing.assert_array_equal(table.times("day"), [1704067200, 1704067200])
    with refused(DataError):
        table.numbers("lists")
