"""The range test finds a rate and leaves no trace."""

from pathlib import Path

import numpy as np
import pytest
import torch

from edgewright.exporters.part import TorchGraphs
from edgewright.pipeline.models.model import BuiltModel
from edgewright.pipeline.recipe.recipe import Recipe
from edgewright.pipeline.tasks.registry import task_of
from edgewright.pipeline.training.distributed import World
from edgewright.pipeline.training.fit import fit
from edgewright.pipeline.training.freeze import named_tensors
from edgewright.pipeline.training.lr_range import find_rate, range_test, suggest_rate
from edgewright.pipeline.training.phases import plan_phases
from edgewright.pipeline.training.sample_source import SampleSource
from edgewright.pipeline.training.stepping import Job
from tests.pipeline.training.small_net import recipe, small_model, small_splits
from tests.pipeline.training.small_sequences import sequence_model, sequence_recipe, sequence_splits


def job_of(built: BuiltModel, wanted: Recipe) -> Job:
    splits = small_splits()
    task = task_of(built, splits, wanted)
    source = SampleSource(splits.train, task, task.device_task(built.settings, splits.classes))
    return Job(built.module, task, source, None, wanted.training, World(), TorchGraphs(built.parts()))


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_the_model_is_put_back_bit_for_bit(optimizer: str) -> None:
    built, wanted = small_model(), recipe({"unfreeze": "all"}, optimizer=optimizer)
    before = {name: tensor.detach().clone() for name, tensor in named_tensors(built.module).items()}
    rates, losses = range_test(job_of(built, wanted), plan_phases(built, wanted)[1], 1, 40)
    assert len(rates) == len(losses) > 20
    assert rates == sorted(rates)
    assert max(losses) > 1.5 * min(losses), "the test ended before the loss exploded"
    for name, tensor in named_tensors(built.module).items():
        assert torch.equal(tensor, before[name]), name
    assert all(parameter.grad is None for parameter in built.module.parameters())


def test_the_same_seed_finds_the_same_rate() -> None:
    found = []
    for _ in range(2):
        built, wanted = small_model(), recipe({"unfreeze": "all"}, lr="auto")
        found.append(find_rate(job_of(built, wanted), plan_phases(built, wanted)[0], 0, 200))
    assert found[0] == found[1]
    assert 1e-4 < found[0] < 1


def test_the_middle_of_the_descent() -> None:
    rates = np.geomspace(1e-5, 1, 51).tolist()
    losses = [2.0] * 15 + np.linspace(1.99, 0.5, 21).tolist() + np.linspace(0.6, 9, 15).tolist()
    found = suggest_rate(rates, losses)
    assert found is not None
    assert rates[18] < found < rates[30]


@pytest.mark.parametrize(
    "losses", [[], [2.0], [2.0] * 30, list(range(30)), [2.0 - 1e-4 * i for i in range(30)]]
)
def test_no_descent_no_suggestion(losses: list[float]) -> None:
    assert suggest_rate(np.geomspace(1e-5, 1, max(1, len(losses))).tolist(), losses) is None


def test_a_descent_without_noise_begins_where_it_is_noticed() -> None:
    rates = [1e-5 * 1.8**step for step in range(20)]
    losses = [1.0 - min(0.9, 5 * rate) - 1e-9 * step for step, rate in enumerate(rates)]
    whole, noticed = suggest_rate(rates, losses), suggest_rate(rates, losses, 0.02)
    assert whole is not None and noticed is not None
    assert whole < 5e-3 < 2e-2 < noticed < rates[-1]
    assert suggest_rate(rates, losses[::-1], 0.02) is None


def test_a_short_training_on_few_sequences_still_learns(tmp_path: Path) -> None:
    """One step for each epoch: at the rate from the middle of the whole descent nothing would be learnt."""
    name = "sequence-regression"
    wanted = sequence_recipe(name, epochs=30, lr="auto", batch_size=64)
    splits = sequence_splits(name)
    few = type(splits)(**{**vars(splits), "train": splits.train[:32]})
    trained = fit(sequence_model(name), few, wanted, tmp_path)
    assert trained.metrics["evaluation"]["r2"] > 0.5
