"""The figures agree with scikit-learn's, ties and absent classes included."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgewright.exporters.reference import Metric, packed
from edgewright.pipeline.tasks.figures import figures_of
from edgewright.pipeline.tasks.label_figures import one_label
from edgewright.runtime.tasks.labels import Classification


def answers(logits: NDArray[np.float32]) -> list[Classification]:
    """What a device reads from logits [N, classes]."""
    names = tuple(f"class {index}" for index in range(logits.shape[1]))
    return [Classification(names, row) for row in logits]


def told(logits: NDArray[np.float32], targets: NDArray[np.int64]) -> dict[str, Any]:
    return figures_of(one_label(logits.shape[1]), zip(answers(logits), targets, strict=True))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("classes", [2, 3, 10])
def test_equal_to_scikit_learn(seed: int, classes: int) -> None:
    from sklearn import metrics as reference

    random = np.random.default_rng(seed)
    targets = random.integers(0, classes, 60)
    logits = np.round(random.normal(size=(60, classes)) + np.eye(classes)[targets], 1).astype(np.float32)
    predicted, figures = logits.argmax(axis=1), told(logits, targets)
    assert figures["accuracy"] == pytest.approx(reference.accuracy_score(targets, predicted))
    assert figures["macro-f1"] == pytest.approx(reference.f1_score(targets, predicted, average="macro"))
    probabilities = np.array([answer.probabilities for answer in answers(logits)])
    one_against_rest = [
        reference.roc_auc_score(targets == column, probabilities[:, column]) for column in range(classes)
    ]
    assert figures["auroc"] == pytest.approx(np.mean(one_against_rest))
    expected = reference.confusion_matrix(targets, predicted, labels=range(classes))
    assert figures["confusion"] == expected.tolist()


def test_a_figure_of_chosen_samples_is_that_of_these_alone() -> None:
    random = np.random.default_rng(0)
    logits, targets = random.normal(size=(40, 4)).astype(np.float32), random.integers(0, 4, 40)
    chosen = random.integers(0, 40, 40)  # as a bootstrap draws them
    again = told(logits[chosen], targets[chosen])
    for figure in one_label(4):
        if isinstance(figure, Metric):
            pairs = zip(answers(logits), targets, strict=True)
            evidence = packed([figure.evidence(*pair) for pair in pairs])
            assert figure.of(evidence[chosen]) == pytest.approx(again[figure.name])
            if figure.outcomes is not None:
                assert figure.outcomes(evidence[chosen]).mean() == pytest.approx(again[figure.name])


def test_a_class_without_samples_does_not_count() -> None:
    logits = np.array([[5, 0, 0], [0, 5, 0], [0, 5, 0]], np.float32)
    figures = told(logits, np.array([0, 1, 1]))
    assert figures["macro-f1"] == figures["auroc"] == 1.0


def test_one_class_only_is_chance() -> None:
    assert told(np.array([[1, 2], [3, 4]], np.float32), np.array([1, 1]))["auroc"] == 0.5


def test_of_very_many_classes_no_matrix_is_told() -> None:
    assert {figure.name for figure in one_label(1000)} - {figure.name for figure in one_label(1001)} == {
        "confusion"
    }
