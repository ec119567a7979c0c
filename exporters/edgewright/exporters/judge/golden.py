"""Chooses the samples that go into the bundle, and how near a device has to come to torch on them."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgewright.exporters.distance import distance
from edgewright.exporters.judge.agreement import decides
from edgewright.exporters.judge.measure import Measured, run_along
from edgewright.exporters.reference import Reference, Samples
from edgewright.exporters.verdict import GoldenAnswers, packed_outputs
from edgewright.runtime.bundle.manifest import Tolerance
from edgewright.runtime.bundle.opening import Bundle
from edgewright.runtime.contracts import Tensors
from edgewright.runtime.errors import InputError
from edgewright.runtime.self_test import golden_outputs
from edgewright.runtime.tasks.base import Task

GOLDEN_SAMPLES = 8

# What another CPU or a GPU may add to the measured difference: a factor, and a floor for the kind of
# arithmetic.
_FACTOR = 3.0
_FLOORS = {"fp32": 1e-4, "fp16": 5e-3}
_INTEGER_FLOOR = 2e-2


Again = Callable[[Sequence[int]], Mapping[str, Sequence[Tensors]]]
"""Runs some samples anew: the outputs of each, of "torch" and of variants by name."""


def choose_golden(
    task: Task[Any],
    samples: Samples,
    measured: Measured,
    variants: Sequence[str],
    again: Again,
    stream_apart: Mapping[str, float] | None = None,
) -> GoldenAnswers:
    """Pick up to eight samples, spread over torch's decisions, that torch and all `variants` decide alike and
    clearly.

    Args:
        again: Runs the samples that are picked: their outputs go into the bundle.
        stream_apart: How far each variant's streaming form lies from its whole graph, relative.

    Each variant's tolerance is what was measured on the chosen samples, widened for other machines.
    """
    wanted = measured.torch.decided
    margin, agreed = wanted.margins, np.ones(len(samples), bool)
    for name in variants:
        found = measured.variants[name].decided
        agreed &= np.array(list(map(task.same, found.own, wanted.own)), bool)
        margin = margin if found.gaps is None else np.minimum(margin, found.gaps)
    if decides(wanted.own):
        rows = _spread([str(decision) for decision in wanted.own], margin, agreed)
    else:
        rows = _evenly(np.flatnonzero(agreed))
    anew = again(rows) if rows else {}
    outputs = anew.get("torch", ())
    measure = {
        name: distance(outputs, anew[name]).relative if rows else measured.apart[name].relative
        for name in variants
    }
    streams = stream_apart or {}
    return GoldenAnswers(
        tuple(samples.ids[row] for row in rows),
        packed_outputs(outputs),
        tuple(wanted.own[row] for row in rows),
        {
            name: Tolerance(widened(name, relative + streams.get(name, 0.0)))
            for name, relative in measure.items()
        },
    )


def apart_from_origin(reference: Reference, bundle: Bundle) -> float:
    """How far `reference` lies from the torch model that a bundle was made from, relative, on its golden samples.

    Infinity where it cannot even read or answer them. Raises `BundleError` where the bundle is damaged.
    """
    kept, golden = golden_outputs(bundle), bundle.manifest.golden
    if not golden.samples:
        return 0.0
    try:
        encoded = reference.task.encode_all([bundle.path(sample.file) for sample in golden.samples])
        found = run_along(reference.task, reference.graphs, encoded, kept)
    except InputError:
        return math.inf
    same = all(ours.keys() == theirs.keys() for ours, theirs in zip(kept, found, strict=True))
    return distance(kept, found).relative if same else math.inf


def _evenly(rows: NDArray[np.intp]) -> list[int]:
    if not len(rows):
        return []
    places = np.linspace(0, len(rows) - 1, min(GOLDEN_SAMPLES, len(rows))).round().astype(int)
    return [int(row) for row in rows[np.unique(places)]]


def _spread(kinds: Sequence[str], margin: np.ndarray[Any, Any], agreed: np.ndarray[Any, Any]) -> list[int]:
    """Rows in turn from every kind of decision; of a kind, those first that are neither close nor the
    easiest.
    """
    queues: dict[str, list[int]] = {}
    for row in np.argsort(-margin, kind="stable"):
        if agreed[row] and margin[row] > 0.0:
            queues.setdefault(kinds[row], []).append(int(row))
    for kind, queue in queues.items():
        middle = len(queue) // 4
        queues[kind] = queue[middle:] + queue[:middle][::-1]
    chosen: list[int] = []
    for depth in range(max((len(queue) for queue in queues.values()), default=0)):
        for kind in sorted(queues):
            if depth < len(queues[kind]) and len(chosen) < GOLDEN_SAMPLES:
                chosen.append(queues[kind][depth])
    return chosen


def widened(variant: str, relative: float) -> float:
    """The tolerance that follows from a measured relative difference: room for another CPU or a GPU."""
    return max(_FLOORS.get(variant, _INTEGER_FLOOR), _FACTOR * relative)
