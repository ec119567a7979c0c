"""How a table reads on the terminal: plain aligned columns."""

from collections.abc import Iterable, Sequence

from edgewright.exporters.table import Column, Row, cells


def table(columns: Sequence[Column[Row]], rows: Iterable[Row], gap: str = "  ", rule: bool = True) -> str:
    """The titles, a `rule` below them, and a line for each row, with `gap` between two columns."""
    written = cells(columns, rows)
    widths = [max(map(len, column)) for column in zip(*written, strict=True)]
    lines = [_line(row, widths, columns, gap) for row in written]
    if rule:
        lines.insert(1, gap.join("-" * width for width in widths))
    return "\n".join(lines)


def _line(row: Sequence[str], widths: Sequence[int], columns: Sequence[Column[Row]], gap: str) -> str:
    aligned = [
        cell.rjust(width) if column.right else cell.ljust(width)
        for cell, width, column in zip(row, widths, columns, strict=True)
    ]
    return gap.join(aligned).rstrip()
