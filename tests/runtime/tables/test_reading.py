"""Tables by columns: every form and ending of a name, places of rows, and what is said of a file that is none."""

import datetime
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from edgewright.runtime.errors import InputError, MachineError
from edgewright.runtime.tables.reading import TABLE_SUFFIXES, read_table
from tests.messages import refused


def write_parquet(path: Path, columns: dict[str, Any]) -> Path:
    parquet.write_table(pyarrow.table(columns), path)
    return path


def test_every_ending_is_read(tmp_path: Path) -> None:
    for suffix, form in TABLE_SUFFIXES.items():
        path = tmp_path / f"t{suffix.upper()}"
        if form == "csv":
            path.write_text("a;b\n1;x\n2;y\n")
        elif form == "jsonl":
            path.write_bytes(b'\xef\xbb\xbf{"a": 1, "b": "x"}\r\n\r\n{"a": 2, "b": "y"}\r')
        elif form == "parquet":
            write_parquet(path, {"a": [1, 2], "b": ["x", "y"]})
        else:
            with path.open("wb") as file:
                np.savez(file, a=np.array([1, 2]), b=np.array(["x", "y"]))
        table = read_table(path)
        assert table.form == form and table.rows == 2 and list(table.columns) == ["a", "b"]
        assert list(table.columns["b"]) == ["x", "y"]
        assert table.numbers("a").tolist() == [1, 2]
        assert table.place(1) == {"csv": "line 3", "jsonl": "line 3"}.get(form, "row 2")


def test_the_form_may_be_named(tmp_path: Path) -> None:
    (tmp_path / "log.txt").write_text("a,b\n1,2\n")
    assert read_table(tmp_path / "log.txt", "csv").columns == {"a": ["1"], "b": ["2"]}
    with refused(InputError):
        read_table(tmp_path / "log.txt")


def test_messages_name_the_place(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "t.parquet", {"a": ["1", "high"], "when": ["2024-01-01", None]})
    with refused(InputError):
        read_table(path).numbers("a")
    with refused(InputError):
        read_table(path).times("when")


def test_types_of_parquet(tmp_path: Path) -> None:
    moment = datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)
    columns = {
        "gap": [1, None],
        "flag": [True, False],
        "when": [moment, moment.replace(hour=1)],
        "word": pyarrow.array(["01", None]).dictionary_encode(),
        "lists": [[1.0], None],
        "half": pyarrow.array(np.array([0.5, 1.5], np.float16)),
    }
    table = read_table(write_parquet(tmp_path / "t.parquet", columns))
    assert np.isnan(table.numbers("gap")).tolist() == [False, True]
    assert table.numbers("flag").tolist() == [1, 0] and table.numbers("half").tolist() == [0.5, 1.5]
    assert table.times("when").tolist() == [1704067200, 1704070800]
    assert table.columns["word"] == ["01", None] and table.columns["lists"] == [[1.0], None]


def test_parquet_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1 nothing PAR1")
    with refused(InputError):
        read_table(tmp_path / "a.parquet")
    late = pyarrow.array([datetime.datetime(9999, 1, 1)], pyarrow.timestamp("s"))
    with refused(InputError):
        read_table(write_parquet(tmp_path / "b.parquet", {"when": late}))
    twice = pyarrow.Table.from_arrays([pyarrow.array([1]), pyarrow.array([2])], ["a", "a"])
    parquet.write_table(twice, tmp_path / "c.parquet")
    with refused(InputError):
        read_table(tmp_path / "c.parquet")
    with refused(InputError):
        read_table(write_parquet(tmp_path / "d.parquet", {"a": []}))


def test_a_device_without_pyarrow_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_parquet(tmp_path / "t.parquet", {"a": [1]})
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with refused(MachineError) as caught:
        read_table(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "arrays",
    [
        {"a": np.arange(3.0), "rate": np.array(44100)},
        {"a": np.arange(3.0), "rate": np.array("44100")},
        {"a": np.arange(3.0), "rate": np.array([[1, 2]], "m8[s]")},
        {"a": np.arange(3.0), "rate": np.zeros(3, "V4")},
    ],
    ids=["scalar", "text", "times", "bytes"],
)
def test_arrays_that_are_no_column_are_refused_as_one_alone(tmp_path: Path, arrays: dict[str, Any]) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, **arrays)
    table = read_table(path)
    assert table.numbers("a").tolist() == [0, 1, 2]
    for read in (table.numbers, table.times):
        with pytest.raises(InputError, match=r"a\.npz: .*'rate'"):
            read("rate")


def test_archives_that_are_damaged_within(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez_compressed(path, a=np.arange(4000.0), b=np.ones((30, 30)))
    content = path.read_bytes()
    refusals = 0
    for place in range(0, len(content), 37):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0x55]) + content[place + 1 :])
        try:
            read_table(path)
        except InputError as error:
            refusals += 1
            assert len(str(error).splitlines()) == 1
    assert refusals > 20


def test_parquet_text_that_is_not_utf8(tmp_path: Path) -> None:
    bad = pyarrow.Array.from_buffers(
        pyarrow.string(),
        1,
        [None, pyarrow.py_buffer(np.array([0, 4], np.int32)), pyarrow.py_buffer(b"caf\xe9")],
    )
    with pytest.raises(InputError, match=r"t\.parquet: the column 'a' cannot be read: .*utf-8"):
        read_table(write_parquet(tmp_path / "t.parquet", {"a": bad}))


def test_times_beyond_float_are_infinite_and_refused_where_they_matter(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(f'{{"when": {10**400}}}\n{{"when": {-(10**400)}}}\n')
    assert read_table(tmp_path / "a.jsonl").times("when").tolist() == [np.inf, -np.inf]
