"""What data is to the rest of the pipeline: samples with ids, and four disjoint splits of them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgewright.runtime.bundle.files import sha256_of_bytes

SPLITS = ("train", "validation", "calibration", "evaluation")


@dataclass(frozen=True)
class Answers:
    """The right answers to a question: their texts, and the character of the context at which each begins.

    Any of them is right; none means that the context does not answer the question.
    """

    texts: tuple[str, ...] = ()
    starts: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class TaggedWords:
    """The words of a text as a file has them: the characters of each, int32 [words, 2], and the index of its label,
    int64 [words].
    """

    places: NDArray[np.int32]
    labels: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Place:
    """Where a sample was cut from: steps `start` to `stop` of `recording`, a `Series` that lies in its split as a whole
    and that all samples of it share.
    """

    recording: Any
    start: int
    stop: int


@dataclass(frozen=True, eq=False)
class Sample:
    """One labelled raw input.

    `id` is the path below the data folder with forward slashes, or "digits/0017", or "sensor 7/120" for the window
    that begins at step 120 of a series. `raw` is what the task's device half encodes: a path, an array, a text, a
    `Series`, a `TextPair`, a `Question`. `target` is the index of the class; float64 in the user's units,
    [time, targets] with NaN where nothing is known, [horizon, targets] for a forecast; float64 [classes] of 0 and 1
    where any number of labels may hold; `TaggedWords`; or the right `Answers`.
    `content` is the hex SHA-256 of the raw input (with the target, where that is no index), so that samples compare
    unopened. `place` is there where the sample was cut from a recording.
    """

    id: str
    raw: Any = field(repr=False)
    target: int | NDArray[np.float64] | NDArray[np.int64] | TaggedWords | Answers = field(repr=False)
    content: str
    place: Place | None = field(default=None, repr=False)

    @property
    def label(self) -> int | None:
        """The index of the class, None where the target is something else."""
        return self.target if isinstance(self.target, int) else None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sample):
            return NotImplemented
        return (self.id, self.label, self.content) == (other.id, other.label, other.content)

    def __hash__(self) -> int:
        return hash((self.id, self.content))


@dataclass(frozen=True)
class Skipped:
    """A file that is not used: its path below the data folder, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class Splits:
    """Everything that is known about the data of one recipe.

    No raw input is in two splits. `classes` is empty where the task has none. `notes` are sentences for the user about
    what was left out or repeated; `files` is the number of files (or built-in samples, or series of a table) that were
    looked at, usable or not, `unit` what they are called. `features` and `targets` are the columns of series, in the
    order of the raw values and of the targets; of a forecast the targets are the first features.
    """

    classes: tuple[str, ...]
    train: tuple[Sample, ...]
    validation: tuple[Sample, ...]
    calibration: tuple[Sample, ...]
    evaluation: tuple[Sample, ...]
    skipped: tuple[Skipped, ...]
    source: str
    notes: tuple[str, ...] = ()
    files: int = 0
    features: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    unit: str = "files"

    @property
    def looked_at(self) -> str:
        """How many of what were looked at, for a message."""
        unit = self.unit.removesuffix("s") if self.files == 1 and self.unit != "series" else self.unit
        return f"{self.files} {unit}"

    def split(self, name: str) -> tuple[Sample, ...]:
        """The samples of one of `SPLITS`."""
        return {split: samples for split, samples in self._items()}[name]

    def counts(self) -> dict[str, tuple[int, ...]]:
        """Samples of each class, in the order of `classes`, by split; of all samples where each has not one class."""
        result: dict[str, tuple[int, ...]] = {}
        one_each = all(sample.label is not None for _, samples in self._items() for sample in samples)
        for name, samples in self._items():
            if not self.classes or not one_each:
                result[name] = (len(samples),)
                continue
            targets = np.array([sample.label for sample in samples], np.int64)
            counted = np.bincount(targets, minlength=len(self.classes))
            result[name] = tuple(int(count) for count in counted)
        return result

    def digest(self) -> str:
        """Hex SHA-256 of the classes and of every sample: split, id, class, content; the folder may move."""
        rows = [
            [name, sample.id, sample.label, sample.content]
            for name, samples in self._items()
            for sample in samples
        ]
        return sha256_of_bytes(json.dumps([self.classes, rows]).encode())

    def to_plain(self) -> dict[str, Any]:
        """Plain JSON values without the raw inputs; `sources.restore_splits` reads them back."""
        return {
            "source": self.source,
            "classes": list(self.classes),
            "splits": {
                name: [[sample.id, sample.label, sample.content] for sample in samples]
                for name, samples in self._items()
            },
            "skipped": [[skipped.path, skipped.reason] for skipped in self.skipped],
            "notes": list(self.notes),
            "files": self.files,
            "features": list(self.features),
            "targets": list(self.targets),
        }

    def _items(self) -> Sequence[tuple[str, tuple[Sample, ...]]]:
        return (
            ("train", self.train),
            ("validation", self.validation),
            ("calibration", self.calibration),
            ("evaluation", self.evaluation),
        )


@dataclass(frozen=True)
class SampleKind:
    """What a message calls one raw input, and several; `exact` is what two equal ones have in common, `files` what was
    looked at for them.
    """

    one: str = "image"
    many: str = "images"
    exact: str = "picture"
    files: str = "files"


@dataclass(frozen=True)
class Dataset:
    """What a source holds before it is divided: samples by split; what is missing is drawn from "train".

    `groups` maps the id of a sample to what it must stay with; without it samples stay with equal ones. `fixed`: the
    classes are a model's own, so that there may be none of one.
    """

    classes: tuple[str, ...]
    given: Mapping[str, tuple[Sample, ...]]
    skipped: tuple[Skipped, ...]
    source: str
    files: int
    noun: SampleKind = SampleKind()
    notes: tuple[str, ...] = ()
    groups: Mapping[str, str] | None = None
    fixed: bool = False


def content_of(*arrays: NDArray[Any]) -> str:
    """Hex SHA-256 of several arrays: their types, shapes and values."""
    return sha256_of_bytes("".join(map(content_of_array, arrays)).encode())


def content_of_array(array: NDArray[Any]) -> str:
    """Hex SHA-256 of an array's type, shape and values."""
    return sha256_of_bytes(f"{array.dtype} {array.shape} ".encode() + np.ascontiguousarray(array).tobytes())
