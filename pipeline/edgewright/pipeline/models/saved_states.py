"""The tensors of a model in what a trainer saved: found by their structure, however deep they are wrapped."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from edgewright.runtime.errors import ModelError

ROOT = "."
"""The key of the outermost mapping."""

_OPTIMIZER = frozenset({"state", "param_groups"})
_WRAPPERS = ("module.", "_orig_mod.")
"""What DataParallel and torch.compile set before every name."""


@dataclass(frozen=True)
class SavedState:
    """A mapping of names to tensors.

    Attributes:
        key: the keys that lead to it, joined by dots; `ROOT` for the outermost.
        tensors: its tensors by name.
        left_out: what else it holds.
    """

    key: str
    tensors: Mapping[str, Tensor] = field(repr=False)
    left_out: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """How many of its tensors have an axis. Counters have none, and stand beside a model too."""
        return sum(tensor.ndim > 0 for tensor in self.tensors.values())


def saved_states(document: Any) -> tuple[SavedState, ...]:
    """Every mapping of names to tensors in `document`, the largest first; those of an optimizer are none."""
    found = _states(document, (), set())
    return tuple(sorted(found, key=lambda state: state.size, reverse=True))


def _states(value: Any, keys: tuple[str, ...], seen: set[int]) -> Iterator[SavedState]:
    if not isinstance(value, dict) or value.keys() >= _OPTIMIZER or id(value) in seen:
        return
    seen.add(id(value))  # what was unpickled may hold itself
    named = {name: entry for name, entry in value.items() if isinstance(name, str)}
    tensors = {name: entry for name, entry in named.items() if isinstance(entry, Tensor)}
    if tensors:
        others = tuple(str(name) for name in value if name not in tensors)
        yield SavedState(".".join(keys) or ROOT, tensors, others)
    for name, entry in named.items():
        yield from _states(entry, (*keys, name), seen)


def choose_state(states: Sequence[SavedState], key: str | None) -> SavedState:
    """The state that `key` names; without one, the first of `states` where no other comes near it in size.

    Raises `ModelError` where there is none, or where it cannot be told which is meant; it names those there are.
    """
    if not states:
        raise ModelError(
            "holds no tensors by name: save those of the model with torch.save(model.state_dict(), PATH)"
        )
    if key is not None:
        for state in states:
            if state.key == key:
                return state
        raise ModelError(f"holds no tensors under {key!r}: --key can be {_listed(states)}")
    rivals = [state for state in states if 2 * state.size > states[0].size]
    if len(rivals) > 1:
        raise ModelError(f"holds several sets of weights: choose one with --key: {_listed(rivals)}")
    return states[0]


def _listed(states: Sequence[SavedState]) -> str:
    shown = [f"{state.key} ({_count(state)})" for state in states[:8]]
    return ", ".join(shown) + (f" and {len(states) - 8} more" if len(states) > 8 else "")


def _count(state: SavedState) -> str:
    return "1 tensor" if len(state.tensors) == 1 else f"{len(state.tensors)} tensors"


def without_wrappers(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """`tensors` without what DataParallel and torch.compile set before all of their names, and what that was."""
    names, stripped = dict(tensors), list[str]()
    while names:
        common = [prefix for prefix in _WRAPPERS if all(name.startswith(prefix) for name in names)]
        if not common:
            break
        names = {name.removeprefix(common[0]): tensor for name, tensor in names.items()}
        stripped += common
    return names, tuple(stripped)
