"""What is kept of answers, and what figures are made of it."""

import numpy as np

from edgewright.exporters.reference import Figure, Metric, Samples, hits, packed
from edgewright.runtime.errors import DataError
from tests.messages import refused


def test_evidence_of_one_shape_is_one_array_of_numbers() -> None:
    assert packed([1, 2.5, True]).tolist() == [1.0, 2.5, 1.0]
    assert packed([(1, 0), (2, 3)]).dtype == np.float64
    assert packed([np.zeros((2, 3), np.float32)] * 4).shape == (4, 2, 3)


def test_evidence_of_several_shapes_stays_what_it_is() -> None:
    first, second = np.zeros((2, 1)), np.ones((5, 1))
    evidence = packed([first, second])
    assert evidence.shape == (2,) and evidence.dtype == object
    chosen = evidence[[1, 1, 0]]
    assert chosen[0] is second and chosen[1] is second and chosen[2] is first
    assert packed([]).shape == (0,)


def test_a_metric_of_which_less_is_better_is_turned_where_it_is_compared() -> None:
    better = Metric(name="errors", evidence=lambda answer, truth: 0.0, figure=np.mean, greater=False)
    assert better.merit(0.2) > better.merit(0.3)
    assert better.of(np.array([0.0, 1.0])) == 0.5
    assert Metric(name="hits", evidence=lambda answer, truth: 0.0, figure=np.mean).merit(0.2) == 0.2


def test_hits_and_misses() -> None:
    assert hits(packed([1.0, 0.0, 1.0])).tolist() == [True, False, True]
    assert not Figure(name="words", evidence=lambda answer, truth: 0, figure=len).optional


def test_samples_are_chosen_with_their_truths() -> None:
    samples = Samples(("a", "b", "c"), [1, 2, 3], ["one", np.zeros(2), None])
    few = samples.take([2, 0])
    assert (few.ids, few.raws, few.truths) == (("c", "a"), [3, 1], [None, "one"])
    assert len(few) == 2 and few.raw("a") == 1
    with refused(DataError):
        few.raw("b")
