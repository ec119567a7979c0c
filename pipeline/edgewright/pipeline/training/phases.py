"""The phases of a training: what may learn when, and how fast each block learns."""

import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field

from edgewright.pipeline.models.layers import resolve_unfreeze
from edgewright.pipeline.models.model import BuiltModel
from edgewright.pipeline.recipe.recipe import Recipe


@dataclass(frozen=True)
class Phase:
    """A stretch of epochs with one optimiser and one run of the schedule.

    `trainable` are the parameters that learn in it. `scales` holds what the rate is multiplied by for each of
    them (1 where it is not listed). `unlocks` holds, for gradual unfreezing, what learns in each epoch.
    """

    name: str
    epochs: int
    trainable: frozenset[str]
    scales: Mapping[str, float] = field(default_factory=dict)
    unlocks: tuple[frozenset[str], ...] = ()

    def trainable_in(self, epoch: int) -> frozenset[str]:
        """The parameters that learn in `epoch` (from 0) of this phase."""
        return self.unlocks[min(epoch, len(self.unlocks) - 1)] if self.unlocks else self.trainable


def plan_feature_phase(parameters: Set[str], recipe: Recipe, steps_per_epoch: int) -> tuple[Phase, ...]:
    """The one phase that trains a head on cached features."""
    return (Phase("head", _epochs(recipe, steps_per_epoch), frozenset(parameters)),)


def plan_phases(built: BuiltModel, recipe: Recipe, steps_per_epoch: int = 1) -> tuple[Phase, ...]:
    """The phases of fine-tuning: the new head alone, then all that the recipe unfreezes with a rate for each
    block, for so many epochs that `training.least_steps` is reached.

    Raises `RecipeError` when the recipe unfreezes something that the model does not have.
    """
    transfer = recipe.transfer
    names = [name for name, _ in built.module.named_parameters()]
    head = frozenset(name for name in names if built.head and built.blocks[-1].owns(name))
    unfreeze = list(transfer.unfreeze) if isinstance(transfer.unfreeze, tuple) else transfer.unfreeze
    trainable = frozenset(resolve_unfreeze(built, unfreeze))
    if transfer.head == "new":
        trainable |= head  # a new head holds random weights: it cannot stay as it is
    groups = _by_block(built, [name for name in names if name in trainable])
    head_first = bool(head) and transfer.head == "new" and transfer.head_epochs > 0 and trainable != head
    phases = []
    if head_first:
        phases.append(Phase("head", transfer.head_epochs, head))
    epochs = _epochs(recipe, steps_per_epoch)
    unlocks = unlock_plan(groups, epochs, 2 if head_first else 1) if transfer.gradual else ()
    if transfer.layer_decay is None:
        scales = block_scales(groups, transfer.rate_divisor)
    else:
        scales = layer_scales(built, trainable, transfer.layer_decay)
    phases.append(Phase("fine-tuning", epochs, trainable, scales, unlocks))
    return tuple(phases)


def _epochs(recipe: Recipe, steps_per_epoch: int) -> int:
    return max(recipe.training.epochs, math.ceil(recipe.training.least_steps / steps_per_epoch))


def _by_block(built: BuiltModel, names: Sequence[str]) -> list[list[str]]:
    """`names` grouped by the block that owns them, first block first, without empty groups."""
    groups: dict[int, list[str]] = {}
    for name in names:
        groups.setdefault(built.block_of(name), []).append(name)
    return [groups[index] for index in sorted(groups)]


def block_scales(groups: Sequence[Sequence[str]], divisor: float) -> dict[str, float]:
    """A factor for every parameter: 1 for the last group, 1 / `divisor` for the first, geometric between
    them.
    """
    last = len(groups) - 1
    return {
        name: divisor ** ((index - last) / last) if last else 1.0
        for index, group in enumerate(groups)
        for name in group
    }


def layer_scales(built: BuiltModel, names: Set[str], decay: float) -> dict[str, float]:
    """A factor for each of the parameters `names`: 1 in the last block, `decay` times the next one's in every other."""
    last = len(built.blocks) - 1
    return {name: decay ** (last - built.block_of(name)) for name in sorted(names)}


def unlock_plan(groups: Sequence[Sequence[str]], epochs: int, first: int) -> tuple[frozenset[str], ...]:
    """What learns in each epoch of gradual unfreezing: `first` groups from the end, then one more each epoch.

    Where there are fewer epochs than groups several unlock at once, so that all learn in the last epoch.
    """
    count = len(groups)
    if epochs == 1:
        return (frozenset(name for group in groups for name in group),)
    pace = max(1.0, (count - first) / (epochs - 1))
    plan = []
    for epoch in range(epochs):
        unlocked = min(count, max(1, first + int(epoch * pace + 1e-9)))
        if epoch == epochs - 1:
            unlocked = count
        plan.append(frozenset(name for group in groups[count - unlocked :] for name in group))
    return tuple(plan)
