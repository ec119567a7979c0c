"""Drawing evaluation, validation and calibration from what there is: class by class, or group by group.

Both take what they are given in its order, which is that of a hash.
"""

from collections import defaultdict, deque
from collections.abc import Collection, Iterable, Sequence

import numpy as np

from edgewright.pipeline.data.content import content_of_raw, content_of_text
from edgewright.pipeline.data.samples import SPLITS, Dataset, Sample, TaggedWords
from edgewright.pipeline.recipe.data import Data
from edgewright.runtime.errors import DataError

Drawn = dict[str, list[Sample]]
"""Samples by split, one entry for each of `SPLITS`."""


def label_of(sample: Sample) -> int:
    """The index of the class of a sample; 0 where there are no classes, so that all are divided as one."""
    return sample.label or 0


def labels_of(samples: Iterable[Sample]) -> set[int]:
    """The indices of the labels that hold for any of some samples, whatever the form of their targets."""
    labels: set[int] = set()
    for target in (sample.target for sample in samples):
        if isinstance(target, int):
            labels.add(target)
        elif isinstance(target, TaggedWords):
            labels.update(np.unique(target.labels).tolist())
        elif isinstance(target, np.ndarray):
            labels.update(np.flatnonzero(target).tolist())
    return labels


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


def draw_by_class(samples: Sequence[Sample], found: Dataset, data: Data, given: Collection[str]) -> Drawn:
    """Draw the splits that are not among `given` so that each has its share of every class; the rest trains.

    Raises `DataError` where a class has too few samples.
    """
    wanted = _wanted(data, given, ("evaluation", "validation"))
    classes = _by_class(samples, len(found.classes) or 1)
    _check_enough(classes, found, wanted)
    counts = [len(members) for members in classes]
    sizes = {name: allot(counts, round(share * len(samples))) for name, share in wanted.items()}
    limit = min(round(data.calibration * len(samples)), data.calibration_limit)
    calibration = allot(counts, 0 if "calibration" in given or data.calibration == 0 else max(limit, 1))
    result: Drawn = {name: [] for name in SPLITS}
    for index, members in enumerate(classes):
        left = deque(members)
        room = len(members) - 1 - len(wanted)  # after one for train and one for each split that must have one
        for name in wanted:
            more = min(max(sizes[name][index] - 1, 0), room)
            room -= more
            result[name] += [left.popleft() for _ in range(1 + more)]
        result["calibration"] += [left.popleft() for _ in range(min(calibration[index], room))]
        result["train"] += left
    return result


def _wanted(data: Data, given: Collection[str], names: Sequence[str]) -> dict[str, float]:
    """The splits of `names` that must be drawn, with their shares."""
    shares = {name: getattr(data, name) for name in names}
    return {name: share for name, share in shares.items() if share > 0 and name not in given}


def _one_each(wanted: Collection[str]) -> str:
    return f"one each for {' and '.join(('train', *sorted(wanted)))} is the least"


def _by_class(samples: Iterable[Sample], classes: int) -> list[list[Sample]]:
    result: list[list[Sample]] = [[] for _ in range(classes)]
    for sample in samples:
        result[label_of(sample)].append(sample)
    return result


def _check_enough(classes: Sequence[Sequence[Sample]], found: Dataset, wanted: Collection[str]) -> None:
    """Raise `DataError` unless every class has a sample for each split that must have one."""
    noun = found.noun
    for target, members in enumerate(classes):
        if len(members) <= len(wanted):
            what = f"class {found.classes[target]!r}" if found.classes else "the data"
            count = f"{len(members)} different {noun.one if len(members) == 1 else noun.many}"
            way_out = " or leave the class out with data.classes" if found.classes else ""
            raise DataError(f"{what} has {count} to divide, {_one_each(wanted)}: add {noun.many}{way_out}")


def draw_by_group(
    samples: Sequence[Sample], found: Dataset, data: Data, given: Collection[str], seed: int
) -> Drawn:
    """Draw the splits that are not among `given`, as many whole groups as come nearest to the share of each.

    What is left trains, and so does one group with each label that is to be learnt. Raises `DataError` where there are
    too few groups.
    """
    wanted = _wanted(data, given, ("evaluation", "validation", "calibration"))
    groups = _groups(samples, found, seed)
    kept = _needed_for_training(groups, found)
    free = deque(number for number in range(len(groups)) if number not in kept)
    least = len(wanted) + (not kept)  # one for each, and one to train on
    if len(free) < least:
        together = "" if found.groups is None else " that belong to different texts"
        learnt = f" after one {found.noun.one} for each label to be learnt" if kept else ""
        raise DataError(
            f"{found.source}: {len(free)} different {found.noun.many}{together} to divide{learnt}, "
            f"{_one_each(wanted)}: add {found.noun.many}"
        )
    result: Drawn = {name: [] for name in SPLITS}
    for place, (name, share) in enumerate(wanted.items(), 1):
        size = max(1, round(share * len(samples)))
        if name == "calibration":
            size = min(size, data.calibration_limit)
        result[name] = _taken(free, groups, size, least - place)
    result["train"] = result["calibration"][data.calibration_limit :]
    del result["calibration"][data.calibration_limit :]
    result["train"] += [sample for number in sorted({*kept, *free}) for sample in groups[number]]
    return result


def _groups(samples: Sequence[Sample], found: Dataset, seed: int) -> list[list[Sample]]:
    """Samples that must stay together, the groups in the order of a hash."""
    members: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        key = content_of_raw(sample.raw) if found.groups is None else found.groups[sample.id]
        members[key].append(sample)
    order = sorted(members, key=lambda key: content_of_text(f"{seed}:{key}"))
    return [members[key] for key in order]


def _needed_for_training(groups: Sequence[Sequence[Sample]], found: Dataset) -> set[int]:
    """The first group with each label, where the labels are to be learnt."""
    if found.fixed or not found.classes:
        return set()
    seen: set[int] = set()
    needed = set()
    for number, group in enumerate(groups):
        labels = labels_of(group)
        if not labels <= seen:
            needed.add(number)
            seen |= labels
    return needed


def _taken(free: deque[int], groups: Sequence[Sequence[Sample]], size: int, spare: int) -> list[Sample]:
    """Take groups from the front of `free`, one at least, until another would lead away from `size` samples.

    `spare` groups are left for the splits after this one.
    """
    taken: list[Sample] = []
    while len(free) > spare:
        members = groups[free[0]]
        if taken and abs(len(taken) + len(members) - size) >= abs(len(taken) - size):
            break
        taken += members
        free.popleft()
    return taken
