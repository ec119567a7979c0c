"""What data is to the rest of the pipeline: samples with ids, and four disjoint splits of them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgewright.runtime.files import sha256_of_bytes

__all__ = ["SPLITS", "Found", "RawImage", "Sample", "Skipped", "Splits", "content_of_array"]

SPLITS = ("train", "validation", "calibration", "evaluation")

RawImage = Path | NDArray[np.uint8]
"""The path of an image file, or an array of uint8: what `load_image` takes."""


@dataclass(frozen=True)
class Sample:
    """One labelled raw input.

    `id` is the path below the data folder with forward slashes, or "digits/0017". `target` is the index of
    the class. `content` is the hex SHA-256 of the file or array, so that they compare unopened.
    """

    id: str
    raw: RawImage = field(compare=False, repr=False)
    target: int
    content: str


@dataclass(frozen=True)
class Skipped:
    """A file that is not used: its path below the data folder, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class Splits:
    """Everything that is known about the data of one recipe.

    No picture is in two splits. `notes` are sentences for the user about what was left out or repeated;
    `files` is the number of files (or built-in samples) that were looked at, usable or not.
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

    def split(self, name: str) -> tuple[Sample, ...]:
        """The samples of one of `SPLITS`."""
        return {split: samples for split, samples in self._items()}[name]

    def counts(self) -> dict[str, tuple[int, ...]]:
        """Samples of each class, in the order of `classes`, by split."""
        result = {}
        for name, samples in self._items():
            targets = np.array([sample.target for sample in samples], np.int64)
            counted = np.bincount(targets, minlength=len(self.classes))
            result[name] = tuple(int(count) for count in counted)
        return result

    def digest(self) -> str:
        """Hex SHA-256 of the classes and of every sample: split, id, class, content; the folder may move."""
        rows = [
            [name, sample.id, sample.target, sample.content]
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
                name: [[sample.id, sample.target, sample.content] for sample in samples]
                for name, samples in self._items()
            },
            "skipped": [[skipped.path, skipped.reason] for skipped in self.skipped],
            "notes": list(self.notes),
            "files": self.files,
        }

    def _items(self) -> Sequence[tuple[str, tuple[Sample, ...]]]:
        return (
            ("train", self.train),
            ("validation", self.validation),
            ("calibration", self.calibration),
            ("evaluation", self.evaluation),
        )


@dataclass(frozen=True)
class Found:
    """What a source holds before it is divided: samples by split; what is missing is drawn from "train"."""

    classes: tuple[str, ...]
    given: Mapping[str, tuple[Sample, ...]]
    skipped: tuple[Skipped, ...]
    source: str
    files: int


def content_of_array(array: NDArray[Any]) -> str:
    """Hex SHA-256 of an array's type, shape and values."""
    return sha256_of_bytes(f"{array.dtype} {array.shape} ".encode() + np.ascontiguousarray(array).tobytes())
