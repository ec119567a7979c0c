"""The metrics that a recipe may choose, by task. Light: a recipe is checked without loading torch."""

from collections.abc import Mapping

__all__ = ["MULTI_LABEL_METRICS", "TASK_METRICS", "metrics_of"]

_CLASSIFICATION = ("accuracy", "macro-f1", "auroc")

TASK_METRICS: Mapping[str, tuple[str, ...]] = {
    "image-classification": _CLASSIFICATION,
    "sequence-classification": _CLASSIFICATION,
    "text-classification": _CLASSIFICATION,
    "audio-classification": _CLASSIFICATION,
    "sequence-regression": ("r2",),
    "forecasting": ("skill",),
    "token-classification": ("span-f1", "accuracy"),
    "question-answering": ("f1", "exact-match"),
    "sentence-embedding": ("neighbour-accuracy",),
    "zero-shot-classification": _CLASSIFICATION,
}
"""Task to its metrics, greater is better; the first is the default."""

MULTI_LABEL_METRICS = ("micro-f1", "macro-f1", "auroc")
"""The metrics where any number of labels may hold; the first is the default."""


def metrics_of(task: str, multi_label: bool = False) -> tuple[str, ...]:
    """The metrics of a task, the default first."""
    return MULTI_LABEL_METRICS if multi_label else TASK_METRICS[task]
