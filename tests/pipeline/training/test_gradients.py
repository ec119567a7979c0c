"""Gradients through time: the true ones, aligned, judged, and nothing of the model changed by measuring."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from edgewright.pipeline.models.model import BuiltModel
from edgewright.pipeline.models.recurrent.build import build_recurrent
from edgewright.pipeline.models.recurrent.network import CELLS, Network
from edgewright.pipeline.models.vision.build import build_model
from edgewright.pipeline.tasks.base import Objective
from edgewright.pipeline.tasks.registry import make_training_task
from edgewright.pipeline.training import gradients
from edgewright.pipeline.training.gradients import GradientReport, gradient_curves
from edgewright.runtime.bundle.structure import to_plain
from edgewright.runtime.errors import TrainingError
from edgewright.runtime.series.settings import SeriesSettings
from tests.messages import refused
from tests.pipeline.models.recurrent.sequences import batch, build

LABELS = ("a", "b", "c")
_LABELLED = SeriesSettings(("x", "y"), (0.0, 0.0), (1.0, 1.0))
_VALUED = SeriesSettings(("x", "y"), (0.0, 0.0), (1.0, 1.0), ("z",), (0.0,), (1.0,))


@dataclass(frozen=True)
class Case:
    """A model, its task and a batch for both."""

    built: BuiltModel
    task: Objective
    inputs: tuple[Tensor, ...]
    targets: Tensor

    def curves(self) -> GradientReport:
        return gradient_curves(self.built, self.inputs, self.targets, self.task)


def case(network: Network, lengths: list[int], every_step: bool = False, seed: int = 0) -> Case:
    torch.manual_seed(seed)
    values = torch.randn(len(lengths), max(lengths), 2)
    inputs = values, torch.tensor(lengths, dtype=torch.int32)
    if not every_step:
        built = build_recurrent("sequence-classification", network, _LABELLED, 3)
        task = make_training_task("sequence-classification", LABELS)
        return Case(built, task, inputs, torch.randint(0, 3, (len(lengths),)))
    built = build_recurrent("sequence-regression", network, _VALUED)
    task = make_training_task("sequence-regression", (), processor=to_plain(_VALUED))
    targets = torch.randn(len(lengths), max(lengths), 1, dtype=torch.float64)
    for row, length in enumerate(lengths):
        targets[row, length:] = torch.nan
    return Case(built, task, inputs, targets)


def by_hand(found: Case, step: int) -> float:
    """Norm of the loss's derivative by the state after `step`: what follows is run from that state on."""
    module = copy.deepcopy(found.built.module).double()
    values = found.inputs[0].double().transpose(0, 1)
    cell: Any = module.get_submodule("layers.0.cells.0")
    with torch.no_grad():
        state = cell(values[: step + 1])[1]
    state = tuple(part.requires_grad_() for part in (state if isinstance(state, tuple) else (state,)))
    last = state[0][0]
    if step + 1 < len(values):
        last = cell(values[step + 1 :], state if len(state) == 2 else state[0])[0][-1]
    loss = found.task.losses(module.get_submodule("head")(last), {}, found.targets).sum()
    parts = torch.autograd.grad(loss, state, allow_unused=True)
    return float(torch.cat([part.flatten() for part in parts if part is not None]).norm())


@pytest.mark.parametrize("cell", CELLS)
def test_the_curve_is_the_true_gradient(cell: str) -> None:
    found = case(Network(cell, hidden=8), [30])
    (layer,) = found.curves().layers
    assert (layer.name, layer.direction, len(layer.norms)) == ("layers.0", "forward", 30)
    for step in (0, 7, 28, 29):
        assert layer.norms[step] == pytest.approx(by_hand(found, step), rel=1e-9)


def test_measuring_changes_nothing() -> None:
    found = case(Network("lstm", layers=2, hidden=8, dropout=0.5), [9, 4])
    module = found.built.module.train()
    for parameter in module.parameters():
        parameter.grad = torch.ones_like(parameter)
    module.get_parameter("head.bias").requires_grad_(False)
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    torch.manual_seed(5)
    expected = torch.rand(2)
    torch.manual_seed(5)
    first = found.curves()
    assert torch.equal(torch.rand(2), expected)
    assert found.curves() == first
    assert all(torch.equal(before[name], tensor) for name, tensor in module.state_dict().items())
    assert all(torch.equal(p.grad, torch.ones_like(p)) for p in module.parameters() if p.grad is not None)
    assert all(part.training for part in module.modules())
    assert not module.get_parameter("head.bias").requires_grad


def test_of_different_lengths_the_ends_stand_together() -> None:
    network = Network("gru", hidden=8)
    long, short = case(network, [20]), case(network, [5], seed=1)
    values = torch.zeros(2, 20, 2)
    values[0], values[1, :5] = long.inputs[0][0], short.inputs[0][0]
    lengths = torch.tensor([20, 5], dtype=torch.int32)
    both = gradient_curves(long.built, (values, lengths), torch.cat([long.targets, short.targets]), long.task)
    assert (both.samples, both.steps, both.aligned) == (2, 20, "end")
    one, other, norms = (np.array(r.layers[0].norms) for r in (long.curves(), short.curves(), both))
    assert np.allclose(norms[:15], one[:15])
    assert np.allclose(norms[15:], (one[15:] + other) / 2)


