"""Figures of answers are made in one pass, of what each of them keeps."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from edgewright.exporters.reference import Figure, Metric
from edgewright.pipeline.tasks.figures import figures_of, mean, mean_loss
from edgewright.pipeline.tasks.image_classification import ImageClassification


def test_evidence_that_figures_share_is_read_once_for_each_sample() -> None:
    read: list[Any] = []

    def evidence(answer: int, truth: int) -> tuple[int, int]:
        read.append((answer, truth))
        return answer, truth

    figures = (
        Metric(name="same", evidence=evidence, figure=lambda each: (each[:, 0] == each[:, 1]).mean()),
        Figure(name="count", evidence=evidence, figure=len),
        Figure(name="none", evidence=lambda answer, truth: 0, figure=lambda each: None),
        Figure(name="left out", evidence=evidence, figure=lambda each: None, optional=True),
    )

    def answered() -> Iterator[tuple[int, int]]:  # once, as a source gives them
        yield from ((1, 1), (2, 3), (4, 4), (5, 5))

    assert figures_of(figures, answered()) == {"same": 0.75, "count": 4, "none": None}
    assert read == [(1, 1), (2, 3), (4, 4), (5, 5)]


def test_one_function_may_read_answers_and_outputs() -> None:
    def seen(what: Any, truth: Any) -> float:
        return float(what if isinstance(what, int) else what["y"])

    figures = (
        Metric(name="answers", evidence=seen, figure=lambda each: float(each.sum())),
        Figure(name="outputs", evidence=seen, figure=lambda each: float(each.sum()), reads="outputs"),
    )
    answered = [(1, 0, {"y": 10}), (2, 0, {"y": 20})]
    assert figures_of(figures, answered) == {"answers": 3.0, "outputs": 30.0}


def test_the_loss_of_many_is_that_of_all_at_once() -> None:
    task = ImageClassification(("a", "b", "c"), class_weights=(0.5, 2.0, 1.0))
    random = np.random.default_rng(0)
    outputs, targets = random.normal(size=(2500, 3)).astype(np.float32), random.integers(0, 3, 2500)
    losses = task.losses(torch.from_numpy(outputs), {}, torch.from_numpy(targets)).double().numpy()
    weights = task.weights(targets).astype(np.float64)
    expected = (losses * weights).sum() / weights.sum()
    assert abs(mean_loss(task, list(outputs), targets) - expected) < 1e-12
    assert mean_loss(task, [], targets[:0]) == 0.0


def test_the_mean_of_nothing_is_zero() -> None:
    assert mean(np.empty(0)) == 0.0
    assert mean(np.array([1.0, 0.0])) == 0.5
