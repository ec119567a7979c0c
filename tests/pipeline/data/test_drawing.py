"""Drawing: shares and limits, every class or label where it must be, together what belongs together."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgewright.pipeline.data.drawing import allot
from edgewright.pipeline.data.samples import SPLITS
from edgewright.runtime.errors import DataError
from tests.messages import refused
from tests.pipeline.data.small_found import (
    contents,
    divided,
    found,
    found_of,
    found_questions,
    labelled,
    rows,
    several,
    split,
)


@given(st.lists(st.integers(0, 50), min_size=1, max_size=8), st.integers(0, 300))
@settings(max_examples=200, deadline=None)
def test_allot_gives_the_total_in_proportion(counts: list[int], total: int) -> None:
    parts = allot(counts, total)
    assert sum(parts) == min(total, sum(counts))
    for part, count in zip(parts, counts, strict=True):
        assert 0 <= part <= count
        if sum(counts):
            assert abs(part - count * min(total, sum(counts)) / sum(counts)) < 1


@given(
    st.lists(st.integers(3, 60), min_size=2, max_size=6),
    st.floats(0.01, 0.4),
    st.floats(0.01, 0.4),
    st.integers(0, 5),
)
@settings(max_examples=100, deadline=None)
def test_drawn_splits_are_disjoint_complete_and_hold_every_class(
    counts: list[int], evaluation: float, validation: float, seed: int
) -> None:
    splits = split(
        {"train": rows(counts)},
        len(counts),
        seed,
        evaluation=evaluation,
        validation=validation,
        calibration=0,
    )
    parts = [contents(splits, name) for name in SPLITS]
    assert sum(map(len, parts)) == len(set().union(*parts)) == sum(counts)
    for name in ("train", "validation", "evaluation"):
        assert min(splits.counts()[name]) >= 1


def test_shares_are_kept_class_by_class() -> None:
    splits = split({"train": rows([100, 200, 40])}, 3)
    assert splits.counts() == {
        "train": (60, 120, 24),
        "validation": (10, 20, 4),
        "calibration": (10, 20, 4),
        "evaluation": (20, 40, 8),
    }


def test_one_more_image_moves_few_others() -> None:
    before, after = split({"train": rows([200, 200])}, 2), split({"train": rows([201, 200])}, 2)
    for name in ("train", "validation", "evaluation"):
        assert len(contents(before, name) - contents(after, name)) <= 2


def test_calibration_stops_at_its_limit_and_the_rest_trains() -> None:
    splits = split({"train": rows([500, 500])}, 2, calibration=0.3, calibration_limit=20)
    assert splits.counts()["calibration"] == (10, 10) and splits.counts()["train"] == (340, 340)


def test_few_images_still_reach_every_split() -> None:
    splits = split({"train": rows([4, 3])}, 2)
    assert splits.counts()["evaluation"] == (1, 1) and splits.counts()["validation"] == (1, 1)
    assert sum(splits.counts()["calibration"]) == 1 and min(splits.counts()["train"]) == 1


def test_without_classes_everything_is_divided_as_one() -> None:
    splits = split({"train": rows([40])}, 0, calibration=0.0)
    assert splits.counts() == {
        "train": (28,),
        "validation": (4,),
        "calibration": (0,),
        "evaluation": (8,),
    }
    with refused(DataError):
        divided(found({"train": rows([2])}, 0), calibration=0.0)


@pytest.mark.parametrize("seed", range(5))
def test_shares_are_met_by_groups_and_nothing_is_lost_or_doubled(seed: int) -> None:
    splits = divided(found_of(labelled(100)), seed)
    assert [len(splits.split(name)) for name in SPLITS] == [60, 10, 10, 20]
    names = [sample.id for split in SPLITS for sample in splits.split(split)]
    assert sorted(names) == [f"{number:03d}" for number in range(100)]
    assert divided(found_of(labelled(100)[::-1]), seed) == splits


def test_other_seeds_divide_otherwise_and_limits_hold() -> None:
    source = found_of(labelled(100))
    assert divided(source, 1).digest() != divided(source, 2).digest()
    assert len(divided(source, calibration_limit=4).calibration) == 4
    assert divided(source, calibration=0).calibration == ()
    assert divided(source, validation=0).validation == ()


def test_a_group_larger_than_the_limit_of_calibration_trains_with_what_is_over() -> None:
    source, _ = found_questions(60, 12)
    splits = divided(source, calibration_limit=3)
    assert len(splits.calibration) == 3
    assert sum(len(splits.split(name)) for name in SPLITS) == 60


def test_every_label_is_learnt_and_the_rest_is_told() -> None:
    samples = (*(several(number, 0) for number in range(40)), several(40, 1), several(41, 2))
    for seed in range(10):
        splits = divided(found_of(samples), seed)
        learnt = np.stack([np.asarray(sample.target) for sample in splits.train])
        assert learnt.any(axis=0).all()
        assert splits.notes == ("no evaluation text has the label b, c: nothing is measured of it",)


def test_what_belongs_together_stays_together() -> None:
    source, groups = found_questions(60, 12)
    splits = divided(source)
    homes = {groups[sample.id]: name for name in SPLITS for sample in splits.split(name)}
    for name in SPLITS:
        assert all(homes[groups[sample.id]] == name for sample in splits.split(name))
        assert len(splits.split(name)) % 5 == 0 and splits.split(name)


def test_too_little_to_divide() -> None:
    with refused(DataError):
        divided(found_of((), fixed=True))
    with refused(DataError):
        divided(found_of(labelled(4)))
    with refused(DataError):
        divided(found_questions(10, 2)[0])
