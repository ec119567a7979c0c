"""Dividing samples into train, validation, calibration and evaluation: stratified, seeded, disjoint.

Samples are drawn in the order of a hash of the seed and their content. The outcome therefore does not depend
on file names, the file system or a library's random numbers, and adding a file moves few others.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from edgewright.pipeline.catalog import BUILTIN_PREFIX
from edgewright.pipeline.data.samples import SPLITS, Found, Noun, Sample, Skipped, Splits
from edgewright.pipeline.recipe.data import Data
from edgewright.runtime.errors import DataError


def allot(counts: Sequence[int], total: int) -> list[int]:
    """Share `total` among classes in proportion to `counts`, by largest remainder, within what each has."""
    everything = sum(counts)
    total = min(total, everything)
    if not everything:
        return [0 for _ in counts]
    shares = [divmod(count * total, everything) for count in counts]
    result = [whole for whole, _ in shares]
    by_remainder = sorted(range(len(counts)), key=lambda index: (-shares[index][1], index))
    for index in by_remainder[: total - sum(result)]:
        result[index] += 1
    return result


def divide(found: Found, data: Data, seed: int) -> Splits:
    """Fill the splits that `found` does not give, by drawing from its "train": class by class where it has classes.

    Raises `DataError`.
    """
    noun = found.noun
    given, conflicts = without_conflicts(found)
    skipped = (*found.skipped, *conflicts)
    check_share(skipped, found.files, data.max_bad, noun.files)
    _check_classes(found.classes, given, noun)
    given, notes = _without_repeats(given, noun)
    originals, copies = _originals(ordered(given["train"], seed))
    drawn = _draw(originals, found.classes, data, frozenset(given), noun)
    result = {name: list(given.get(name, drawn[name])) if name != "train" else drawn[name] for name in SPLITS}
    if data.train_per_class is not None:
        result["train"] = first_of_each(result["train"], data.train_per_class)
    else:
        kept = {sample.content for sample in result["train"]}
        result["train"] += [copy for copy in copies if copy.content in kept]
        left_out = [copy for copy in copies if copy.content not in kept]
        notes += note_of(
            left_out, f"an exact copy of another {noun.exact} and left out, so that no split sees it twice"
        )
    if "calibration" in given:
        result["calibration"] = ordered(result["calibration"], seed)[: data.calibration_limit]
    check_calibration(found, result, data, noun)
    _check_evaluation(found.classes, result, found)
    return as_splits(found, result, skipped, notes)


def check_calibration(found: Found, result: Mapping[str, Sequence[Sample]], data: Data, noun: Noun) -> None:
    """Raise `DataError` where the recipe wants samples for calibration and none are left."""
    if data.calibration > 0 and not result["calibration"]:
        raise DataError(
            f"{found.source}: too few {noun.many} to keep some for calibration: "
            f"add {noun.many}, or set data.calibration to 0 and leave int8-static out of variants"
        )


def as_splits(
    found: Found, result: Mapping[str, Sequence[Sample]], skipped: tuple[Skipped, ...], notes: Sequence[str]
) -> Splits:
    """The samples of each split in the order of their ids, with all that is to be said of them."""
    train, validation, calibration, evaluation = (
        tuple(sorted(result[name], key=lambda sample: sample.id)) for name in SPLITS
    )
    return Splits(
        found.classes,
        train,
        validation,
        calibration,
        evaluation,
        skipped,
        found.source,
        (*found.notes, *notes),
        found.files,
        unit=found.noun.many if found.source.startswith(BUILTIN_PREFIX) else found.noun.files,
    )


def label_of(sample: Sample) -> int:
    """The index of the class of a sample; 0 where there are no classes, so that all are divided as one."""
    return sample.label or 0


def ordered(samples: Iterable[Sample], seed: int) -> list[Sample]:
    """Samples in the order of a hash of `seed` and their content."""

    def key(sample: Sample) -> tuple[bytes, str]:
        return hashlib.sha256(f"{seed}:{sample.content}".encode()).digest(), sample.id

    return sorted(samples, key=key)


def _by_class(samples: Iterable[Sample], classes: int) -> list[list[Sample]]:
    result: list[list[Sample]] = [[] for _ in range(classes)]
    for sample in samples:
        result[label_of(sample)].append(sample)
    return result


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


def _originals(samples: Iterable[Sample]) -> tuple[list[Sample], list[Sample]]:
    """The first sample of each content, and the copies."""
    seen: set[str] = set()
    originals: list[Sample] = []
    copies: list[Sample] = []
    for sample in samples:
        (copies if sample.content in seen else originals).append(sample)
        seen.add(sample.content)
    return originals, copies


def without_conflicts(found: Found) -> tuple[dict[str, tuple[Sample, ...]], list[Skipped]]:
    """Leave out pictures that lie under two classes: which one is right cannot be known."""
    targets: dict[str, set[int]] = defaultdict(set)
    for samples in found.given.values():
        for sample in samples:
            targets[sample.content].add(label_of(sample))
    skipped = []
    given = {}
    for name, samples in found.given.items():
        given[name] = tuple(sample for sample in samples if len(targets[sample.content]) == 1)
        for sample in samples:
            if len(targets[sample.content]) > 1:
                names = " and ".join(found.classes[target] for target in sorted(targets[sample.content]))
                skipped.append(
                    Skipped(sample.id, f"the same {found.noun.exact} lies in {names}: keep the right one")
                )
    return given, skipped


def _without_repeats(
    given: dict[str, tuple[Sample, ...]], noun: Noun
) -> tuple[dict[str, tuple[Sample, ...]], list[str]]:
    """Between splits given as folders, a raw input stays in the first of `SPLITS` that has it."""
    seen: set[str] = set()
    result, notes = {}, []
    for name in SPLITS:
        if name in given:
            result[name] = tuple(sample for sample in given[name] if sample.content not in seen)
            repeated = [sample for sample in given[name] if sample.content in seen]
            notes += note_of(repeated, f"left out of {name}: another split holds the same {noun.exact}")
            seen.update(sample.content for sample in given[name])
    return result, notes


def note_of(samples: Sequence[Sample], text: str) -> list[str]:
    """A sentence for the user about some samples, in a list; no samples, no sentence."""
    if not samples:
        return []
    names = ", ".join(sample.id for sample in samples[:3])
    more = f" and {len(samples) - 3} more" if len(samples) > 3 else ""
    return [f"{names}{more}: {text}"]


def _draw(
    samples: Sequence[Sample], classes: Sequence[str], data: Data, given: frozenset[str], noun: Noun
) -> dict[str, list[Sample]]:
    shares = {"evaluation": data.evaluation, "validation": data.validation}
    wanted = {name: share for name, share in shares.items() if share > 0 and name not in given}
    by_class = _by_class(samples, len(classes) or 1)
    for name, members in zip(classes or (None,), by_class, strict=True):
        if len(members) < 1 + len(wanted):
            needed = " and ".join(("train", *sorted(wanted)))
            count = f"{len(members)} different {noun.one if len(members) == 1 else noun.many}"
            what = "the data" if name is None else f"class {name!r}"
            way_out = (
                f"add {noun.many}"
                if name is None
                else f"add {noun.many} or leave the class out with data.classes"
            )
            raise DataError(f"{what} has {count} to divide, one each for {needed} is the least: {way_out}")
    counts = [len(members) for members in by_class]
    sizes = {name: allot(counts, round(share * len(samples))) for name, share in wanted.items()}
    limit = min(round(data.calibration * len(samples)), data.calibration_limit)
    calibration = allot(counts, 0 if "calibration" in given or data.calibration == 0 else max(limit, 1))
    result: dict[str, list[Sample]] = {name: [] for name in SPLITS}
    for index, members in enumerate(by_class):
        room = len(members) - 1 - len(wanted)  # after one for train and one for each split that must have one
        start = 0
        for name in wanted:
            take = 1 + min(max(sizes[name][index] - 1, 0), room)
            room -= take - 1
            result[name] += members[start : start + take]
            start += take
        take = min(calibration[index], room)
        result["calibration"] += members[start : start + take]
        result["train"] += members[start + take :]
    return result


def check_share(skipped: Sequence[Skipped], files: int, max_bad: float, many: str = "files") -> None:
    """Raise `DataError` when more than the share `max_bad` of all `files` was skipped; `many` is what they are."""
    if files and len(skipped) > max_bad * files:
        first = "; ".join(f"{item.path} {item.reason}" for item in skipped[:3])
        raise DataError(
            f"{len(skipped)} of {files} {many} cannot be used, more than data.max_bad allows ({max_bad:g}): "
            f"mend or remove them, or raise data.max_bad. First: {first}"
        )


def _check_classes(classes: Sequence[str], given: dict[str, tuple[Sample, ...]], noun: Noun) -> None:
    count = len({sample.content for samples in given.values() for sample in samples})
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
    for split, samples in given.items():
        present = {label_of(sample) for sample in samples}
        empty = [name for target, name in enumerate(classes) if target not in present]
        if empty:
            place = "" if len(given) == 1 else f" in {split}"
            raise DataError(
                f"no usable {noun.one} of class {', '.join(map(repr, empty[:5]))}{place}: "
                f"add {noun.many}, or leave the class out with data.classes"
            )


def _check_evaluation(classes: Sequence[str], result: dict[str, list[Sample]], found: Found) -> None:
    present = {label_of(sample) for sample in result["evaluation"]}
    for target, name in enumerate(classes):
        if target not in present:
            raise DataError(
                f"{found.source}: every evaluation {found.noun.one} of class {name!r} is also in another split: "
                f"give {found.noun.many} that training does not see"
            )
