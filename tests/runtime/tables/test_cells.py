"""Cells to numbers, times and texts: by one rule, over all cells of a column, whatever its length."""

import datetime
import math
import random
from typing import Any

import numpy as np
import pytest

from edgewright.runtime.errors import InputError
from edgewright.runtime.tables import cells as module
from edgewright.runtime.tables.cells import cell_text, column_numbers, column_times, is_number, mostly_numbers
from edgewright.runtime.tables.numbers import parse_number, parse_time
from tests.messages import refused

NUMBERS = ["1", "01", "-0.5", "+1", "1e3", " 2 ", ".5", "5.", "inf", "-Infinity", "1e999", "1e-999", "\u0663"]
MISSING = ["", " ", "nan", "NaN", "NA", "n/a", "null", "None", "?", " na "]
TEXTS = ["a", "1,5", "1_0", "0x1", "2024-01-01", "1 2", "--1", "nan(1)", "TRUE"]


@pytest.fixture(params=[1 << 16, 3], ids=["long parts", "short parts"])
def parts(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PART", request.param)


def where(row: int) -> str:
    return f"row {row}"


@pytest.mark.usefixtures("parts")
@pytest.mark.parametrize("seed", range(5))
def test_numbers_are_what_each_cell_is_alone(seed: int) -> None:
    draws = random.Random(seed)
    cells = draws.choices(NUMBERS + MISSING if seed else NUMBERS, k=50)
    found = column_numbers(cells, where, "x")
    np.testing.assert_array_equal(found, [parse_number(cell, "") for cell in cells])
    place = draws.randrange(50)
    for text in TEXTS:
        cells[place] = text
        with pytest.raises(InputError, match=rf"^row {place} holds text where a number is needed"):
            column_numbers(cells, where, "x")


@pytest.mark.usefixtures("parts")
def test_plain_values_are_numbers_too() -> None:
    cells: list[Any] = [1, None, 2.5, True, "3", "", np.float32(0.5), 10**400, -(10**400)]
    found = column_numbers(cells, where, "x")
    np.testing.assert_array_equal(found, [1, math.nan, 2.5, 1, 3, math.nan, 0.5, math.inf, -math.inf])
    with refused(InputError):
        column_numbers([1, [2]], where, "x")
    with refused(InputError):
        column_numbers([{}], where, "x", lambda cell: "a heap")
    with refused(InputError):
        column_numbers(np.array(["2024-01-01"], "M8[D]"), where, "x")


@pytest.mark.usefixtures("parts")
@pytest.mark.parametrize(
    "cells",
    [
        ["1", "2.5", "-3", "4e2"],
        ["2024-01-31", "2024-02-01 12:00", "2024-02-01T13:00:00+02:00", "2024-02-02"],
        ["20240131", "20240201", "20240202", "20240203"],
        ["2024-01-31", "5", " 2024-02-01 ", "6"],
        ["20240131T12", "2024-W05-1", "2024-01-31", "1"],
    ],
)
def test_times_are_what_each_cell_is_alone(cells: list[str]) -> None:
    assert column_times(cells, where, "x").tolist() == [parse_time(cell, "") for cell in cells]
    for text in ("soon", "", "nan", "inf", "1_0", None):
        with pytest.raises(InputError, match=rf"^row {len(cells)} is no time \('{text or ''}'\)"):
            column_times([*cells, text], where, "x")


def test_times_of_other_kinds() -> None:
    moment = datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)
    seconds = moment.timestamp()
    assert column_times([moment, 3, 4.5], where, "x").tolist() == [seconds, 3, 4.5]
    assert column_times(np.array(["2024-01-01"], "M8[s]"), where, "x").tolist() == [seconds]
    with refused(InputError):
        column_times([True], where, "x")


def test_text_is_as_it_is_written() -> None:
    written = ["01", "1.0", "007", " x ", "nan", "None", "1e3", "+1"]
    assert [cell_text(cell) for cell in written] == written
    assert [cell_text(cell) for cell in (None, "", math.nan, np.float64("nan"))] == [None] * 4
    assert [cell_text(cell) for cell in (1, 1.0, 1.5, np.int64(3), np.float64(2), True)] == [
        "1", "1", "1.5", "3", "2", "True",
    ]  # fmt: skip


@pytest.mark.parametrize("cell", [*NUMBERS, *MISSING, 1, 1.5, False])
def test_a_cell_that_is_a_number(cell: Any) -> None:
    assert is_number(cell)


@pytest.mark.parametrize("cell", [*TEXTS, [1], None])
def test_a_cell_that_is_none(cell: Any) -> None:
    assert not is_number(cell)


@pytest.mark.usefixtures("parts")
@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["1"] * 51 + ["x"] * 49, True),
        (["x"] * 49 + ["1"] * 51, True),
        (["x"] * 50 + ["1"] * 50, False),
        (["", None, "x"], False),
        (["", None], True),
        ([], True),
        (["NA", "NA", "1", "x"], True),
        ([1, None, "2", [3]], True),
        ([[1], [2]], False),
        (["x"] * 20_000 + ["1"] * 20_001, True),
        (["1"] * 20_000 + ["x"] * 20_001, False),
        (np.array([1.5]), True),
        (np.array(["2024-01-01"], "M8[D]"), False),
    ],
)
def test_all_cells_say_what_a_column_holds(cells: Any, expected: bool) -> None:
    assert mostly_numbers(cells) is expected
