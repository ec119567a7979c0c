"""Whole models: padded or not, readouts, heads, the cut between features and head, streaming in torch."""

from typing import Any

import pytest
import torch

from edgewright.pipeline.families import feature_module, head_module
from edgewright.pipeline.models.layers import resolve_unfreeze
from edgewright.pipeline.models.recurrent.network import CELLS, READOUTS, Network
from edgewright.pipeline.training.freeze import set_trainable
from tests.pipeline.models.recurrent.sequences import TASKS, batch, build, one, recurrent

FULL: dict[str, Any] = {"layers": 2, "hidden": 8, "residual": True, "layer_norm": True, "embedding": 6}


@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("task", TASKS)
def test_a_padded_batch_is_answered_as_each_sample_alone(
    task: str, bidirectional: bool, readout: str
) -> None:
    built = build(task, Network("lstm", **FULL, bidirectional=bidirectional, readout=readout))
    inputs = batch(built, [1, 7, 30, 12], time=33)
    with torch.no_grad():
        together = built.module(*inputs)
        for row, length in enumerate([1, 7, 30, 12]):
            alone = built.module(*one(inputs, row))
            found = together[row : row + 1]
            if task == "sequence-regression":
                assert not found[:, length:].any()
                found = found[:, :length]
            assert torch.allclose(found, alone, atol=1e-5)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("task", TASKS)
def test_features_and_head_are_the_model(task: str, cell: str) -> None:
    built = build(task, Network(cell, **FULL))
    inputs = batch(built, [5, 9, 3])
    features, head = feature_module(built), head_module(built)
    assert not features.training and not head.training
    with torch.no_grad():
        cut = features(*inputs)
        found, wanted = head(cut, *inputs[2:]), built.module(*inputs)
    assert cut.shape[-1:] == built.feature_shape
    if task == "sequence-regression":
        assert cut.shape == (3, 9, 8) and not cut[2, 3:].any()
        found = torch.cat([row[:length] for row, length in zip(found, (5, 9, 3), strict=True)])
        wanted = torch.cat([row[:length] for row, length in zip(wanted, (5, 9, 3), strict=True)])
    assert torch.equal(found, wanted)
    own = dict(built.module.named_parameters())
    assert {f"{name}" for name, _ in features.named_parameters()} == {
        name for name in own if not name.startswith("head.")
    }
    assert {id(tensor) for tensor in head.parameters()} == {
        id(own[name]) for name in ("head.weight", "head.bias")
    }


def test_what_the_readouts_read() -> None:
    inputs = None
    for readout in READOUTS:
        built = build(
            "sequence-classification", Network("gru", hidden=4, bidirectional=True, readout=readout)
        )
        inputs = inputs or batch(built, [5, 3])
        model = recurrent(built)
        with torch.no_grad():
            steps, features = model.steps(*inputs[:2]), feature_module(built)(*inputs)
        valid = steps[:3, 1]  # the second sample
        wanted = {
            "last": torch.cat([valid[2, :4], valid[0, 4:]]),
            "mean": valid.mean(dim=0),
            "max": valid.amax(dim=0),
        }[readout]
        assert torch.allclose(features[1], wanted, atol=1e-6)


def test_a_forecast_adds_to_the_anchor_and_reads_what_is_known() -> None:
    built = build("forecasting", Network("lstm", hidden=8))
    assert built.input_names == ("values", "lengths", "anchor", "known")
    values, lengths, anchor, known = batch(built, [6, 6])
    with torch.no_grad():
        found = built.module(values, lengths, anchor, known)
        assert found.shape == (2, 4, 2)
        assert torch.allclose(built.module(values, lengths, anchor + 1, known), found + 1, atol=1e-6)
        assert not torch.allclose(built.module(values, lengths, anchor, known + 1), found, atol=1e-3)
    without = build("forecasting", Network("lstm", hidden=8), known=False)
    assert without.input_names == ("values", "lengths", "anchor")
    assert without.module(values, lengths, anchor).shape == (2, 4, 2)


def test_dropout_acts_in_training_only_and_with_one_layer_too() -> None:
    built = build("sequence-classification", Network("lstm", hidden=8, dropout=0.5))
    inputs = batch(built, [6, 4])
    with torch.no_grad():
        assert torch.equal(built.module(*inputs), built.module(*inputs))
        built.module.train()
        assert not torch.equal(built.module(*inputs), built.module(*inputs))
        head = head_module(built).train()
        features = torch.ones(2, 8)
        assert not torch.equal(head(features), head(features))


def test_dropout_of_a_frozen_layer_does_nothing() -> None:
    built = build("sequence-classification", Network("gru", layers=2, hidden=8, dropout=0.5))
    inputs = batch(built, [6, 4])
    set_trainable(built.module, resolve_unfreeze(built, 1))
    assert built.module.training
    with torch.no_grad():
        model = recurrent(built)
        steps = model.steps(*inputs)
        assert torch.equal(model.steps(*inputs), steps)
        assert not torch.equal(model(*inputs), model(*inputs)), "the head learns, so it drops"
        set_trainable(built.module, resolve_unfreeze(built, 2))
        assert not torch.equal(model.steps(*inputs), steps)


@pytest.mark.parametrize("task", TASKS)
def test_a_model_learns_through_every_parameter(task: str) -> None:
    built = build(task, Network("gru", **FULL, bidirectional=True))
    built.module.train()
    built.module(*batch(built, [4, 6])).square().sum().backward()
    for name, parameter in built.module.named_parameters():
        assert parameter.grad is not None and parameter.grad.any(), name
