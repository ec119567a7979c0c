"""What a finished training has to say beside the verdict on its variants: how it fares against the naive forecast."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgewright.pipeline.run_dir import read_run_json
from edgewright.pipeline.training.results import MARKER, METRICS


def baseline_of(run_dir: Path) -> dict[str, float] | None:
    """`mae` of a forecasting run on its evaluation split, `baseline_mae` of repeating the last season, and `skill`.

    None for a run of another task.
    """
    metrics = read_run_json(run_dir, METRICS)
    figures = metrics.get("evaluation") if isinstance(metrics, Mapping) else None
    if not isinstance(figures, Mapping) or "baseline_mae" not in figures:
        return None
    return {name: float(figures[name]) for name in ("mae", "baseline_mae", "skill")}


def training_lines(run_dir: Path) -> list[str]:
    """The baseline of a forecast, and the notes of the training; a model that loses is said so here too."""
    lines = []
    found = baseline_of(run_dir)
    if found is not None:
        lines.append(
            f"seasonal naive: mae {found['baseline_mae']:.4g}, this model {found['mae']:.4g} "
            f"(skill {found['skill']:.3f})"
        )
    marker: Any = read_run_json(run_dir, MARKER)
    notes = marker.get("notes", ()) if isinstance(marker, Mapping) else ()
    return [*lines, *(f"note: {note}" for note in notes)]
