"""Dividing what has not one class each: disjoint, together what belongs together, the same for the same seed."""

import numpy as np
import pytest

from edgewright.pipeline.data.free_split import divide_freely
from edgewright.pipeline.data.samples import SPLITS, Answers, Found, Sample, Splits
from edgewright.pipeline.data.text.content import content_of_raw, content_with
from edgewright.pipeline.data.text.labelled import TEXTS
from edgewright.pipeline.data.text.questions import QUESTIONS
from edgewright.pipeline.recipe.data import Data
from edgewright.runtime.errors import DataError
from edgewright.runtime.text.reading import Question, TextPair, Words

CLASSES = ("a", "b", "c")


def several(number: int, *labels: int) -> Sample:
    raw, target = f"text {number}", np.zeros(3)
    target[list(labels)] = 1.0
    return Sample(f"{number:03d}", raw, target, content_with(raw, list(labels)))


def rows(count: int) -> tuple[Sample, ...]:
    return tuple(several(number, *[[0], [0, 1], [], [2]][number % 4]) for number in range(count))


def divide(found: Found, seed: int = 0, **data: float) -> Splits:
    return divide_freely(found, Data(source="x", **data), seed)  # type: ignore[arg-type]


def found_of(samples: tuple[Sample, ...], fixed: bool = False) -> Found:
    return Found(CLASSES, {"train": samples}, (), "x", len(samples), TEXTS, fixed=fixed)


@pytest.mark.parametrize("seed", range(5))
def test_shares_are_met_and_nothing_is_lost_or_doubled(seed: int) -> None:
    splits = divide(found_of(rows(100)), seed)
    assert [len(splits.split(name)) for name in SPLITS] == [60, 10, 10, 20]
    names = [sample.id for split in SPLITS for sample in splits.split(split)]
    assert sorted(names) == [f"{number:03d}" for number in range(100)]
    assert divide(found_of(rows(100)[::-1]), seed) == splits


def test_other_seeds_divide_otherwise_and_limits_hold() -> None:
    assert divide(found_of(rows(100)), 1).digest() != divide(found_of(rows(100)), 2).digest()
    assert len(divide(found_of(rows(100)), calibration_limit=4).calibration) == 4
    assert divide(found_of(rows(100)), calibration=0).calibration == ()
    assert divide(found_of(rows(100)), validation=0).validation == ()


def test_every_label_is_learnt_and_the_rest_is_told() -> None:
    samples = (*(several(number, 0) for number in range(40)), several(40, 1), several(41, 2))
    for seed in range(10):
        splits = divide(found_of(samples), seed)
        learnt = np.stack([np.asarray(sample.target) for sample in splits.train])
        assert learnt.any(axis=0).all()
        assert splits.notes == ("no evaluation text has the label b, c: nothing is measured of it",)


def test_a_label_that_nothing_teaches() -> None:
    given = {"train": tuple(several(n, 0, 1) for n in range(20)), "evaluation": (several(30, 2),)}
    with pytest.raises(DataError, match="no training text has the label 'c': add texts with it, or leave it"):
        divide(Found(CLASSES, given, (), "x", 21, TEXTS))
    assert divide(Found(CLASSES, given, (), "x", 21, TEXTS, fixed=True)).notes == (
        "no evaluation text has the label a, b: nothing is measured of it",
    )


def test_what_belongs_together_stays_together() -> None:
    samples = []
    for number in range(60):
        raw = Question(f"question {number}", f"context {number % 12}")
        samples.append(Sample(f"{number:02d}", raw, Answers(), content_with(raw, [])))
    groups = {sample.id: sample.raw.context for sample in samples}
    found = Found((), {"train": tuple(samples)}, (), "x", 60, QUESTIONS, groups=groups)
    splits = divide(found)
    homes = {groups[sample.id]: name for name in SPLITS for sample in splits.split(name)}
    for name in SPLITS:
        assert all(homes[groups[sample.id]] == name for sample in splits.split(name))
        assert len(splits.split(name)) % 5 == 0 and splits.split(name)


def test_given_splits_share_nothing() -> None:
    given = {"train": rows(40), "evaluation": (several(3, 0), *(several(n, 0, 1, 2) for n in range(50, 60)))}
    splits = divide(Found(CLASSES, given, (), "x", 51, TEXTS))
    assert "003" not in {sample.id for sample in splits.evaluation}, (
        "the same text with other labels is the same"
    )
    assert any(note.startswith("003: left out of evaluation: another split holds") for note in splits.notes)
    with pytest.raises(DataError, match="every evaluation text is also in another split"):
        divide(Found(CLASSES, {"train": rows(40), "evaluation": rows(4)}, (), "x", 44, TEXTS))


def test_one_class_each_of_a_model_may_lack_classes() -> None:
    samples = tuple(
        Sample(f"{n:02d}", f"text {n % 38}", n % 2, content_of_raw(f"text {n % 38}")) for n in range(40)
    )
    splits = divide(found_of(samples, fixed=True))
    assert splits.counts()["evaluation"][2] == 0 and splits.skipped == ()
    torn = (*samples, Sample("99", "text 1", 2, content_of_raw("text 1")))
    with pytest.raises(DataError, match="99 the same text lies in b and c: keep the right one"):
        divide(found_of(torn, fixed=True))


def test_too_little_to_divide() -> None:
    with pytest.raises(DataError, match="x holds no usable text: add texts"):
        divide(found_of(()))
    with pytest.raises(DataError, match="after one text for each label to be learnt, one each for"):
        divide(found_of(rows(4)))


def test_contents_tell_raw_inputs_apart() -> None:
    raws = ("a b", TextPair("a", "b"), Words(("a", "b")), Question("a", "b"), '["a b"]', "")
    assert len({content_of_raw(raw) for raw in raws}) == len({content_with(raw, 0) for raw in raws}) == 6
    assert content_with("a", [0]) != content_with("a", [1])
