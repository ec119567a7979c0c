"""The figures of answers that are one label of several, whatever is labelled."""

from collections.abc import Callable
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgewright.exporters.reference import Figure, Metric, hits
from edgewright.pipeline.tasks.figures import mean
from edgewright.pipeline.tasks.label_scores import mean_auroc, mean_f1

_LARGEST_MATRIX = 1000
"""Classes of which the confusion is still written down: it has as many cells as this squared."""


def one_label(classes: int, best: Callable[[Any], int] = attrgetter("index")) -> tuple[Figure, ...]:
    """Those of `classes` labels, of answers with `probabilities` and of a true index for each; `best` says which label
    an answer chose.
    """

    def hit(answer: Any, truth: int) -> float:
        return float(best(answer) == truth)

    def places(answer: Any, truth: int) -> tuple[int, int]:
        return truth, best(answer)

    figures: list[Figure] = [
        Metric(name="accuracy", evidence=hit, figure=mean, outcomes=hits),
        Metric(name="macro-f1", evidence=places, figure=lambda pairs: macro_f1(pairs, classes)),
        Metric(name="auroc", evidence=odds, figure=auroc),
    ]
    if classes <= _LARGEST_MATRIX:
        figures.append(
            Figure(
                name="confusion",
                evidence=places,
                figure=lambda pairs: confusion_matrix(pairs, classes).tolist(),
            )
        )
    return tuple(figures)


def odds(answer: Any, truth: int) -> NDArray[np.float64]:
    """The probability of each class, and behind them the true class: float64 [classes + 1]."""
    return np.array((*answer.probabilities, truth), np.float64)


def confusion_matrix(pairs: NDArray[Any], classes: int) -> NDArray[np.int64]:
    """Counts [classes, classes] of pairs [N, 2]: rows are true classes, columns predicted ones."""
    cells = pairs.astype(np.int64) @ np.array([classes, 1])
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)


def macro_f1(pairs: NDArray[Any], classes: int) -> float:
    """The mean F1 of the classes that occur in pairs [N, 2] of a true and a predicted one."""
    truths, predicted = pairs.astype(np.int64).T
    right = np.bincount(truths[truths == predicted], minlength=classes)
    return mean_f1(right, np.bincount(truths, minlength=classes) + np.bincount(predicted, minlength=classes))


def auroc(rows: NDArray[Any]) -> float:
    """The mean one-against-rest area under the ROC curve of the classes that have samples on both sides, from rows
    [N, classes + 1] as `odds` gives them; 0.5 when there is no such class.
    """
    probabilities, truths = rows[:, :-1], rows[:, -1]
    return mean_auroc(probabilities, truths[:, np.newaxis] == np.arange(probabilities.shape[1]))
