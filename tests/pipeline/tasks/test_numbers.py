"""Regression and forecasting: losses over what is known, figures in the user's units, the baseline beside them."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from edgewright.exporters.reference import Metric, packed
from edgewright.pipeline.catalog import TASKS
from edgewright.pipeline.data.samples import Sample
from edgewright.pipeline.tasks.figures import figures_of, mean_loss
from edgewright.pipeline.tasks.forecasting import Forecasting, seasonal_naive, seasonal_scale
from edgewright.pipeline.tasks.number_scores import errors_of, mean_over_targets
from edgewright.pipeline.tasks.numbers import LOSSES, Numbers
from edgewright.pipeline.tasks.registry import make_training_task
from edgewright.pipeline.tasks.sequence_regression import SequenceRegression
from edgewright.runtime.bundle.structure import to_plain
from edgewright.runtime.errors import DataError, RecipeError
from edgewright.runtime.series.settings import ForecastSettings, Series, SeriesSettings
from tests.messages import refused

MEAN, STD = (100.0, -5.0), (20.0, 0.5)
REGRESSION = SeriesSettings(("a", "b", "c"), (0.0,) * 3, (1.0,) * 3, ("x", "y"), MEAN, STD)
FORECAST = SeriesSettings(
    ("x", "y"), MEAN, STD, ("x", "y"), forecast=ForecastSettings(horizon=3, season=4, context=8)
)


def regression(**options: Any) -> SequenceRegression:
    return SequenceRegression(processor=to_plain(REGRESSION), **options)


def forecasting(settings: SeriesSettings = FORECAST, **options: Any) -> Forecasting:
    return Forecasting(processor=to_plain(settings), **options)


def steps(count: int, seed: int = 0) -> NDArray[np.float64]:
    """Two targets in the user's units."""
    values: NDArray[np.float64] = np.random.default_rng(seed).normal(size=(count, 2)) * STD + MEAN
    return values


def sample(target: NDArray[np.float64], raw: Any = None) -> Sample:
    return Sample("sensor/0", raw, target, "0" * 64)


def feeds(values: NDArray[np.float64]) -> dict[str, NDArray[Any]]:
    return {"values": values.astype(np.float32), "lengths": np.array(len(values), np.int32)}


def told(task: Numbers, outputs: Any, targets: NDArray[Any], beside: Any = None) -> dict[str, Any]:
    """The loss and the figures of outputs [T, K], which the device reads; `beside` is what that knows of each."""
    device = task.device_task(task.settings, ())
    answers = [
        device.decode({"prediction": row}, known)
        for row, known in zip(outputs, beside or [{}] * len(outputs), strict=True)
    ]
    figures = figures_of(task.figures, zip(answers, targets, strict=True))
    return {"loss": mean_loss(task, outputs, targets), **figures}


def test_every_task_has_metrics_and_knows_them() -> None:
    options = {"sequence-regression": REGRESSION, "forecasting": FORECAST}
    for name, metrics in ((name, spec.metrics) for name, spec in TASKS.items()):
        classes = () if name in options else ("a", "b")
        given = {"processor": to_plain(options[name])} if name in options else {}
        task = make_training_task(name, classes, **given)
        assert task.name == name
        assert task.metric_name == metrics[0]
        assert tuple(one.name for one in task.figures if isinstance(one, Metric)) == metrics
        assert all(task.metric(metric).greater for metric in metrics)
        with refused(RecipeError):
            task.metric("bleu")


def test_errors_equal_scikit_learn_where_something_is_known() -> None:
    from sklearn import metrics as reference

    random = np.random.default_rng(1)
    truth = random.normal(size=(6, 9, 3)) * [1.0, 10.0, 100.0]
    predictions = truth + random.normal(size=truth.shape)
    truth[random.random(truth.shape) < 0.3] = np.nan
    errors = errors_of(predictions, truth)
    for column in range(3):
        known = ~np.isnan(truth[..., column])
        ours, theirs = predictions[..., column][known], truth[..., column][known]
        assert errors.r2[column] == pytest.approx(reference.r2_score(theirs, ours))
        assert errors.rmse[column] == pytest.approx(reference.root_mean_squared_error(theirs, ours))
        assert errors.mae[column] == pytest.approx(reference.mean_absolute_error(theirs, ours))
        assert errors.count[column] == known.sum()


def test_a_target_that_is_constant_or_never_known() -> None:
    truth = np.stack([np.full((2, 3), 5.0), np.full((2, 3), 5.0), np.full((2, 3), np.nan)], axis=2)
    predictions = np.stack([np.full((2, 3), 5.0), np.full((2, 3), 6.0), np.zeros((2, 3))], axis=2)
    errors = errors_of(predictions, truth)
    assert errors.r2[:2].tolist() == [1.0, 0.0]
    assert np.isnan([errors.r2[2], errors.rmse[2], errors.mae[2]]).all()
    assert mean_over_targets(errors.r2) == 0.5
    assert mean_over_targets(errors.r2[2:]) == 0.0


