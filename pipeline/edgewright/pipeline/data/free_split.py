"""Dividing samples that have not one class each: entities, answers, several labels, and the classes of a model.

As in `split`, samples are drawn in the order of a hash of the seed and their content. What belongs together, such as
the questions on one text, stays in one split, and every label that can be learnt is in the training part.
"""

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from edgewright.pipeline.data.samples import SPLITS, Found, Sample, Splits
from edgewright.pipeline.data.split import (
    as_splits,
    check_calibration,
    check_share,
    first_of_each,
    note_of,
    ordered,
    without_conflicts,
)
from edgewright.pipeline.data.text.content import content_of_raw, content_of_text
from edgewright.pipeline.recipe.data import Data
from edgewright.runtime.errors import DataError


def divide_freely(found: Found, data: Data, seed: int) -> Splits:
    """Fill the splits that `found` does not give, by drawing from its "train". Raises `DataError`."""
    noun = found.noun
    if all(sample.label is not None for samples in found.given.values() for sample in samples):
        kept, conflicts = without_conflicts(found)
        found = replace(found, given=kept, skipped=(*found.skipped, *conflicts))
    check_share(found.skipped, found.files, data.max_bad, noun.files)
    if not any(found.given.values()):
        raise DataError(f"{found.source} holds no usable {noun.one}: add {noun.many}")
    given, notes = _without_repeats(found)
    pool, copies = _originals(ordered(given["train"], seed))
    drawn = _draw(pool, found, data, frozenset(given), seed)
    result = {name: list(given.get(name, drawn[name])) if name != "train" else drawn[name] for name in SPLITS}
    if data.train_per_class is not None:
        result["train"] = first_of_each(result["train"], data.train_per_class)
    else:
        learnt = {sample.content for sample in result["train"]}
        result["train"] += [copy for copy in copies if copy.content in learnt]
        notes += note_of(
            [copy for copy in copies if copy.content not in learnt],
            f"an exact copy of another {noun.exact} and left out, so that none is judged twice",
        )
    if "calibration" in given:
        result["calibration"] = ordered(result["calibration"], seed)[: data.calibration_limit]
    check_calibration(found, result, data, noun)
    if not result["evaluation"]:
        raise DataError(
            f"{found.source}: every evaluation {noun.one} is also in another split: "
            f"give {noun.many} that training does not see"
        )
    notes += _missing_labels(found, result)
    return as_splits(found, result, found.skipped, notes)


def _labels(sample: Sample) -> frozenset[int]:
    """The indices of the labels that hold for a sample."""
    target = sample.target
    if isinstance(target, int):
        return frozenset((target,))
    if not isinstance(target, np.ndarray):
        return frozenset()
    if target.dtype.kind == "f":
        return frozenset(np.flatnonzero(target).tolist())
    return frozenset(np.unique(target).tolist())


def _without_repeats(found: Found) -> tuple[dict[str, tuple[Sample, ...]], list[str]]:
    """Between splits that are given, a raw input stays in the first of `SPLITS` that has it."""
    seen: set[str] = set()
    given, notes = {}, []
    for name in SPLITS:
        if name not in found.given:
            continue
        keyed = [(content_of_raw(sample.raw), sample) for sample in found.given[name]]
        given[name] = tuple(sample for key, sample in keyed if key not in seen)
        notes += note_of(
            [sample for key, sample in keyed if key in seen],
            f"left out of {name}: another split holds the same {found.noun.exact}",
        )
        seen.update(key for key, _ in keyed)
    given.setdefault("train", ())
    return given, notes


def _originals(samples: Iterable[Sample]) -> tuple[list[Sample], list[Sample]]:
    """The first sample of each content, and the copies."""
    seen: set[str] = set()
    originals: list[Sample] = []
    copies: list[Sample] = []
    for sample in samples:
        (copies if sample.content in seen else originals).append(sample)
        seen.add(sample.content)
    return originals, copies


def _draw(
    samples: Sequence[Sample], found: Found, data: Data, given: frozenset[str], seed: int
) -> dict[str, list[Sample]]:
    shares = {"evaluation": data.evaluation, "validation": data.validation, "calibration": data.calibration}
    wanted = {name: share for name, share in shares.items() if share > 0 and name not in given}
    groups = _groups(samples, found, seed)
    kept = _needed_for_training(groups, found)
    free = deque(number for number in range(len(groups)) if number not in kept)
    least = len(wanted) + (not kept)  # one for each, and one to train on
    if len(free) < least:
        together = "" if found.groups is None else " that belong to different texts"
        needed = " and ".join(("train", *sorted(wanted)))
        learnt = f" after one {found.noun.one} for each label to be learnt" if kept else ""
        raise DataError(
            f"{found.source}: {len(free)} different {found.noun.many}{together} to divide{learnt}, one each for "
            f"{needed} is the least: add {found.noun.many}"
        )
    result: dict[str, list[Sample]] = {name: [] for name in SPLITS}
    for place, (name, share) in enumerate(wanted.items()):
        size = max(1, round(share * len(samples)))
        if name == "calibration":
            size = min(size, data.calibration_limit)
        spare = least - place - 1  # groups that the splits after this one need
        while len(free) > spare:
            members = groups[free[0]]
            if result[name] and abs(len(result[name]) + len(members) - size) >= abs(len(result[name]) - size):
                break
            result[name] += members
            free.popleft()
        if name == "calibration":
            result["train"] += result[name][data.calibration_limit :]
            del result[name][data.calibration_limit :]
    result["train"] += [sample for number in sorted({*kept, *free}) for sample in groups[number]]
    return result


def _groups(samples: Sequence[Sample], found: Found, seed: int) -> list[list[Sample]]:
    """Samples that must stay together, the groups in the order of a hash."""
    members: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        key = content_of_raw(sample.raw) if found.groups is None else found.groups[sample.id]
        members[key].append(sample)
    order = sorted(members, key=lambda key: content_of_text(f"{seed}:{key}"))
    return [members[key] for key in order]


def _needed_for_training(groups: Sequence[Sequence[Sample]], found: Found) -> set[int]:
    """The first group with each label, where the labels are to be learnt."""
    if found.fixed or not found.classes:
        return set()
    seen: set[int] = set()
    needed = set()
    for number, group in enumerate(groups):
        labels = frozenset().union(*map(_labels, group))
        if not labels <= seen:
            needed.add(number)
            seen |= labels
    return needed


def _missing_labels(found: Found, result: Mapping[str, Sequence[Sample]]) -> list[str]:
    """A note on the labels that nothing is measured of. Raises `DataError` for one that cannot be learnt."""
    if not found.classes:
        return []
    present = {name: frozenset().union(*map(_labels, result[name])) for name in ("train", "evaluation")}
    every = range(len(found.classes))
    if not found.fixed:
        for label in every:
            if label not in present["train"]:
                raise DataError(
                    f"no training {found.noun.one} has the label {found.classes[label]!r}: "
                    f"add {found.noun.many} with it, or leave it out of data.classes"
                )
    missing = [found.classes[label] for label in every if label not in present["evaluation"]]
    if not missing:
        return []
    shown = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
    return [f"no evaluation {found.noun.one} has the label {shown}: nothing is measured of it"]
