"""The curves of a training as a picture: the losses, and the figure that the task is judged by, over the epochs.

An SVG of two panels, written here: a library of plots takes longer to import than a small training lasts, and keeps
files in the user's home.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape

_WIDTH, _HEIGHT, _LEFT, _TOP, _GAP = 300, 200, 62, 34, 96
_COLOURS = ("#1f5fa8", "#c9541a")

_Curve = tuple[str, Sequence[float | None]]
"""A name, and a value for each epoch, None where there is none."""


@dataclass(frozen=True)
class _Axis:
    """Where values of an interval stand between two places of the picture, in pixels."""

    low: float
    high: float
    start: float
    end: float

    def place(self, value: float) -> float:
        """Pixels, to a tenth."""
        share = (value - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 1)


def curves_svg(rows: Sequence[Mapping[str, Any]], metric: str) -> str:
    """The picture of `rows`, one for each epoch as `curves.jsonl` has them; `metric` is the task's own.

    The same rows always give the same text.
    """
    key = f"validation_{metric.replace('-', '_')}"
    losses = [("training", _column(rows, "train_loss")), ("validation", _column(rows, "validation_loss"))]
    figures = [("validation", _column(rows, key))]
    known = [
        (title, [curve for curve in curves if any(value is not None for value in curve[1])])
        for title, curves in (("loss", losses), (metric, figures))
    ]
    panels = [(title, curves) for title, curves in known if curves]
    width = _LEFT + len(panels) * (_WIDTH + _GAP) - _GAP + 24
    height = _TOP + _HEIGHT + 44
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="11">',
        f"<title>{escape(f'training curves: loss and {metric} over {len(rows)} epochs')}</title>",
        f'<rect width="{width}" height="{height}" fill="white"/>',
    ]
    for place, (title, curves) in enumerate(panels):
        lines += _panel(title, curves, _starts(rows), _LEFT + place * (_WIDTH + _GAP))
    return "\n".join([*lines, "</svg>", ""])


def _column(rows: Sequence[Mapping[str, Any]], key: str) -> list[float | None]:
    values = [row.get(key) for row in rows]
    return [value if isinstance(value, (int, float)) and math.isfinite(value) else None for value in values]


def _starts(rows: Sequence[Mapping[str, Any]]) -> list[tuple[int, str]]:
    """The first epoch of each phase, from 1, and the phase."""
    phases = [str(row.get("phase", "")) for row in rows]
    return [(at + 1, phase) for at, phase in enumerate(phases) if at == 0 or phases[at - 1] != phase]


def _panel(title: str, curves: Sequence[_Curve], starts: Sequence[tuple[int, str]], left: float) -> list[str]:
    count = len(curves[0][1])
    across = _Axis(1, max(count, 2), left, left + _WIDTH)
    ticks = _ticks([value for _, values in curves for value in values if value is not None])
    up = _Axis(ticks[0], ticks[-1], _TOP + _HEIGHT, _TOP)
    lines = [_text(left, _TOP - 18, title, "start", "bold")]
    for tick in ticks:
        y = up.place(tick)
        lines.append(f'<path d="M{left} {y}h{_WIDTH}" stroke="#ddd"/>')
        lines.append(_text(left - 6, y + 4, f"{tick:.6g}", "end"))
    for epoch in sorted({1, *(round(tick) for tick in _ticks([1, count])[1:] if 1 < tick <= count)}):
        lines.append(_text(across.place(epoch), _TOP + _HEIGHT + 16, str(epoch), "middle"))
    lines.append(_text(left + _WIDTH / 2, _TOP + _HEIGHT + 34, "epoch", "middle"))
    for epoch, phase in starts[1:]:  # the first is the whole picture
        x = across.place(epoch - 0.5)
        lines.append(f'<path d="M{x} {_TOP}v{_HEIGHT}" stroke="#999" stroke-dasharray="4 3"/>')
        lines.append(_text(x + 4, _TOP + 12, phase, "start"))
    for number, (name, values) in enumerate(curves):
        lines += _curve(values, across, up, _COLOURS[number])
        if len(curves) > 1:
            lines.append(_text(left + 60 + 76 * number, _TOP - 18, name, "start", fill=_COLOURS[number]))
    return lines


def _curve(values: Sequence[float | None], across: _Axis, up: _Axis, colour: str) -> list[str]:
    """A line through the values that are there, and a dot where one stands alone."""
    points = [
        None if value is None else f"{across.place(epoch)} {up.place(value)}"
        for epoch, value in enumerate(values, 1)
    ]
    drawn, lines = "", []
    for at, point in enumerate(points):
        before = points[at - 1] if at else None
        after = points[at + 1] if at + 1 < len(points) else None
        if point is not None:
            drawn += f"{'L' if before is not None else 'M'}{point}"
            if before is None and after is None:
                x, y = point.split()
                lines.append(f'<circle cx="{x}" cy="{y}" r="2.5" fill="{colour}"/>')
    return [f'<path d="{drawn}" fill="none" stroke="{colour}" stroke-width="1.8"/>', *lines]


def _ticks(values: Sequence[float]) -> list[float]:
    """Three to eight round numbers, evenly apart, that enclose the values."""
    low, high = min(values), max(values)
    span = high - low or abs(high) or 1.0
    step = 10.0 ** math.floor(math.log10(span / 4))
    step *= next(factor for factor in (1, 2, 5, 10) if span / (step * factor) <= 5)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [number * step for number in range(first, max(last, first + 1) + 1)]


def _text(x: float, y: float, text: str, anchor: str, weight: str = "normal", fill: str = "#333") -> str:
    place = f'x="{round(x, 1)}" y="{round(y, 1)}" text-anchor="{anchor}" font-weight="{weight}" fill="{fill}"'
    return f"<text {place}>{escape(text)}</text>"
