"""The figures of a classifier, from logits and targets. Plain numpy: importing a metrics package takes ten
seconds.
"""

import numpy as np
from numpy.typing import NDArray

from edgewright.pipeline.tasks.label_scores import mean_auroc, mean_f1

Logits = NDArray[np.floating]
Targets = NDArray[np.integer]


def softmax(logits: Logits) -> NDArray[np.float64]:
    """Probabilities [N, C] of logits [N, C], in double precision."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    exponentials = np.exp(shifted)
    probabilities: NDArray[np.float64] = exponentials / exponentials.sum(axis=1, keepdims=True)
    return probabilities


def accuracy(logits: Logits, targets: Targets) -> float:
    """The share of samples whose largest logit is the target's."""
    return float(np.mean(logits.argmax(axis=1) == targets))


def confusion_matrix(logits: Logits, targets: Targets) -> NDArray[np.int64]:
    """Counts [C, C]: rows are true classes, columns predicted ones."""
    classes = logits.shape[1]
    cells = targets.astype(np.int64) * classes + logits.argmax(axis=1)
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)


def macro_f1(logits: Logits, targets: Targets) -> float:
    """The mean F1 of the classes that occur among the targets or the predictions."""
    counts = confusion_matrix(logits, targets)
    return mean_f1(np.diag(counts), counts.sum(axis=0) + counts.sum(axis=1))


def auroc(logits: Logits, targets: Targets) -> float:
    """The mean one-against-rest area under the ROC curve of the classes that have samples on both sides.

    0.5 when there is no such class.
    """
    return mean_auroc(softmax(logits), targets[:, np.newaxis] == np.arange(logits.shape[1]))
