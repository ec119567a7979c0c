"""Checkpoints come back whole or not at all."""

from pathlib import Path

import pytest
import torch

from edgewright.pipeline.training.checkpoint import (
    Best,
    Checkpoint,
    State,
    load_checkpoint,
    save_checkpoint,
    write_tensors,
)
from edgewright.runtime.errors import MachineError
from tests.messages import refused

KEY = "f" * 64


def made(state: State, value: float = 1.0, best: float | None = None) -> Checkpoint:
    model = {
        "fc.weight": torch.full((3, 2), value),
        "bn.count": torch.tensor(7),
        "half": torch.ones(2).half(),
    }
    return Checkpoint(
        state,
        model,
        {"fc.weight/exp_avg": torch.full((3, 2), -value), "fc.weight/step": torch.tensor(3.0)},
        None if best is None else {"fc.weight": torch.full((3, 2), best)},
    )


def saved(folder: Path, count: int) -> State:
    state = State()
    for value in range(1, count + 1):
        state.step = value
        save_checkpoint(folder, KEY, made(state, float(value)))
    return state


def test_what_comes_back(tmp_path: Path) -> None:
    state = State(
        phase=1, epoch=2, step=3, rates=(0.1, 1e-5), loss_sum=0.1 + 0.2, weight_sum=3.0, frozen="a",
        curves=({"phase": "head", "train_loss": 1 / 3},), best=Best(0.5, 0.25, 1, 0), waited=1,
    )  # fmt: skip
    save_checkpoint(tmp_path, KEY, made(state, best=9.0))
    found = load_checkpoint(tmp_path, KEY)
    assert found is not None
    assert found.state == state
    assert found.state.loss_sum == 0.1 + 0.2
    assert found.state.best is not None
    assert found.state.best.file == "best-000001.safetensors"
    for ours, theirs in ((made(state).model, found.model), (made(state).optimizer, found.optimizer)):
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)
        assert all(ours[name].dtype == theirs[name].dtype for name in ours)
    assert found.best is not None
    assert torch.equal(found.best["fc.weight"], torch.full((3, 2), 9.0))


def test_another_training_is_not_resumed(tmp_path: Path) -> None:
    saved(tmp_path, 1)
    assert load_checkpoint(tmp_path, "0" * 64) is None
    assert load_checkpoint(tmp_path / "nothing", KEY) is None


def test_two_are_kept_and_the_best_with_them(tmp_path: Path) -> None:
    state = State(best=Best(0.5, 0.1, 0, 0))
    for value in range(5):
        if value == 3:
            state.best = Best(0.6, 0.1, 0, 1)
        save_checkpoint(tmp_path, KEY, made(state, value, best=float(value)))
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "best-000004.safetensors",
        "checkpoint-000004.json",
        "checkpoint-000004.safetensors",
        "checkpoint-000005.json",
        "checkpoint-000005.safetensors",
    ]


@pytest.mark.parametrize("suffix", [".json", ".safetensors"])
@pytest.mark.parametrize("damage", ["gone", "empty", "half", "flipped"])
def test_a_broken_checkpoint_is_ignored(tmp_path: Path, suffix: str, damage: str) -> None:
    saved(tmp_path, 2)
    victim = tmp_path / f"checkpoint-000002{suffix}"
    content = victim.read_bytes()
    victim.unlink()
    if damage == "empty":
        victim.write_bytes(b"")
    elif damage == "half":
        victim.write_bytes(content[: len(content) // 2])
    elif damage == "flipped":
        where = content.index(b'"step"') + 1 if suffix == ".json" else len(content) - 1
        victim.write_bytes(content[:where] + bytes([content[where] ^ 1]) + content[where + 1 :])
    found = load_checkpoint(tmp_path, KEY)
    assert found is not None
    assert found.state.step == 1
    assert torch.equal(found.model["fc.weight"], torch.full((3, 2), 1.0))


def test_leftovers_of_a_kill_are_ignored_and_removed(tmp_path: Path) -> None:
    saved(tmp_path, 1)
    (tmp_path / "checkpoint-000002.safetensors").write_bytes(b"tensors without a marker")
    (tmp_path / ".checkpoint-000002.json.tmp-1").write_bytes(b"{")
    found = load_checkpoint(tmp_path, KEY)
    assert found is not None
    assert found.state.serial == 1
    save_checkpoint(tmp_path, KEY, made(found.state))
    save_checkpoint(tmp_path, KEY, made(found.state))
    assert len(list(tmp_path.iterdir())) == 4


def test_no_disk_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, content: bytes) -> int:
        raise OSError(28, "No space left on device")

    saved(tmp_path, 1)
    monkeypatch.setattr(Path, "write_bytes", full)
    with refused(MachineError):
        save_checkpoint(tmp_path, KEY, made(State(serial=1)))
    found = load_checkpoint(tmp_path, KEY)
    assert found is not None
    assert found.state.serial == 1
    assert len(list(tmp_path.iterdir())) == 2


def test_equal_tensors_make_equal_files(tmp_path: Path) -> None:
    tensors = {"b": torch.ones(2), "a": torch.zeros(3)}
    backwards = dict(reversed(tensors.items()))
    digests = {
        write_tensors(tmp_path / str(number), order, {"edgewright": "{}"})
        for number, order in enumerate([tensors, backwards] * 4)
    }
    assert len(digests) == 1
