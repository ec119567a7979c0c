"""Small made-up sources for tests of dividing: samples with one class each, with several labels, and questions."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgewright.pipeline.data.content import content_with
from edgewright.pipeline.data.samples import Answers, Dataset, Sample, Splits
from edgewright.pipeline.data.split import divide
from edgewright.pipeline.data.text.labelled import TEXTS
from edgewright.pipeline.data.text.questions import QUESTIONS
from edgewright.pipeline.recipe.data import Data
from edgewright.runtime.text.raw import Question

Row = tuple[str, int, str]  # id, target, content

LABELS = ("a", "b", "c")


def divided(source: Dataset, seed: int = 0, **data: Any) -> Splits:
    """The splits of a source by the defaults of a recipe, or by these keys of its section `data`."""
    return divide(source, Data(source="x", **data), seed)


def contents(splits: Splits, name: str) -> set[str]:
    return {sample.content for sample in splits.split(name)}


def rows(counts: Sequence[int], prefix: str = "") -> list[Row]:
    """So many rows of each class."""
    return [
        (f"{prefix}{target}/{index:04d}", target, f"{prefix}{target}-{index}")
        for target, count in enumerate(counts)
        for index in range(count)
    ]


def found(given_rows: Mapping[str, Sequence[Row]], classes: int) -> Dataset:
    """Images of one class each."""
    samples = {
        split: tuple(Sample(name, Path(name), target, content) for name, target, content in split_rows)
        for split, split_rows in given_rows.items()
    }
    files = sum(len(split_rows) for split_rows in given_rows.values())
    return Dataset(tuple(f"class{index}" for index in range(classes)), samples, (), "here", files)


def split(given_rows: Mapping[str, Sequence[Row]], classes: int, seed: int = 0, **data: Any) -> Splits:
    return divided(found(given_rows, classes), seed, **data)


def several(number: int, *labels: int) -> Sample:
    """A text with any number of the three labels."""
    raw, target = f"text {number}", np.zeros(3)
    target[list(labels)] = 1.0
    return Sample(f"{number:03d}", raw, target, content_with(raw, list(labels)))


def labelled(count: int) -> tuple[Sample, ...]:
    """So many texts with several labels; one in four has none."""
    return tuple(several(number, *[[0], [0, 1], [], [2]][number % 4]) for number in range(count))


def found_of(samples: tuple[Sample, ...], fixed: bool = False) -> Dataset:
    return Dataset(LABELS, {"train": samples}, (), "x", len(samples), TEXTS, fixed=fixed)


def found_questions(count: int, contexts: int) -> tuple[Dataset, dict[str, str]]:
    """So many questions on so many texts, and what each must stay with by its id."""
    samples = []
    for number in range(count):
        raw = Question(f"question {number}", f"context {number % contexts}")
        samples.append(Sample(f"{number:02d}", raw, Answers(), content_with(raw, [])))
    groups = {sample.id: sample.raw.context for sample in samples}
    return Dataset((), {"train": tuple(samples)}, (), "x", count, QUESTIONS, groups=groups), groups
