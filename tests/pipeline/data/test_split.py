"""Dividing: disjointness, given splits, copies and conflicts, and data that cannot be divided."""

import numpy as np
import pytest

from edgewright.pipeline.data.content import content_of_raw
from edgewright.pipeline.data.samples import SPLITS, Dataset, Sample
from edgewright.pipeline.data.text.labelled import TEXTS
from edgewright.runtime.errors import DataError
from tests.messages import refused
from tests.pipeline.data.small_found import (
    LABELS,
    Row,
    contents,
    divided,
    found_of,
    labelled,
    rows,
    several,
    split,
)


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
    with refused(DataError):
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


def test_samples_are_equal_by_what_they_are() -> None:
    one = Sample("a", None, np.array([1.0, np.nan]), "c")
    assert one == Sample("a", "other", np.array([2.0]), "c") and hash(one) == hash(Sample("a", None, 3, "c"))
    assert one != Sample("a", None, 0, "c") and one != Sample("a", None, np.zeros(1), "d") and one != "a"
    assert one.label is None and Sample("a", None, 4, "c").label == 4


def test_given_splits_share_nothing() -> None:
    given = {
        "train": labelled(40),
        "evaluation": (several(3, 0), *(several(n, 0, 1, 2) for n in range(50, 60))),
    }
    splits = divided(Dataset(LABELS, given, (), "x", 51, TEXTS))
    assert "003" not in {sample.id for sample in splits.evaluation}, (
        "the same text with other labels is the same"
    )
    assert any(note.startswith("003: left out of evaluation: another split holds") for note in splits.notes)
    with refused(DataError):
        divided(Dataset(LABELS, {"train": labelled(40), "evaluation": labelled(4)}, (), "x", 44, TEXTS))


def test_a_copy_of_what_is_judged_is_in_no_split() -> None:
    copies = tuple(Sample(f"copy {one.id}", one.raw, one.target, one.content) for one in labelled(100))
    splits = divided(found_of((*labelled(100), *copies)))
    assert len(splits.train) == 2 * len(contents(splits, "train")) == 120
    (note,) = splits.notes
    assert note.endswith("an exact copy of another text and left out, so that none is judged twice")


def test_a_label_that_nothing_teaches() -> None:
    given = {"train": tuple(several(n, 0, 1) for n in range(20)), "evaluation": (several(30, 2),)}
    with refused(DataError):
        divided(Dataset(LABELS, given, (), "x", 21, TEXTS))
    assert divided(Dataset(LABELS, given, (), "x", 21, TEXTS, fixed=True)).notes == (
        "no evaluation text has the label a, b: nothing is measured of it",
    )


def test_one_class_each_of_a_model_may_lack_classes() -> None:
    samples = tuple(
        Sample(f"{n:02d}", f"text {n % 38}", n % 2, content_of_raw(f"text {n % 38}")) for n in range(40)
    )
    splits = divided(found_of(samples, fixed=True))
    assert splits.counts()["evaluation"][2] == 0 and splits.skipped == ()
    torn = (*samples, Sample("99", "text 1", 2, content_of_raw("text 1")))
    with refused(DataError):
        divided(found_of(torn, fixed=True))
