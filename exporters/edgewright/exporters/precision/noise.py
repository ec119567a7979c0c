"""How much noise a way of making a graph adds, on the calibration samples."""

from collections.abc import Sequence
from pathlib import Path

import onnx

from edgewright.exporters.distance import distance
from edgewright.runtime.contracts import Tensors
from edgewright.runtime.graphs.session_options import cpu_session


def outputs_of(model: Path | onnx.ModelProto, batches: Sequence[Tensors]) -> list[Tensors]:
    """What a graph makes of each batch, on the CPU."""
    session = cpu_session(model if isinstance(model, Path) else model.SerializeToString())
    names = [value.name for value in session.get_outputs()]
    return [dict(zip(names, session.run(names, feeds), strict=True)) for feeds in batches]


def decibels(wanted: Sequence[Tensors], found: Sequence[Tensors]) -> float:
    """The signal-to-noise ratio of `found` in decibels; infinity where they are equal."""
    measured = distance(wanted, found).sqnr_db
    return float("inf") if measured is None else measured


def decibel_text(value: float) -> str:
    """As a note says it."""
    return "exact" if value == float("inf") else f"{value:.1f} dB"
