"""The figures agree with scikit-learn's, ties and absent classes included."""

import numpy as np
import pytest

from edgewright.pipeline.tasks import scores


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("classes", [2, 3, 10])
def test_equal_to_scikit_learn(seed: int, classes: int) -> None:
    from sklearn import metrics as reference

    random = np.random.default_rng(seed)
    targets = random.integers(0, classes, 60)
    logits = np.round(random.normal(size=(60, classes)) + np.eye(classes)[targets], 1).astype(np.float32)
    predicted = logits.argmax(axis=1)
    assert scores.accuracy(logits, targets) == pytest.approx(reference.accuracy_score(targets, predicted))
    assert scores.macro_f1(logits, targets) == pytest.approx(
        reference.f1_score(targets, predicted, average="macro")
    )
    one_against_rest = [
        reference.roc_auc_score(targets == column, scores.softmax(logits)[:, column])
        for column in range(classes)
    ]
    assert scores.auroc(logits, targets) == pytest.approx(np.mean(one_against_rest))
    expected = reference.confusion_matrix(targets, predicted, labels=range(classes))
    assert np.array_equal(scores.confusion_matrix(logits, targets), expected)


def test_a_class_without_samples_does_not_count() -> None:
    logits = np.array([[5, 0, 0], [0, 5, 0], [0, 5, 0]], np.float32)
    targets = np.array([0, 1, 1])
    assert scores.macro_f1(logits, targets) == 1.0
    assert scores.auroc(logits, targets) == 1.0


def test_one_class_only_is_chance() -> None:
    assert scores.auroc(np.array([[1, 2], [3, 4]], np.float32), np.array([1, 1])) == 0.5


def test_softmax_survives_large_logits() -> None:
    assert scores.softmax(np.array([[1e4, 0.0]], np.float32)).tolist() == [[1.0, 0.0]]
