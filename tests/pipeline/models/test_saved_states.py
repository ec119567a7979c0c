"""Which of the mappings in a checkpoint holds the weights."""

from typing import Any

import pytest
import torch

from edgewright.pipeline.models.saved_states import choose_state, saved_states, without_wrappers
from edgewright.runtime.errors import ModelError
from tests.messages import refused
from tests.pipeline.models.saved import optimizer_of

MODEL = {"a.weight": torch.zeros(2, 2), "a.bias": torch.zeros(2), "a.steps": torch.tensor(3)}
SCORE = torch.tensor(0.9)


@pytest.mark.parametrize(
    ("document", "key"),
    [
        (MODEL, "."),
        ({"state_dict": MODEL, "best": SCORE, "step": 3}, "state_dict"),
        ({"model": {"state_dict": MODEL}, "optimizer": "Adam"}, "model.state_dict"),
        ({"whatever": MODEL, "queue": torch.zeros(9, 9)}, "whatever"),
        ({"one": {"a.weight": torch.zeros(2)}, "best": SCORE}, "one"),
        ({"net": MODEL, "fsdp": {"state": {"a": MODEL}, "param_groups": []}}, "net"),
        ({"net": MODEL, "loss": {"weight": torch.zeros(3)}}, "net"),
        ({"only": {"scale": SCORE}}, "only"),
    ],
)
def test_the_weights_are_the_largest_mapping_of_names_to_tensors(document: Any, key: str) -> None:
    if (
        document.get("optimizer") == "Adam"
    ):  # not while tests are collected: the first optimizer imports for seconds
        document = {**document, "optimizer": optimizer_of(MODEL)}
    assert choose_state(saved_states(document), None).key == key


@pytest.mark.parametrize(
    "document",
    [{"model": MODEL, "ema": dict(MODEL)}, {"net": {"student": MODEL, "teacher": {**MODEL, "b": SCORE}}}],
)
def test_several_sets_of_weights_have_to_be_told_apart(document: Any) -> None:
    states = saved_states(document)
    with refused(ModelError) as caught:
        choose_state(states, None)
    for state in states:
        assert f"{state.key} (" in str(caught.value)
        assert choose_state(states, state.key) is state
    with refused(ModelError):
        choose_state(states, "emma")


def test_weights_beside_others_like_them_are_named_by_a_dot() -> None:
    states = saved_states({**MODEL, "ema": dict(MODEL)})
    with refused(ModelError):
        choose_state(states, None)
    assert choose_state(states, ".").left_out == ("ema",)


@pytest.mark.parametrize("document", [SCORE, [MODEL], {0: SCORE}, {"a": 1}, {}, None, "Adam"])
def test_without_names_there_are_no_weights(document: Any) -> None:
    document = optimizer_of(MODEL) if isinstance(document, str) else document
    with refused(ModelError):
        choose_state(saved_states(document), None)


def test_what_holds_itself_is_looked_at_once() -> None:
    document: dict[str, Any] = {"model": MODEL}
    document["again"] = document
    assert [state.key for state in saved_states(document)] == ["model"]


@pytest.mark.parametrize(
    ("prefix", "stripped"),
    [("", ()), ("module.", ("module.",)), ("module._orig_mod.", ("module.", "_orig_mod.")), ("model.", ())],
)
def test_what_a_wrapper_set_before_all_names_is_stripped(prefix: str, stripped: tuple[str, ...]) -> None:
    tensors, found = without_wrappers({f"{prefix}{name}": tensor for name, tensor in MODEL.items()})
    assert found == stripped
    assert list(tensors) == [name if stripped else f"{prefix}{name}" for name in MODEL]
    mixed = {"module.a": SCORE, "b": SCORE}
    assert without_wrappers(mixed) == (mixed, ())
    assert without_wrappers({}) == ({}, ())
