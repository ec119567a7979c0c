"""How gradients over time read on the terminal: one curve per layer as log10 bars, a verdict, what to try."""

import math
from collections.abc import Sequence

from edgewright.exporters.table import Column
from edgewright.pipeline.cli.render import table
from edgewright.pipeline.training.gradient_curves import EpochGradients, LayerCurve

_ROWS = 16
_WIDTH = 48
_FLOOR = -45.0
"""log10 of the smallest float32: what is nearer to zero has no bar."""


def gradients_text(measured: Sequence[EpochGradients], every: bool = False) -> str:
    """The first and the last of `measured`, or all, and below them what the last one means."""
    if not measured:
        return "nothing was measured"
    shown = list(measured) if every or len(measured) < 3 else [measured[0], measured[-1]]
    lines: list[str] = []
    for epoch in shown:
        lines += [*_epoch_text(epoch), ""]
    return "\n".join([*lines, *_conclusion(measured[-1])])


def _epoch_text(epoch: EpochGradients) -> list[str]:
    when = (
        f"{epoch.phase}, after epoch {epoch.epoch}"
        if epoch.epoch
        else f"{epoch.phase}, before the first epoch"
    )
    lines = [f"{when}: norm of the gradient at each step, mean of {epoch.samples} samples aligned at the end"]
    logs = [_log10(norm) for layer in epoch.layers for norm in layer.norms if norm > 0]
    low, high = (min(logs), max(logs)) if logs else (0.0, 0.0)
    low = min(low, high - 1.0)  # a flat curve is drawn flat
    for layer in epoch.layers:
        lines += ["", f"{_named(layer)}: {_verdict(layer)}", *_curve(layer.norms, low, high)]
    return lines


def _log10(norm: float) -> float:
    return max(_FLOOR, math.log10(norm)) if math.isfinite(norm) else 0.0


def _named(layer: LayerCurve) -> str:
    return layer.name if layer.direction in ("", "forward") else f"{layer.name} ({layer.direction})"


def _verdict(layer: LayerCurve) -> str:
    said = layer.reason
    if not said:
        far = "nothing measurable" if not layer.ratio else f"{layer.ratio:.1e}"
        said = f"{far} of the gradient reaches the far end"
    return f"{layer.verdict.upper() if layer.verdict != 'healthy' else 'healthy'}: {said}"


def _curve(norms: Sequence[float], low: float, high: float) -> list[str]:
    count = len(norms)
    if not count:
        return ["  no steps"]
    chosen = sorted({round(place * (count - 1) / (_ROWS - 1)) for place in range(_ROWS)})
    points = [(step + 1, norms[step]) for step in chosen]
    return [f"  {line}" for line in table(_columns(low, high), points, gap=" ", rule=False).splitlines()]


def _columns(low: float, high: float) -> list[Column[tuple[int, float]]]:
    """Step and norm, and the bar between `low` and `high` of what has a logarithm."""
    return [
        Column("step", lambda point: point[0], right=True),
        Column("norm", lambda point: f"{point[1]:8.1e}", right=True),
        Column("log10", lambda point: f"{_written_log10(point[1]):>7}", right=True),
        Column("", lambda point: _bar(point[1], low, high)),
    ]


def _has_bar(norm: float) -> bool:
    return math.isfinite(norm) and norm > 0


def _written_log10(norm: float) -> str:
    return f"{math.log10(norm):.1f}" if _has_bar(norm) else "-"


def _bar(norm: float, low: float, high: float) -> str:
    if not _has_bar(norm):
        return ""
    share = (_log10(norm) - low) / (high - low)
    return " " + "#" * (1 + round((_WIDTH - 1) * share))


def _conclusion(epoch: EpochGradients) -> list[str]:
    bad = [layer for layer in epoch.layers if layer.verdict != "healthy"]
    if not bad:
        return ["healthy: the gradient reaches every step of every layer"]
    lines = [f"{layer.verdict}: {_named(layer)}" for layer in bad]
    advice = dict.fromkeys(text for layer in bad for text in layer.advice)
    return [*lines, *(f"try: {text}" for text in advice)]
