"""What is frozen does not move, and what moves is noticed."""

import pytest
import torch
from torch import nn

from edgewright.pipeline.training.freeze import (
    check_frozen,
    digest_tensors,
    frozen_names,
    moving_names,
    named_tensors,
    set_trainable,
)
from edgewright.runtime.errors import TrainingError
from tests.messages import refused
from tests.pipeline.training.small_net import small_model
from tests.pipeline.training.small_sequences import sequence_model

HEAD = frozenset({"fc.weight", "fc.bias"})
BODY = frozenset({"body.0.weight", "body.0.bias", "body.1.weight", "body.1.bias"})


def test_frozen_blocks_are_in_eval_mode_and_their_dropout_too() -> None:
    module = small_model().module
    set_trainable(module, HEAD)
    training = {path for path, layer in module.named_modules() if layer.training}
    assert training == {"", "drop", "fc"}
    set_trainable(module, HEAD | BODY)
    training = {path for path, layer in module.named_modules() if layer.training}
    assert training == {"", "drop", "fc", "body", *(f"body.{index}" for index in range(5))}
    assert {name for name, parameter in module.named_parameters() if parameter.requires_grad} == HEAD | BODY


def test_dropout_of_frozen_recurrent_layers_is_off_and_their_cells_can_pass_gradients_on() -> None:
    """cuDNN refuses gradients through a cell in eval mode, and the first layer may learn below a frozen one."""
    module = sequence_model("sequence-regression", layers=3, dropout=0.5).module
    set_trainable(module, {name for name, _ in module.named_parameters() if name.startswith("layers.0.")})
    modes = {path: layer.training for path, layer in module.named_modules()}
    assert modes["layers.0"] and not modes["layers.1"] and not modes["layers.2"]
    assert not modes["layers.1.dropout"] and not modes["layers.2.dropout"]
    assert modes["layers.2.cells.0"]


def test_a_frozen_batchnorm_inside_a_training_block_keeps_its_statistics() -> None:
    module = small_model().module
    moving = moving_names(module, HEAD | {"body.0.weight"})
    assert not module.get_submodule("body.1").training
    assert moving == HEAD | {"body.0.weight"}


def test_buffers_of_a_training_batchnorm_move() -> None:
    module = small_model().module
    statistics = {f"body.1.{name}" for name in ("running_mean", "running_var", "num_batches_tracked")}
    assert moving_names(module, HEAD | BODY) == HEAD | BODY | statistics
    assert frozen_names(module, HEAD | BODY) == set(named_tensors(module)) - HEAD - BODY - statistics


@pytest.mark.parametrize(
    "name", ["conv1.weight", "bn1.bias", "bn1.running_mean", "bn1.num_batches_tracked", "body.1.running_var"]
)
def test_any_change_is_noticed(name: str) -> None:
    module = small_model().module
    frozen = frozen_names(module, HEAD)
    before = digest_tensors(module, frozen)
    check_frozen(module, frozen, before, "a phase")
    with torch.no_grad():
        values = named_tensors(module)[name].view(-1)
        values[0] = values[0] + 1
    with refused(TrainingError):
        check_frozen(module, frozen, before, "a phase")


def test_the_digest_tells_types_and_names_apart() -> None:
    class One(nn.Module):
        def __init__(self, name: str, values: torch.Tensor) -> None:
            super().__init__()
            self.register_buffer(name, values)

    values = [torch.zeros(4), torch.zeros(2, 2), torch.zeros(4, dtype=torch.int32), torch.zeros(8).half()]
    digests = {digest_tensors(One("a", value)) for value in values}
    assert len(digests | {digest_tensors(One("b", torch.zeros(4)))}) == 5
    assert digest_tensors(One("a", torch.tensor(True))) != digest_tensors(One("a", torch.tensor(False)))
    assert digest_tensors(small_model().module) == digest_tensors(small_model().module)
