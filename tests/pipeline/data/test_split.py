"""Dividing: shares, disjointness, limits, and what happens to copies."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgewright.pipeline.data.samples import SPLITS, Found, Sample, Splits
from edgewright.pipeline.data.split import allot, divide
from edgewright.pipeline.recipe.data import Data
from edgewright.runtime.errors import DataError

Row = tuple[str, int, str]  # id, target, content


def rows(counts: Sequence[int], prefix: str = "") -> list[Row]:
    return [
        (f"{prefix}{target}/{index:04d}", target, f"{prefix}{target}-{index}")
        for target, count in enumerate(counts)
        for index in range(count)
    ]


def found(given_rows: Mapping[str, Sequence[Row]], classes: int) -> Found:
    samples = {
        split: tuple(Sample(name, Path(name), target, content) for name, target, content in split_rows)
        for split, split_rows in given_rows.items()
    }
    files = sum(len(split_rows) for split_rows in given_rows.values())
    return Found(tuple(f"class{index}" for index in range(classes)), samples, (), "here", files)


def split(given_rows: Mapping[str, Sequence[Row]], classes: int, seed: int = 0, **settings_: Any) -> Splits:
    return divide(found(given_rows, classes), Data(source="x", **settings_), seed)


def contents(splits: Splits, name: str) -> set[str]:
    return {sample.content for sample in splits.split(name)}


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


def test_the_same_seed_gives_the_same_splits_whatever_the_order_and_the_names() -> None:
    forward = split({"train": rows([30, 30])}, 2)
    backward = split({"train": rows([30, 30])[::-1]}, 2)
    assert forward == backward and forward.digest() == backward.digest()
    renamed = split(
        {"train": [(f"other/{name}", target, content) for name, target, content in rows([30, 30])]}, 2
    )
    assert all(contents(renamed, name) == contents(forward, name) for name in SPLITS)
    assert renamed.digest() != forward.digest()
    assert split({"train": rows([30, 30])}, 2, seed=1).digest() != forward.digest()


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


def test_train_per_class_shrinks_only_the_training_split() -> None:
    whole = split({"train": rows([50, 50])}, 2)
    few = split({"train": rows([50, 50])}, 2, train_per_class=3)
    assert few.counts()["train"] == (3, 3) and contents(few, "train") <= contents(whole, "train")
    assert all(few.split(name) == whole.split(name) for name in SPLITS[1:])


def test_given_splits_are_taken_whole() -> None:
    given_rows = {"train": rows([50, 50]), "evaluation": rows([5, 6], "test/")}
    splits = split(given_rows, 2)
    assert splits.counts()["evaluation"] == (5, 6)
    assert splits.counts()["train"] == (40, 40) and splits.counts()["validation"] == (5, 5)
    splits = split(
        {**given_rows, "validation": rows([2, 3], "val/"), "calibration": rows([9, 9], "calib/")}, 2
    )
    assert splits.counts()["train"] == (50, 50) and splits.counts()["validation"] == (2, 3)
    assert splits.counts()["calibration"] == (9, 9)
    few = split({**given_rows, "calibration": rows([9, 9], "calib/")}, 2, calibration_limit=4)
    assert sum(few.counts()["calibration"]) == 4


def test_copies_never_cross_splits() -> None:
    originals = rows([30, 30])
    copies = [(f"copy/{name}", target, content) for name, target, content in originals]
    splits = split({"train": [*originals, *copies]}, 2)
    parts = [contents(splits, name) for name in SPLITS]
    assert sum(map(len, parts)) == len(set().union(*parts)) == 60
    assert len(splits.train) == 2 * len(contents(splits, "train")), "copies of training images may repeat"
    assert len(splits.evaluation) == len(contents(splits, "evaluation"))
    (note,) = splits.notes
    assert "exact copy" in note and "more" in note


def test_an_evaluation_image_that_training_sees_is_left_out_and_named() -> None:
    train, evaluation = rows([20, 20]), rows([5, 5], "test/")
    splits = split({"train": train, "evaluation": [*evaluation, ("test/0/leak", 0, train[0][2])]}, 2)
    assert splits.counts()["evaluation"] == (5, 5)
    assert splits.notes == ("test/0/leak: left out of evaluation: another split holds the same picture",)
    with pytest.raises(DataError, match="every evaluation image of class 'class0' is also in another split"):
        split({"train": train, "evaluation": [("test/0/leak", 0, train[0][2]), evaluation[-1]]}, 2)


def test_one_picture_under_two_classes_is_skipped_in_both() -> None:
    plain = rows([50, 50])
    splits = split({"train": [*plain, ("0/odd", 0, "same"), ("1/odd", 1, "same")]}, 2)
    assert [skipped.path for skipped in splits.skipped] == ["0/odd", "1/odd"]
    assert splits.skipped[0].reason == "the same picture lies in class0 and class1: keep the right one"
    assert sum(map(sum, splits.counts().values())) == 100 and splits.files == 102


@pytest.mark.parametrize(
    ("given_rows", "classes", "message"),
    [
        ({"train": rows([9])}, 1, r"the data has only one class \(class0\), a classifier needs two"),
        ({"train": rows([2, 0, 0])}, 3, "3 classes and only 2 usable images"),
        (
            {"train": rows([9, 0, 9])},
            3,
            "no usable image of class 'class1': add images, or leave the class out",
        ),
        (
            {"train": rows([9, 9]), "evaluation": rows([3, 0], "test/")},
            2,
            "no usable image of class 'class1' in evaluation",
        ),
        (
            {"train": rows([9, 2])},
            2,
            "class 'class1' has 2 different images to divide, one each for train and evaluation",
        ),
        ({"train": rows([3, 3])}, 2, "too few images to keep some for calibration"),
    ],
)
def test_data_that_cannot_be_divided(given_rows: dict[str, list[Row]], classes: int, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        split(given_rows, classes)
    assert "\n" not in str(caught.value)


def test_counts_are_plain_numbers() -> None:
    counts = split({"train": rows([20, 20])}, 2).counts()
    assert all(type(count) is int for row in counts.values() for count in row)


def test_without_classes_everything_is_divided_as_one() -> None:
    source = found({"train": rows([40])}, 0)
    splits = divide(source, Data(source="x", calibration=0.0), 0)
    assert splits.counts() == {
        "train": (28,),
        "validation": (4,),
        "calibration": (0,),
        "evaluation": (8,),
    }
    with pytest.raises(
        DataError, match=r"the data has 2 different images to divide, one each for train.*: add images"
    ):
        divide(found({"train": rows([2])}, 0), Data(source="x", calibration=0.0), 0)


def test_samples_are_equal_by_what_they_are() -> None:
    one = Sample("a", None, np.array([1.0, np.nan]), "c")
    assert one == Sample("a", "other", np.array([2.0]), "c") and hash(one) == hash(Sample("a", None, 3, "c"))
    assert one != Sample("a", None, 0, "c") and one != Sample("a", None, np.zeros(1), "d") and one != "a"
    assert one.label is None and Sample("a", None, 4, "c").label == 4
