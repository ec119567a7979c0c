"""Which rows share a batch: those of one shape, or of nearly one length, within what a batch may hold."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from edgewright.runtime.contracts import Tensors
from edgewright.runtime.graphs.graphs import BatchLimits
from edgewright.runtime.running.rows import batches, run_rows
from tests.answering import FunctionGraphs
from tests.runtime.encoder_bundle import case
from tests.runtime.recurrent_bundle import case as recurrent
from tests.runtime.small_bundle import LABELS, SETTINGS


def lengths_of(found: Sequence[Sequence[int]], lengths: Sequence[int]) -> list[list[int]]:
    return [[lengths[index] for index in batch] for batch in found]


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        (BatchLimits(9, None), [[7, 2, 5, 2, 3]]),
        (BatchLimits(9, 35), [[7, 2, 5, 2, 3]]),
        (BatchLimits(2, None), [[2, 2], [3, 5], [7]]),
        (BatchLimits(9, 9), [[2, 2, 3], [5], [7]]),
        (BatchLimits(9, 1), [[2], [2], [3], [5], [7]]),
    ],
)
def test_rows_of_nearly_one_length_share_a_batch(limits: BatchLimits, expected: list[list[int]]) -> None:
    lengths = [7, 2, 5, 2, 3]
    rows: list[Tensors] = [{"input_ids": np.zeros(length, np.int64)} for length in lengths]
    found = list(batches(case("one label").device_task(), rows, limits))
    assert lengths_of(found, lengths) == expected
    assert sorted(index for batch in found for index in batch) == [0, 1, 2, 3, 4]


def test_steps_of_a_series_are_no_tokens() -> None:
    rows: list[Tensors] = [{"values": np.zeros((length, 3), np.float32)} for length in (900, 2, 700)]
    task = recurrent("sequence-regression").device_task()
    assert list(batches(task, rows, BatchLimits(3, 512))) == [[0, 1, 2]]
    assert list(batches(task, rows, BatchLimits(2, 512))) == [[1, 2], [0]]
    assert list(batches(task, [], BatchLimits())) == []


def test_rows_of_another_shape_have_batches_of_their_own() -> None:
    from edgewright.runtime.bundle.structure import to_plain
    from edgewright.runtime.tasks.image_classification import ImageClassification

    task = ImageClassification(to_plain(SETTINGS), LABELS)
    sizes = [(4, 5), (5, 4), (4, 5), (4, 5), (5, 4)]
    rows: list[Tensors] = [
        {"pixel_values": np.full((3, *size), place, np.float32)} for place, size in enumerate(sizes)
    ]
    assert list(batches(task, rows, BatchLimits(2))) == [[0, 2], [3], [1, 4]]

    def run(feeds: Tensors) -> Tensors:
        return {"logits": feeds["pixel_values"].mean(axis=(1, 2, 3))[:, np.newaxis] + np.arange(3)}

    found: Any = task.run(rows, FunctionGraphs(run))
    assert [outputs["logits"][0] for outputs in found] == [0, 1, 2, 3, 4], "each gets its own back"


def test_a_short_row_does_not_keep_the_batch_of_a_long_one() -> None:
    task = recurrent("sequence-regression").device_task()
    rows: list[Tensors] = [
        {"values": np.full((length, 3), length, np.float32), "lengths": np.array(length)}
        for length in (5, 3000, 2000)
    ]

    def run(feeds: Tensors) -> Tensors:
        return {"prediction": feeds["values"][..., :2] + 1}

    short, long, most = (found["prediction"] for found in run_rows(task, rows, FunctionGraphs(run)))
    for found, length in ((short, 5), (long, 3000), (most, 2000)):
        np.testing.assert_array_equal(found, np.full((length, 2), length + 1))
    assert short.base is None and long.base is not None and most.base is not None