def test_of_answers_at_every_step_the_last_known_one_counts() -> None:
    found = case(Network("rnn", hidden=8), [12], every_step=True)
    found.targets[0, 9:] = torch.nan
    (layer,) = found.curves().layers
    assert len(layer.norms) == 9, "the loss enters after the ninth step"
    found.targets[0, :8] = torch.nan
    assert found.curves().layers[0].norms == layer.norms
    found.targets[0, 8] = torch.nan
    found.targets[0, 5] = 1.0
    assert len(found.curves().layers[0].norms) == 6


def test_a_direction_that_reads_from_the_end_is_asked_for_the_first_answer() -> None:
    found = case(Network("rnn", hidden=8, bidirectional=True), [40], every_step=True)
    forward, backward = found.curves().layers
    assert (backward.name, backward.direction) == ("layers.0 backward", "backward")
    for layer in (forward, backward):
        assert len(layer.norms) == 40
        assert layer.norms[0] < 1e-3 * layer.norms[-1], "in the order in which the direction reads"


def test_the_last_thousand_steps_of_eight_samples_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gradients, "_STEPS", 50)
    found = case(Network("rnn", hidden=4), [70] * 9 + [30])
    report = found.curves()
    assert (report.samples, report.steps, len(report.layers[0].norms)) == (8, 50, 50)
    every = case(Network("rnn", hidden=4), [70, 30], every_step=True).curves()
    assert (every.steps, len(every.layers[0].norms)) == (50, 50)
    assert every.layers[0].norms[-1] > 0


@pytest.mark.parametrize(
    ("network", "verdict", "advice"),
    [
        (Network("rnn", hidden=8), "vanishes", "model: lstm or gru"),
        (Network("gru", hidden=8, init="orthogonal"), "vanishes", "network.readout: mean or max"),
        (Network("gru", hidden=8, readout="mean"), "healthy", ""),
        (Network("rnn", hidden=64, init="he", activation="relu"), "explodes", "training.clip_norm"),
    ],
)
def test_verdicts(network: Network, verdict: str, advice: str) -> None:
    found = case(network, [150, 120, 150])
    if verdict == "explodes":
        with torch.no_grad():
            found.built.module.get_parameter("layers.0.cells.0.weight_hh_l0").mul_(1.5)
    (layer,) = found.curves().layers
    assert layer.verdict == verdict
    assert layer.ratio is not None and f"{len(layer.norms)} steps" in layer.reason
    assert any(line.startswith(advice) for line in layer.advice) if advice else layer.advice == ()
    assert not [line for line in layer.advice if line.startswith(f"network.init: {network.init}")]


@pytest.mark.parametrize(
    ("name", "shorter"),
    [
        ("sequence-classification", "data.window"),
        ("sequence-regression", "data.window"),
        ("forecasting", "forecast.context"),
        ("text-classification", "text.max_tokens"),
        ("audio-classification", "audio.hop_ms"),
    ],
)
def test_every_task_has_curves_and_advice_that_its_recipe_knows(name: str, shorter: str) -> None:
    built = build(name, Network("gru", layers=2, hidden=8, bidirectional=True, embedding=6))
    count = 60
    if name.endswith("classification"):
        task = make_training_task(name, ("a", "b", "c", "d"))
        targets = torch.tensor([0, 3])
    else:
        task = make_training_task(name, (), processor=to_plain(built.settings))
        shape = (2, 4, 2, 5) if name == "forecasting" else (2, count, 2)
        targets = torch.rand(shape, dtype=torch.float64) + 0.5
    report = gradient_curves(built, batch(built, [count, count - 7]), targets, task)
    assert [layer.name for layer in report.layers] == [
        "layers.0", "layers.0 backward", "layers.1", "layers.1 backward",
    ]  # fmt: skip
    assert all(len(layer.norms) == count and max(layer.norms) > 0 for layer in report.layers)
    last = report.layers[2]
    assert last.verdict == "vanishes" and any(line.startswith(shorter) for line in last.advice)


def test_a_layer_that_no_gradient_reaches_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    found = case(Network("gru", layers=2, hidden=8, readout="mean"), [20])
    with torch.no_grad():
        found.built.module.get_parameter("layers.1.cells.0.weight_ih_l0").mul_(1e-7)
    report = found.curves()
    assert [layer.verdict for layer in report.layers] == ["vanishes", "healthy"]
    assert "reaches this one" in report.layers[0].reason
    assert report.layers[0].advice[0].startswith("network.residual: true")


def test_what_is_not_finite_is_still_plain() -> None:
    found = case(Network("rnn", hidden=8, activation="relu"), [400])
    with torch.no_grad():
        found.built.module.get_parameter("layers.0.cells.0.weight_hh_l0").copy_(8 * torch.eye(8))
    report = found.curves()
    assert report.layers[0].verdict == "explodes" and report.layers[0].ratio is None
    plain: Mapping[str, Any] = to_plain(report)
    assert plain["layers"][0]["ratio"] is None and max(plain["layers"][0]["norms"]) <= 1e300


def test_only_recurrent_models_have_such_gradients() -> None:
    images = build_model("squeezenet1_1", 3, "none", 64)
    with refused(TrainingError):
        gradient_curves(images, (torch.zeros(1, 3, 64, 64),), torch.zeros(1), case(Network("rnn"), [3]).task)
