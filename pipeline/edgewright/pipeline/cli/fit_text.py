"""How a finished training reads on the terminal."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgewright.exporters.table import Column
from edgewright.pipeline.cli.render import table
from edgewright.pipeline.training.gradient_curves import GRADIENTS
from edgewright.pipeline.training.results import Trained

_Split = tuple[str, Mapping[str, Any]]
"""A split and its figures."""


def trained_report(trained: Trained) -> dict[str, Any]:
    """What `--json` prints: where the weights are, figures of each split, peak learning rates, digests, notes."""
    return {
        "weights": str(trained.weights),
        "metrics": trained.metrics,
        "rates": trained.rates,
        "epochs": len(trained.curves),
        "digests": trained.digests,
        "notes": trained.notes,
    }


def fit_summary(trained: Trained, run_dir: Path) -> str:
    """The figures of each split, and where everything lies."""
    names = [
        name
        for name, value in next(iter(trained.metrics.values()), {}).items()
        if isinstance(value, (int, float)) and name != "samples"
    ]
    columns: list[Column[_Split]] = [
        Column("split", lambda split: split[0]),
        Column("samples", lambda split: split[1].get("samples", "-"), right=True),
    ]
    lines = [table([*columns, *map(_column, names)], trained.metrics.items())]
    if trained.rates:
        lines.append(
            f"learning rates {', '.join(f'{rate:.2g}' for rate in trained.rates)}; {len(trained.curves)} epochs"
        )
    lines += [f"note: {note}" for note in trained.notes]
    confusion = any(figures.get("confusion") for figures in trained.metrics.values())
    what = "weights, curves and the confusion matrix" if confusion else "weights and curves"
    lines.append(f"{what} are in {run_dir}")
    if (run_dir / GRADIENTS).exists():
        lines.append(f"how far back the gradient reaches: edgewright gradients {shlex.quote(str(run_dir))}")
    lines.append(f"next: edgewright export {shlex.quote(str(run_dir))} --out bundle/")
    return "\n".join(lines)


def _column(name: str) -> Column[_Split]:
    return Column(name, lambda split: _figure(split[1].get(name)), right=True)


def _figure(value: Any) -> str:
    if isinstance(value, int):  # a count
        return str(value)
    return f"{value:.4f}" if isinstance(value, float) else "-"
