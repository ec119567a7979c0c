"""What becomes of answers in a list: scales that are taken from a whole batch let its samples change each other."""

from collections.abc import Callable
from typing import Any

import numpy as np

from edgewright.exporters.judge.agreement import decides
from edgewright.exporters.judge.measure import LIST, Measured
from edgewright.exporters.judge.statistics import metric_difference
from edgewright.exporters.reference import Reference
from edgewright.exporters.verdict import ROUNDING, Budget, VariantRow


def list_fields(name: str, reference: Reference, measured: Measured) -> dict[str, Any]:
    """The fields of the row of the variant `name` that tell of lists; both of its sides are finite."""
    alone, listed = measured.variants[name], measured.lists[name]
    found: dict[str, Any] = {"metric_in_list": reference.metric.of(listed.evidence)}
    ours, theirs = alone.decided, listed.decided
    if decides(ours.each) or decides(theirs.each):
        same = _same(reference, ours.vectors is not None)
        found["same_in_list"] = float(np.mean(list(map(same, ours.each, theirs.each))))
    return found


def fault_in_lists(row: VariantRow, reference: Reference, measured: Measured, budget: Budget) -> str | None:
    """Why the variant of `row`, which may answer samples alone, must not answer lists; None where it may.

    Its metric has to keep to the budget in lists as well, with its whole interval where the budget wants that; and of
    what a model decides itself, near ties of torch aside, no larger a share may depend on the neighbours than the
    metric may fall.
    """
    if row.metric_in_list == row.metric and row.same_in_list in (1.0, None):
        return None
    metric, torch = reference.metric, measured.torch
    alone, listed = measured.variants[row.name], measured.lists[row.name]
    allowed = budget.max_drop + ROUNDING
    drop = metric.merit(metric.of(torch.evidence)) - metric.merit(metric.of(listed.evidence))
    falls = f"in lists of {LIST} {metric.name} falls by {drop:.4f}"
    if drop > allowed:
        return f"{falls}, {budget.max_drop:.4f} is allowed"
    if budget.require == "interval":
        reach = metric_difference(metric, torch.evidence, listed.evidence).high
        if not reach <= allowed:
            return f"not proven: {falls} and may fall by {reach:.4f} (95 % interval), beyond {budget.max_drop:.4f}"
    if not decides(alone.decided.own):
        return None
    same = np.array(list(map(_same(reference, False), alone.decided.own, listed.decided.own)), bool)
    clear = same[torch.decided.clear]
    changed = 1.0 - float(clear.mean()) if len(clear) else 0.0
    if changed <= allowed:
        return None
    return (
        f"its answers depend on their neighbours: in lists of {LIST} {changed:.2%} of the clear decisions are others "
        f"than alone, {budget.max_drop:.2%} is allowed"
    )


def note_on_lists(row: VariantRow) -> str:
    """What the user of a variant that passes has to know of lists; mostly nothing."""
    if row.same_in_list is None or row.same_in_list == 1.0 or row.name == "fp32":
        return ""
    return f"{1 - row.same_in_list:.2%} of its decisions change with their neighbours in a list of {LIST}"


def _same(reference: Reference, vectors: bool) -> Callable[[Any, Any], bool]:
    """Whether two decisions are one; of vectors they are the nearest other sample."""
    return (lambda one, other: bool(one == other)) if vectors else reference.task.same