def test_targets_of_a_regression_are_padded_with_nan_and_checked() -> None:
    task = regression()
    whole = task.stack([task.target(sample(steps(n)), feeds(np.zeros((n, 3)))) for n in (4, 2)])
    assert whole.shape == (2, 4, 2)
    assert np.isnan(whole[1, 2:]).all() and not np.isnan(whole[1, :2]).any()
    assert np.array_equal(whole[0], steps(4))
    assert task.stack([]).shape == (0, 0, 2)
    with refused(DataError):
        task.target(sample(steps(4)), feeds(np.zeros((5, 3))))
    with refused(DataError):
        task.target(sample(steps(4)[:, :1]), feeds(np.zeros((4, 3))))


@pytest.mark.parametrize("loss", LOSSES)
def test_losses_are_means_over_what_is_known_in_the_graphs_units(loss: str) -> None:
    task = regression(loss=loss)
    targets = np.full((3, 5, 2), np.nan)
    targets[0], targets[1, :2] = steps(5), steps(2)
    targets[0, 3, 1] = np.nan
    outputs = torch.randn(3, 5, 2, generator=torch.Generator().manual_seed(0))
    losses = task.losses(outputs, {}, torch.from_numpy(targets))
    normal = (targets - np.array(MEAN)) / np.array(STD)
    missed = np.abs(outputs.numpy() - normal)
    huber = np.where(missed < 1, missed**2 / 2, missed - 0.5)
    each = {"mse": missed**2, "mae": missed, "huber": huber}[loss]
    assert losses.dtype == torch.float32
    assert losses[:2].tolist() == pytest.approx(np.nanmean(each[:2], axis=(1, 2)).tolist(), rel=1e-5)
    assert losses[2] == 0.0
    assert task.weights(targets).tolist() == [4.5, 2.0, 0.0]
    figure = mean_loss(task, list(outputs.numpy()), targets)
    assert figure == pytest.approx(np.nansum(each) / 13, rel=1e-5), (
        "of a batch the mean over all known values"
    )


def test_what_is_unknown_sends_no_gradient() -> None:
    task = regression()
    outputs = torch.zeros(1, 4, 2, requires_grad=True)
    targets = torch.from_numpy(steps(4)[np.newaxis].copy())
    targets[0, 1, 0] = torch.nan
    targets[0, 3] = torch.nan
    torch.autograd.backward(task.losses(outputs, {}, targets).sum())
    assert outputs.grad is not None and torch.isfinite(outputs.grad).all()
    assert (outputs.grad[0] != 0).tolist() == [[True, True], [False, True], [True, True], [False, False]]


def test_figures_of_a_regression_are_in_the_users_units() -> None:
    task, targets = regression(), np.stack([steps(6), steps(6, 1)])
    targets[1, 4:] = np.nan
    outputs = ((targets - np.array(MEAN)) / np.array(STD)).astype(np.float32)
    outputs[..., 0] += 0.1
    outputs[1, 4:] = 0.0
    figures = told(task, list(outputs), targets)
    assert figures["targets"]["x"]["mae"] == pytest.approx(0.1 * STD[0], rel=1e-4)
    assert figures["targets"]["y"]["rmse"] == pytest.approx(0.0, abs=1e-5)
    assert figures["mae"] == pytest.approx(0.05 * STD[0], rel=1e-4)
    assert 0.9 < figures["r2"] < 1.0
    assert figures["values"] == 20
    assert task.metric().outcomes is None
    assert told(task, [outputs[0], outputs[1, :4]], targets) == figures, "the steps that it has"


def test_a_sample_is_held_against_the_steps_that_it_has() -> None:
    task, targets = regression(), np.stack([steps(6), steps(6, 1)])
    targets[1, 4:] = np.nan
    outputs = [np.zeros((6, 2), np.float32), np.zeros((4, 2), np.float32)]
    device = task.device_task(task.settings, ())
    answers = [device.decode({"prediction": row}, {}) for row in outputs]
    metric = task.metric()
    padded = packed([metric.evidence(*pair) for pair in zip(answers, targets, strict=True)])
    own = packed([metric.evidence(*pair) for pair in zip(answers, (targets[0], targets[1, :4]), strict=True)])
    assert [one.shape for one in padded] == [(6, 2, 2), (4, 2, 2)] == [one.shape for one in own]
    assert metric.of(padded) == metric.of(own) == told(task, list(outputs), targets)["r2"]
    assert metric.of(own[1:]) == told(task, list(outputs[1:]), targets[1:])["r2"]


def test_the_naive_forecast_repeats_the_last_season() -> None:
    history = np.arange(10.0)[:, np.newaxis]
    assert seasonal_naive(history, 4, 6).ravel().tolist() == [6, 7, 8, 9, 6, 7]
    assert seasonal_naive(history, 1, 3).ravel().tolist() == [9, 9, 9]
    assert seasonal_naive(history, 12, 3).ravel().tolist() == [9, 9, 9], "less than a season is known"
    assert seasonal_scale(history, 4).tolist() == [4.0]
    assert seasonal_scale(history, 10).tolist() == [1.0]
    assert np.isnan(seasonal_scale(np.ones((9, 1)), 2)).all()
    assert np.isnan(seasonal_scale(history[:1], 2)).all()


