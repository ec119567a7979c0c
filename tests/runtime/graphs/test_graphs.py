"""Graphs by role: states that go from run to run and grow, rows in another order, results that are kept."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from edgewright.runtime.contracts import GraphSpec, StateSpec, Tensors, TensorSpec
from edgewright.runtime.errors import InputError
from edgewright.runtime.graphs.graphs import BatchLimits, Graphs
from tests.messages import refused

SPECS: Mapping[str, GraphSpec] = {
    "reader": GraphSpec(
        (TensorSpec("pixel_values", "float32", ("batch", 2)),), (TensorSpec("keys", "float32", ("batch", 2)),)
    ),
    "writer": GraphSpec(
        (
            TensorSpec("token", "int64", ("batch",)),
            TensorSpec("keys", "float32", ("batch", 2)),
            TensorSpec("table", "float32", (3,)),
        ),
        (TensorSpec("sum", "float64", ("batch",)),),
        (
            StateSpec("past", "past_next", ("batch", "past"), dtype="int64", grows="past"),
            StateSpec("level", "level_next", (1, "batch"), initial=0.5),
        ),
        {"keys": "reader.keys", "table": "reader.table"},
        {"past": 4},
    ),
}


class Summing(Graphs):
    """The writer adds all tokens so far, the keys and how often it ran."""

    def __init__(self) -> None:
        super().__init__(SPECS, BatchLimits())

    def run(self, role: str, inputs: Tensors) -> Tensors:
        assert role == "writer" and inputs["past"].dtype == np.int64 and inputs["level"].shape[0] == 1
        past = np.concatenate((inputs["past"], inputs["token"][:, np.newaxis]), axis=1)
        total = past.sum(axis=1) + inputs["keys"].sum(axis=1) + inputs["level"][0]
        return {"sum": total, "past_next": past, "level_next": inputs["level"] + 1}


CONSTANTS: dict[str, Tensors] = {
    "reader": {"keys": np.array([[100, 0], [200, 0], [300, 0]], np.float32), "table": np.zeros(3, np.float32)}
}


def sums(bound: Any, *tokens: int) -> list[float]:
    found: list[float] = bound.run({"token": np.array(tokens)})["sum"].tolist()
    return found


def test_states_go_from_run_to_run_and_grow() -> None:
    bound = Summing().bound("writer", 3, CONSTANTS)
    assert sums(bound, 1, 2, 3) == [101.5, 202.5, 303.5]
    assert sums(bound, 10, 20, 30) == [112.5, 223.5, 334.5]
    outputs = bound.run({"token": np.zeros(3, np.int64)})
    assert list(outputs) == ["sum"], "states are nobody else's business"


def test_rows_take_their_states_and_constants_along() -> None:
    bound = Summing().bound("writer", 3, CONSTANTS)
    sums(bound, 1, 2, 3)
    bound.reorder([2, 0, 2])
    assert sums(bound, 0, 0, 7) == [304.5, 102.5, 311.5]
    bound.reorder(np.array([1]))
    assert sums(bound, 5) == [108.5]


@pytest.mark.parametrize(("capacity", "runs"), [({}, 4), ({"past": 2}, 2), ({"past": 9}, 4)])
def test_a_state_grows_as_far_as_the_model_holds(capacity: Mapping[str, int], runs: int) -> None:
    bound = Summing().bound("writer", 3, CONSTANTS, capacity)
    for _ in range(runs):
        sums(bound, 1, 1, 1)
    with refused(InputError):
        sums(bound, 1, 1, 1)


def test_a_run_that_adds_several_ends_where_the_model_does() -> None:
    class Doubling(Summing):
        def run(self, role: str, inputs: Tensors) -> Tensors:
            outputs = super().run(role, inputs)
            return {**outputs, "past_next": np.repeat(outputs["past_next"], 2, axis=1)}

    bound = Doubling().bound("writer", 3, CONSTANTS, {"past": 5})
    sums(bound, 1, 1, 1)  # 2 long
    with refused(InputError):
        sums(bound, 1, 1, 1)  # 6


def test_a_capacity_that_the_model_does_not_name_holds_too() -> None:
    graphs = Summing()
    graphs.specs = {"writer": dataclasses.replace(SPECS["writer"], capacity={})}
    bound = graphs.bound("writer", 3, CONSTANTS, {"past": 1})
    sums(bound, 1, 1, 1)
    with refused(InputError):
        sums(bound, 1, 1, 1)


@pytest.mark.parametrize("axis", ["other", "batch"])
def test_a_capacity_of_what_does_not_grow(axis: str) -> None:
    with refused(InputError):
        Summing().bound("writer", 3, CONSTANTS, {axis: 2})


@pytest.mark.parametrize("rows", [1, 2, 4])
def test_constants_have_the_rows_that_run(rows: int) -> None:
    with refused(InputError):
        Summing().bound("writer", rows, CONSTANTS)


def test_constants_have_to_be_there() -> None:
    for constants in ({}, {"reader": {"keys": CONSTANTS["reader"]["keys"]}}):
        with refused(InputError):
            Summing().bound("writer", 3, constants)


def test_what_is_made_once_is_kept_for_a_while() -> None:
    graphs, made = Summing(), list[int]()

    def make(number: int) -> int:
        return graphs.once(number, lambda: made.append(number) or number)  # type: ignore[func-returns-value]

    assert [make(1), make(1), make(2)] == [1, 1, 2] and made == [1, 2]
    for number in range(20):
        make(number)
    assert len(graphs._kept) == 8 and make(19) == 19 and made.count(19) == 1
    make(1)
    assert made.count(1) == 2, "the oldest one goes"
