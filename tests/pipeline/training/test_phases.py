"""Which parameters learn when, and how fast."""

import itertools

import pytest

from edgewright.pipeline.training.optimizers import make_optimizer, set_rates
from edgewright.pipeline.training.phases import block_scales, plan_feature_phase, plan_phases, unlock_plan
from edgewright.runtime.errors import RecipeError
from tests.messages import refused
from tests.pipeline.training.small_net import recipe, small_model

HEAD = frozenset({"fc.weight", "fc.bias"})


def test_few_samples_are_gone_through_more_often() -> None:
    wanted = recipe({"unfreeze": "all", "head_epochs": 0}, epochs=3)
    training = wanted.training.model_copy(update={"least_steps": 100})
    wanted = wanted.model_copy(update={"training": training})
    assert [phase.epochs for phase in plan_phases(small_model(), wanted, 7)] == [15]
    assert [phase.epochs for phase in plan_phases(small_model(), wanted, 50)] == [3]
    assert [phase.epochs for phase in plan_feature_phase(HEAD, wanted, 99)] == [3]
    assert [phase.epochs for phase in plan_feature_phase(HEAD, wanted, 9)] == [12]


def test_the_head_learns_first_then_blocks_at_their_own_rate() -> None:
    head, main = plan_phases(small_model(), recipe({"unfreeze": "all", "rate_divisor": 100.0}, epochs=3))
    assert (head.name, head.epochs, head.trainable) == ("head", 1, HEAD)
    assert (main.name, main.epochs) == ("fine-tuning", 3)
    assert main.scales["conv1.weight"] == pytest.approx(0.01)
    assert main.scales["body.0.weight"] == pytest.approx(0.1)
    assert main.scales["fc.weight"] == 1.0
    assert set(main.scales) == main.trainable == {name for name, _ in small_model().module.named_parameters()}


def test_the_slowest_rate_belongs_to_the_first_unfrozen_block() -> None:
    _, main = plan_phases(small_model(), recipe({"unfreeze": 2}))
    assert {name.partition(".")[0] for name in main.trainable} == {"body", "fc"}
    assert main.scales["body.0.weight"] == pytest.approx(0.01)


def test_one_phase_where_only_the_head_learns_or_the_head_is_kept() -> None:
    (only,) = plan_phases(small_model(), recipe({"unfreeze": 1}))
    assert only.trainable == HEAD
    assert only.scales == {"fc.weight": 1.0, "fc.bias": 1.0}
    (kept,) = plan_phases(small_model(), recipe({"unfreeze": 2, "head": "keep"}))
    assert kept.name == "fine-tuning"
    (without,) = plan_phases(small_model(), recipe({"unfreeze": 2, "head_epochs": 0}))
    assert without.name == "fine-tuning"


def test_names_and_globs_and_what_does_not_exist() -> None:
    _, main = plan_phases(small_model(), recipe({"unfreeze": ["body.0"]}))
    assert main.trainable == HEAD | {"body.0.weight", "body.0.bias"}
    with refused(RecipeError):
        plan_phases(small_model(), recipe({"unfreeze": ["layer9"]}))


def test_gradual_unfreezing_ends_with_everything() -> None:
    _, main = plan_phases(small_model(), recipe({"unfreeze": "all", "gradual": True}, epochs=3))
    heads = [{name.partition(".")[0] for name in main.trainable_in(epoch)} for epoch in range(4)]
    assert heads == [{"body", "fc"}, {"conv1", "bn1", "body", "fc"}, *[{"conv1", "bn1", "body", "fc"}] * 2]


@pytest.mark.parametrize("blocks", [1, 2, 3, 9])
@pytest.mark.parametrize("epochs", [1, 2, 3, 12])
@pytest.mark.parametrize("first", [1, 2])
def test_unlocking_only_grows(blocks: int, epochs: int, first: int) -> None:
    groups = [[str(index)] for index in range(blocks)]
    plan = unlock_plan(groups, epochs, first)
    assert len(plan) == epochs
    assert plan[-1] == {name for (name,) in groups}
    assert all(one <= other for one, other in itertools.pairwise(plan))
    assert str(blocks - 1) in plan[0]


def test_block_scales_are_geometric() -> None:
    scales = block_scales([["a"], ["b"], ["c"], ["d"]], 1000.0)
    assert [scales[name] for name in "abcd"] == pytest.approx([0.001, 0.01, 0.1, 1.0])
    assert block_scales([["a", "b"]], 100.0) == {"a": 1.0, "b": 1.0}
    assert block_scales([], 100.0) == {}


def test_biases_and_norms_do_not_decay_and_every_group_has_its_rate() -> None:
    built = small_model()
    wanted = recipe({"unfreeze": "all"}, weight_decay=0.1)
    optimizer = make_optimizer(built.module, plan_phases(built, wanted)[1], wanted.training)
    set_rates(optimizer, 0.5)
    seen = set()
    for group in optimizer.param_groups:
        for name in group["names"]:
            seen.add(name)
            assert group["weight_decay"] == (0.1 if built.module.get_parameter(name).ndim > 1 else 0.0)
            assert group["lr"] == pytest.approx(0.5 * group["scale"])
    assert seen == {name for name, _ in built.module.named_parameters()}
