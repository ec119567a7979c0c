"""Dividing samples into train, validation, calibration and evaluation: seeded, disjoint.

Samples are drawn in the order of a hash of the seed and their content. The outcome therefore does not depend
on file names, the file system or a library's random numbers, and adding a file moves few others.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from edgewright.pipeline.catalog import BUILTIN_PREFIX
from edgewright.pipeline.data.content import content_of_raw
from edgewright.pipeline.data.drawing import Drawn, draw_by_class, draw_by_group, label_of, labels_of
from edgewright.pipeline.data.samples import SPLITS, Dataset, Sample, Skipped, Splits
from edgewright.pipeline.recipe.data import Data
from edgewright.runtime.errors import DataError


def divide(found: Dataset, data: Data, seed: int) -> Splits:
    """Fill the splits that `found` does not give, by drawing from its "train".

    Where each sample has one class, or there are none, class by class: every split holds each class. Entities, answers,
    several labels and the classes of a model are drawn by groups: what belongs together, such as the questions on one
    text, stays in one split, and every label that can be learnt is in the training part. Raises `DataError`.
    """
    grouped = _is_grouped(found)
    found = _without_conflicts(found)
    check_share(found.skipped, found.files, data.max_bad, found.noun.files)
    if not grouped:
        _check_classes(found)
    elif not any(found.given.values()):
        raise DataError(f"{found.source} holds no usable {found.noun.one}: add {found.noun.many}")
    given, notes = _without_repeats(found, grouped)
    result, copies = _fill(found, given, data, seed, grouped)
    twice = "none is judged twice" if grouped else "no split sees it twice"
    notes += _note_of(copies, f"an exact copy of another {found.noun.exact} and left out, so that {twice}")
    _check_calibration(found, result, data)
    return as_splits(found, result, [*notes, *_check_labels(found, result, grouped)])


def _is_grouped(found: Dataset) -> bool:
    """Whether samples belong together, or have not one each of the classes that there are, or may lack some."""
    one_each = all(sample.label is not None for samples in found.given.values() for sample in samples)
    return found.fixed or found.groups is not None or bool(found.classes and not one_each)


def _without_conflicts(found: Dataset) -> Dataset:
    """Skip raw inputs that lie under two classes: which one is right cannot be known."""
    every = [sample for samples in found.given.values() for sample in samples]
    targets: dict[str, set[int]] = defaultdict(set)
    for sample in every:
        targets[sample.content].add(label_of(sample))
    torn = {
        content: " and ".join(found.classes[target] for target in sorted(labels))
        for content, labels in targets.items()
        if len(labels) > 1
    }
    skipped = [
        Skipped(one.id, f"the same {found.noun.exact} lies in {torn[one.content]}: keep the right one")
        for one in every
        if one.content in torn
    ]
    given = {
        name: tuple(one for one in samples if one.content not in torn)
        for name, samples in found.given.items()
    }
    return replace(found, given=given, skipped=(*found.skipped, *skipped))


def check_share(skipped: Sequence[Skipped], files: int, max_bad: float, many: str = "files") -> None:
    """Raise `DataError` when more than the share `max_bad` of all `files` was skipped; `many` is what they are."""
    if files and len(skipped) > max_bad * files:
        first = "; ".join(f"{item.path} {item.reason}" for item in skipped[:3])
        raise DataError(
            f"{len(skipped)} of {files} {many} cannot be used, more than data.max_bad allows ({max_bad:g}): "
            f"mend or remove them, or raise data.max_bad. First: {first}"
        )


def _check_classes(found: Dataset) -> None:
    """Raise `DataError` unless there are two classes, and every split that is given has samples of each."""
    classes, noun = found.classes, found.noun
    count = len({sample.content for samples in found.given.values() for sample in samples})
    if not classes:
        return
    if len(classes) < 2:
        only = f"only one class ({classes[0]})"
        raise DataError(f"the data has {only}, a classifier needs two: add {noun.many} of each class")
    if count < len(classes):
        raise DataError(
            f"the data has {len(classes)} classes and only {count} usable {noun.many}: "
            f"add {noun.many} of every class"
        )
    for split, samples in found.given.items():
        present = {label_of(sample) for sample in samples}
        empty = [name for target, name in enumerate(classes) if target not in present]
        if empty:
            place = "" if len(found.given) == 1 else f" in {split}"
            raise DataError(
                f"no usable {noun.one} of class {', '.join(map(repr, empty[:5]))}{place}: "
                f"add {noun.many}, or leave the class out with data.classes"
            )


def _without_repeats(found: Dataset, grouped: bool) -> tuple[dict[str, tuple[Sample, ...]], list[str]]:
    """Between splits that are given, a raw input stays in the first of `SPLITS` that has it; notes on the others.

    Drawn by groups, the same raw input with other labels is the same.
    """
    seen: set[str] = set()
    given: dict[str, tuple[Sample, ...]] = {"train": ()}
    notes: list[str] = []
    for name in SPLITS:
        if name not in found.given:
            continue
        keyed = [(content_of_raw(one.raw) if grouped else one.content, one) for one in found.given[name]]
        given[name] = tuple(sample for key, sample in keyed if key not in seen)
        repeated = [sample for key, sample in keyed if key in seen]
        notes += _note_of(repeated, f"left out of {name}: another split holds the same {found.noun.exact}")
        seen.update(key for key, _ in keyed)
    return given, notes


def _note_of(samples: Sequence[Sample], text: str) -> list[str]:
    """A sentence for the user about some samples, in a list; no samples, no sentence."""
    if not samples:
        return []
    names = ", ".join(sample.id for sample in samples[:3])
    more = f" and {len(samples) - 3} more" if len(samples) > 3 else ""
    return [f"{names}{more}: {text}"]


def _fill(
    found: Dataset, given: Mapping[str, tuple[Sample, ...]], data: Data, seed: int, grouped: bool
) -> tuple[Drawn, list[Sample]]:
    """The samples of every split, and the copies of samples that do not train: these are in no split."""
    originals, copies = _originals(ordered(given["train"], seed))
    if grouped:
        result = draw_by_group(originals, found, data, given, seed)
    else:
        result = draw_by_class(originals, found, data, given)
    result |= {name: list(samples) for name, samples in given.items() if name != "train"}
    if "calibration" in given:
        result["calibration"] = ordered(result["calibration"], seed)[: data.calibration_limit]
    if data.train_per_class is not None:
        result["train"] = first_of_each(result["train"], data.train_per_class)
        return result, []
    learnt = {sample.content for sample in result["train"]}
    result["train"] += [copy for copy in copies if copy.content in learnt]
    return result, [copy for copy in copies if copy.content not in learnt]


def _originals(samples: Iterable[Sample]) -> tuple[list[Sample], list[Sample]]:
    """The first sample of each content, and the copies."""
    seen: set[str] = set()
    originals: list[Sample] = []
    copies: list[Sample] = []
    for sample in samples:
        (copies if sample.content in seen else originals).append(sample)
        seen.add(sample.content)
    return originals, copies


def ordered(samples: Iterable[Sample], seed: int) -> list[Sample]:
    """Samples in the order of a hash of `seed` and their content."""

    def key(sample: Sample) -> tuple[bytes, str]:
        return hashlib.sha256(f"{seed}:{sample.content}".encode()).digest(), sample.id

    return sorted(samples, key=key)


def first_of_each(samples: Iterable[Sample], count: int) -> list[Sample]:
    """The first `count` samples of each class."""
    taken: dict[int, int] = defaultdict(int)
    result = []
    for sample in samples:
        label = label_of(sample)
        taken[label] += 1
        if taken[label] <= count:
            result.append(sample)
    return result


def _check_calibration(found: Dataset, result: Mapping[str, Sequence[Sample]], data: Data) -> None:
    """Raise `DataError` where the recipe wants samples for calibration and none are left."""
    many = found.noun.many
    if data.calibration > 0 and not result["calibration"]:
        raise DataError(
            f"{found.source}: too few {many} to keep some for calibration: "
            f"add {many}, or set data.calibration to 0 and leave int8-static out of variants"
        )


def _check_labels(found: Dataset, result: Mapping[str, Sequence[Sample]], grouped: bool) -> list[str]:
    """A note on labels that nothing is measured of. Raises `DataError` for one that must be learnt or judged."""
    noun = found.noun
    elsewhere = f"is also in another split: give {noun.many} that training does not see"
    if grouped and not result["evaluation"]:
        raise DataError(f"{found.source}: every evaluation {noun.one} {elsewhere}")
    if not found.classes:
        return []
    learnt, judged = labels_of(result["train"]), labels_of(result["evaluation"])
    for label, name in enumerate(found.classes):
        if not grouped and label not in judged:
            raise DataError(f"{found.source}: every evaluation {noun.one} of class {name!r} {elsewhere}")
        if grouped and not found.fixed and label not in learnt:
            raise DataError(
                f"no training {noun.one} has the label {name!r}: "
                f"add {noun.many} with it, or leave it out of data.classes"
            )
    missing = [name for label, name in enumerate(found.classes) if label not in judged]
    if not missing:
        return []
    shown = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
    return [f"no evaluation {noun.one} has the label {shown}: nothing is measured of it"]


def as_splits(
    found: Dataset,
    result: Mapping[str, Sequence[Sample]],
    notes: Sequence[str],
    features: tuple[str, ...] = (),
    targets: tuple[str, ...] = (),
) -> Splits:
    """The samples of each split in the order of their ids, with all that is to be said of them."""
    parts = {name: tuple(sorted(result[name], key=lambda sample: sample.id)) for name in SPLITS}
    unit = found.noun.many if found.source.startswith(BUILTIN_PREFIX) else found.noun.files
    return Splits(
        classes=found.classes,
        **parts,
        skipped=found.skipped,
        source=found.source,
        notes=(*found.notes, *notes),
        files=found.files,
        features=features,
        targets=targets,
        unit=unit,
    )
