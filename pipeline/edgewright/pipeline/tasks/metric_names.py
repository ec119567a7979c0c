"""The metrics that a recipe may choose, by task. Light: a recipe is checked without loading torch."""

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["TASK_METRICS"]

_CLASSIFICATION = ("accuracy", "macro-f1", "auroc")

TASK_METRICS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "image-classification": _CLASSIFICATION,
        "sequence-classification": _CLASSIFICATION,
        "text-classification": _CLASSIFICATION,
        "audio-classification": _CLASSIFICATION,
        "sequence-regression": ("r2",),
        "forecasting": ("skill",),
    }
)
"""Task to its metrics, greater is better; the first is the default."""