def normalised(history: NDArray[np.float64]) -> NDArray[np.float64]:
    values: NDArray[np.float64] = (history - np.array(MEAN)) / np.array(STD)
    return values


def test_a_forecast_as_good_as_the_naive_one_has_no_skill() -> None:
    task = forecasting()
    histories = [steps(8, seed) for seed in range(5)]
    truths = [steps(3, seed + 50) for seed in range(5)]
    truths[2][1, 0] = np.nan
    targets = task.stack(
        [
            task.target(sample(truth), feeds(normalised(history)))
            for truth, history in zip(truths, histories, strict=True)
        ]
    )
    assert targets.shape == (5, 3, 2, 5)
    naive = np.stack([seasonal_naive(history, 4, 3) for history in histories])
    outputs = normalised(naive).astype(np.float32)
    figures = told(task, list(outputs), targets)
    assert figures["skill"] == pytest.approx(0.0, abs=1e-6)
    assert figures["mae"] == pytest.approx(figures["baseline_mae"], rel=1e-5)
    errors = np.abs(naive - np.stack(truths))
    assert figures["baseline_mae"] == pytest.approx(np.nanmean(errors, axis=(0, 1)).mean(), rel=1e-5)
    scales = np.stack([seasonal_scale(history, 4) for history in histories])[:, np.newaxis]
    assert figures["mase"] == pytest.approx(np.nanmean(errors / scales), rel=1e-4)
    assert figures["mae_by_step"] == pytest.approx(
        [np.nanmean(errors[:, step]) for step in range(3)], rel=1e-5
    )
    assert figures["targets"]["y"]["mae"] == pytest.approx(errors[..., 1].mean(), rel=1e-4)
    perfect = normalised(np.nan_to_num(np.stack(truths))).astype(np.float32)
    assert told(task, perfect, targets)["skill"] == pytest.approx(1.0, abs=1e-4)
    (note,) = task.notes({"evaluation": {**figures, "skill": -0.1}, "validation": {**figures, "skill": 0.2}})
    assert "loses to the seasonal-naive forecast on evaluation" in note
    assert task.weights(targets).tolist() == [3.0, 3.0, 2.5, 3.0, 3.0]
    assert task.losses(torch.from_numpy(perfect), {}, torch.from_numpy(targets)).max() < 1e-8


def test_each_series_has_its_own_scale() -> None:
    own = ((1000.0, 0.0), (100.0, 1.0), (1000.0, 0.0), (100.0, 1.0))
    settings = SeriesSettings(
        ("x", "y"), MEAN, STD, ("x", "y"), MEAN, STD,
        forecast=FORECAST.forecast, per_series={"big": own}, unseen="global",
    )  # fmt: skip
    task = forecasting(settings)
    history, truth = np.full((8, 2), 0.5), np.array([[1050.0, 0.5]] * 3)
    big = task.target(sample(truth, Series(history, name="big")), feeds(history))
    other = task.target(sample(truth, Series(history, name="new")), feeds(history))
    targets = task.stack([big, other])
    outputs = np.full((2, 3, 2), 0.5, np.float32)
    assert targets[0, 0, :, 1].tolist() == [1050.0, 0.5], "the naive forecast, in the user's units"
    scales = [{"scale": np.array(settings.scales(name)[2:])} for name in ("big", "new")]
    assert told(task, list(outputs[:1]), targets[:1], scales[:1])["mae"] == 0.0
    assert told(task, list(outputs[1:]), targets[1:], scales[1:])["mae"] > 400.0
    assert task.losses(torch.from_numpy(outputs), {}, torch.from_numpy(targets))[0] == 0.0


def test_a_horizon_that_does_not_fit() -> None:
    with refused(DataError):
        forecasting().target(sample(steps(5)), feeds(np.zeros((8, 2))))


def test_a_perfect_baseline_and_a_flat_history() -> None:
    task = forecasting()
    flat = np.tile(np.array(MEAN), (8, 1))
    targets = task.stack([task.target(sample(flat[:3]), feeds(normalised(flat)))])
    figures = told(task, np.zeros((1, 3, 2), np.float32), targets)
    assert (figures["skill"], figures["mae"], figures["mase"]) == (0.0, 0.0, None)
    assert told(task, np.ones((1, 3, 2), np.float32), targets)["skill"] == -1.0
    assert math.isfinite(told(task, np.ones((1, 3, 2), np.float32), targets)["loss"])
    targets[..., :2] = 0.0, 1e-320  # the error of the baseline is a number that nothing can be divided by
    assert told(task, np.ones((1, 3, 2), np.float32), targets)["skill"] == -1.0
