"""torchvision's classifiers by name, without importing it: tests are collected in seconds."""

import json
from pathlib import Path

_ROWS = Path(__file__).parent.parent / "benchmarks" / "parity.jsonl"


def torchvision_classifiers() -> dict[str, int]:
    """Name to number of parameters, out of the parity table; a test holds it against torchvision's own list."""
    rows = map(json.loads, _ROWS.read_text(encoding="utf-8").splitlines())
    return {row["model"]: row["parameters"] for row in rows if ":" not in row["model"]}
