"""Why gates: two numbers far apart in 200 steps are added by an LSTM and a GRU, and never by a tanh RNN."""

import numpy as np
import pytest
import torch
from torch import Tensor

from edgewright.pipeline.models.recurrent.build import build_recurrent
from edgewright.pipeline.models.recurrent.network import Network
from edgewright.pipeline.tasks.registry import make_training_task
from edgewright.pipeline.training.gradients import gradient_curves
from edgewright.runtime.bundle.structure import to_plain
from edgewright.runtime.series.settings import SeriesSettings

STEPS, BATCH, CLIP = 200, 32, 1.0
SETTINGS = SeriesSettings(
    ("value", "marker"), (0.5, 0.01), (0.29, 0.1), targets=("sum",), target_mean=(1.0,), target_std=(0.408,)
)


def additions(random: np.random.Generator, count: int) -> tuple[Tensor, Tensor]:
    """Numbers between 0 and 1 with a marker at two of them, normalised, and the sum of these two at the last step."""
    values, markers = random.random((count, STEPS)), np.zeros((count, STEPS))
    rows = np.arange(count)
    markers[rows, random.integers(0, STEPS // 2, count)] = 1
    markers[rows, random.integers(STEPS // 2, STEPS, count)] = 1
    targets = np.full((count, STEPS, 1), np.nan)
    targets[:, -1, 0] = (values * markers).sum(axis=1)
    features = (np.stack([values, markers], axis=2) - SETTINGS.mean) / SETTINGS.std
    return torch.from_numpy(features.astype(np.float32)), torch.from_numpy(targets)


@pytest.mark.parametrize(
    ("cell", "init", "updates", "learns"),
    [("rnn", "orthogonal", 450, False), ("lstm", "orthogonal", 1000, True), ("gru", "orthogonal", 600, True)],
)
def test_gates_carry_what_a_plain_cell_forgets(cell: str, init: str, updates: int, learns: bool) -> None:
    built = build_recurrent("sequence-regression", Network(cell, hidden=32, init=init), SETTINGS)
    task = make_training_task("sequence-regression", (), processor=to_plain(SETTINGS))
    random = np.random.default_rng(0)
    optimizer = torch.optim.Adam(built.module.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.01, total_steps=updates)
    known, answers = additions(np.random.default_rng(1), 256)
    lengths = torch.full((256,), STEPS, dtype=torch.int32)

    def error() -> float:
        """Mean squared error by the variance of the sums: about 1 for the mean sum as the answer."""
        with torch.no_grad():
            return float(task.losses(built.module(known, lengths), {}, answers).mean())

    for update in range(updates):
        values, targets = additions(random, BATCH)
        loss = task.losses(built.module(values, lengths[:BATCH]), {}, targets).mean()
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(built.module.parameters(), CLIP)
        optimizer.step()
        schedule.step()
        if learns and update % 50 == 49 and error() < 0.05:
            break
    (layer,) = gradient_curves(built, (known, lengths), answers, task).layers
    assert len(layer.norms) == STEPS
    if learns:
        assert error() < 0.1
        assert layer.verdict == "healthy", layer.reason
    else:
        assert error() > 0.7
        assert layer.verdict == "vanishes" and layer.ratio is not None and layer.ratio < 1e-6
        assert layer.advice[0].startswith("model: lstm or gru")
