"""What one step and one epoch do: gradients are clipped, gradual unfreezing moves what its turn has come for."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from edgewright.exporters.part import TorchGraphs
from edgewright.pipeline.tasks.registry import task_of
from edgewright.pipeline.training.distributed import World
from edgewright.pipeline.training.fit import fit
from edgewright.pipeline.training.freeze import named_tensors
from edgewright.pipeline.training.sample_source import SampleSource
from edgewright.pipeline.training.stepping import Job, backward
from tests.pipeline.training.small_net import recipe, small_model, small_splits


def gradients_after_one_step(**training: Any) -> tuple[torch.Tensor, float]:
    """All gradients of one batch in a row, and the norm that the step reports."""
    built, splits, wanted = small_model(), small_splits(), recipe({"unfreeze": "all"}, **training)
    task = task_of(built, splits, wanted)
    source = SampleSource(splits.train, task, task.device_task(built.settings, splits.classes))
    job = Job(built.module, task, source, None, wanted.training, World(), TorchGraphs(built.parts()))
    batch = np.arange(16, dtype=np.int64)
    (inputs,) = source.batches([batch], None)
    step = backward(job, batch, inputs)
    assert step.finite
    gradients = [parameter.grad for parameter in built.module.parameters()]
    return torch.cat([gradient.reshape(-1) for gradient in gradients if gradient is not None]), step.norm


def test_gradients_are_clipped_to_the_norm_and_keep_their_direction() -> None:
    free, none = gradients_after_one_step(clip_norm=None)
    norm = float(free.norm())
    assert none == 0.0 and norm > 0.1
    for limit in (norm / 10, norm / 2):
        clipped, reported = gradients_after_one_step(clip_norm=limit)
        assert reported == pytest.approx(norm, rel=1e-4)
        assert float(clipped.norm()) == pytest.approx(limit, rel=1e-3)
        assert torch.allclose(clipped / limit, free / norm, atol=1e-4)
    untouched, _ = gradients_after_one_step(clip_norm=norm * 2)
    assert torch.equal(untouched, free)


def test_class_weights_change_the_gradient_and_the_loss_is_a_weighted_mean() -> None:
    plain, _ = gradients_after_one_step(clip_norm=None)
    weighted, _ = gradients_after_one_step(clip_norm=None, class_weights="balanced")
    assert not torch.allclose(plain, weighted)
    assert float(weighted.norm()) == pytest.approx(float(plain.norm()), rel=0.5)


@pytest.mark.parametrize("gradual", [False, True])
def test_gradual_unfreezing_moves_a_block_when_its_turn_has_come(tmp_path: Path, gradual: bool) -> None:
    """Head first, then with every epoch one more block from the end; BatchNorm statistics follow their block."""
    built = small_model()
    transfer = {"unfreeze": "all", "gradual": gradual, "head_epochs": 1}
    seen: list[dict[str, torch.Tensor]] = [snapshot(built.module)]

    def watch(what: str, done: int, total: int, note: str = "") -> None:
        if note and done % (total // int(note.split()[-1])) == 0:  # "epoch 2 of 3"
            seen.append(snapshot(built.module))

    trained = fit(built, small_splits(), recipe(transfer, epochs=3), tmp_path, watch)
    assert [row["phase"] for row in trained.curves] == ["head"] + ["fine-tuning"] * 3
    moved = [
        {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
        for before, after in itertools.pairwise(seen)
    ]
    stem = {"conv1", "bn1"}
    if gradual:
        assert moved == [{"fc"}, {"fc", "body"}, {"fc", "body", *stem}, {"fc", "body", *stem}]
    else:
        assert moved == [{"fc"}, *[{"fc", "body", *stem}] * 3]


def snapshot(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in named_tensors(module).items()}


def test_blocks_near_the_input_move_less(tmp_path: Path) -> None:
    """Discriminative rates in a whole training: the first block moves least, the last one most."""
    moves: dict[float, list[float]] = {}
    for divisor in (1.0, 100.0):
        built = small_model()
        before = snapshot(built.module)
        transfer = {"unfreeze": "all", "head_epochs": 0, "rate_divisor": divisor}
        fit(built, small_splits(), recipe(transfer, epochs=1, lr=0.003), tmp_path / str(divisor))
        after = snapshot(built.module)
        moves[divisor] = [
            float((after[name] - before[name]).abs().mean())
            for name in ("conv1.weight", "body.0.weight", "fc.weight")
        ]
    stem, body, head = (
        moves[100.0][index] / moves[1.0][index] for index in range(3)
    )  # against one rate for all
    assert stem < 0.05 and 0.03 < body < 0.4 and head > 0.5
