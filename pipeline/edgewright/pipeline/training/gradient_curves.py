"""What `fit` measured of the gradient over time, read back from a run."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgewright.pipeline.run_dir import read_run_json
from edgewright.runtime.bundle.structure import StructureError, from_plain
from edgewright.runtime.errors import RecipeError

GRADIENTS = "gradients.json"


@dataclass(frozen=True)
class LayerCurve:
    """What reaches one direction of one layer.

    Attributes:
        name: the layer's path, "layers.0", with " backward" for the direction that reads from the end.
        direction: "forward" or "backward".
        norms: norm of the loss's derivative by the layer's state after each step, the mean over the samples, in the
            order in which the direction reads the steps. Of sequences of different lengths the ends stand together.
        ratio: what is left at the first steps of what reaches the last ones; None where that is not a number.
        verdict: "vanishes", "explodes" or "healthy".
        reason: the verdict as a sentence.
        advice: what to try, the most promising first; empty where all is well.
    """

    name: str
    direction: str
    norms: tuple[float, ...]
    ratio: float | None
    verdict: str
    reason: str
    advice: tuple[str, ...]


@dataclass(frozen=True)
class EpochGradients:
    """What was measured after one epoch: `samples` samples of at most `steps` steps, `aligned` at their "end"."""

    phase: str
    epoch: int
    samples: int
    steps: int
    aligned: str
    layers: tuple[LayerCurve, ...]


@dataclass(frozen=True)
class _Document:
    epochs: tuple[EpochGradients, ...]


def read_gradients(run_dir: Path) -> tuple[EpochGradients, ...]:
    """Every epoch that was measured, in order.

    Raises `RecipeError` when `run_dir` is no run, or its model has no recurrence.
    """
    if not run_dir.is_dir():
        raise RecipeError(f"there is no run {run_dir}: run 'edgewright fit RECIPE --out {run_dir}' first")
    recipe = read_run_json(run_dir, "recipe.json")
    if not (run_dir / GRADIENTS).exists():
        model = recipe.get("model") if isinstance(recipe, Mapping) else None
        if model in ("rnn", "lstm", "gru"):
            raise RecipeError(f"{run_dir} has no {GRADIENTS} yet: let 'edgewright fit' finish an epoch")
        raise RecipeError(
            f"{run_dir} trained {model}, which has no steps in time: gradients are for rnn, lstm and gru"
        )
    try:
        return from_plain(_Document, read_run_json(run_dir, GRADIENTS)).epochs
    except StructureError as error:
        raise RecipeError(
            f"{run_dir / GRADIENTS}: {error}: run 'edgewright fit' again with --restart"
        ) from None
