"""Chooses the samples that go into the bundle, and how near a device has to come to torch on them."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgewright.exporters.distance import distance, stack
from edgewright.exporters.judge.agreement import decides, margins, score_gaps
from edgewright.exporters.judge.measure import Measured
from edgewright.exporters.reference import Reference, Samples
from edgewright.exporters.verdict import GoldenAnswers
from edgewright.runtime.bundle.manifest import Tolerance
from edgewright.runtime.bundle.opening import Bundle
from edgewright.runtime.contracts import Tensors
from edgewright.runtime.errors import InputError
from edgewright.runtime.running.windows import encode_all, run_samples
from edgewright.runtime.self_test import golden_outputs
from edgewright.runtime.tasks.base import DeviceTask

GOLDEN_SAMPLES = 8

# What another CPU or a GPU may add to the measured difference: a factor, and a floor for the kind of
# arithmetic.
_FACTOR = 3.0
_FLOORS = {"fp32": 1e-4, "fp16": 5e-3}
_INTEGER_FLOOR = 2e-2


def choose_golden(
    task: DeviceTask,
    samples: Samples,
    measured: Measured,
    variants: Sequence[str],
    every_step: Sequence[str] = (),
    stream_apart: Mapping[str, float] | None = None,
) -> GoldenAnswers:
    """Pick up to eight samples, spread over torch's decisions, that torch and all `variants` decide alike and
    clearly.

    Args:
        every_step: Outputs with an answer for every step; they are kept up to the longest sample chosen.
        stream_apart: How far each variant's streaming form lies from its whole graph, relative.

    Each variant's tolerance is what was measured on the chosen samples, widened for other machines.
    """
    found = {name: measured.variants[name] for name in variants}
    decided = task.decisions(measured.torch, measured.samples)
    margin = margins(measured.torch, task.decisions, measured.samples)
    agreed = np.ones(len(samples), bool)
    for outputs in found.values():
        found_decisions = task.decisions(outputs, measured.samples)
        agreed &= np.array([a == b for a, b in zip(found_decisions, decided, strict=True)])
        gaps = score_gaps(outputs, found_decisions)
        margin = margin if gaps is None else np.minimum(margin, gaps)
    if decides(decided):
        rows = _spread([str(decision) for decision in decided], margin, agreed)
    else:
        rows = _evenly(np.flatnonzero(agreed))
    decisions: list[Any] = [decided[row] for row in rows]
    kept = {name: value[rows] for name, value in measured.torch.items()}
    if measured.lengths is not None and rows:
        longest, all_steps = int(measured.lengths[rows].max()), int(measured.lengths.max())
        kept = {
            name: value[:, :longest] if name in every_step and value.shape[1] == all_steps else value
            for name, value in kept.items()
        }
    apart = stream_apart or {}
    return GoldenAnswers(
        tuple(samples.ids[row] for row in rows),
        {name: tuple(_nested(value)) for name, value in kept.items()},
        tuple(decisions),
        {
            name: _tolerance(name, measured.torch, outputs, rows, apart.get(name, 0.0))
            for name, outputs in found.items()
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
        encoded = encode_all(reference.task, [bundle.path(sample.file) for sample in golden.samples])
        found = stack([run_samples(reference.task, [sample], reference.run) for sample in encoded])
    except InputError:
        return math.inf
    for name, value in kept.items():  # of which the second axis may be time
        if name not in found or found[name].shape[2:] != value.shape[2:] or found[name].ndim != value.ndim:
            return math.inf
    return distance(kept, found).relative


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


def _nested(value: np.ndarray[Any, Any]) -> list[Any]:
    nested: list[Any] = value.tolist()
    return nested


def _tolerance(
    name: str, torch_outputs: Tensors, outputs: Tensors, rows: list[int], stream_apart: float
) -> Tolerance:
    rows = rows or list(range(len(next(iter(outputs.values())))))
    few = distance(
        {key: value[rows] for key, value in torch_outputs.items()},
        {key: outputs[key][rows] for key in outputs},
    )
    return Tolerance(widened(name, few.relative + stream_apart))


def widened(variant: str, relative: float) -> float:
    """The tolerance that follows from a measured relative difference: room for another CPU or a GPU."""
    return max(_FLOORS.get(variant, _INTEGER_FLOOR), _FACTOR * relative)
