"""The control example: its simulator and demonstrator, and the whole way from demonstrations to the loop."""

import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from examples.cartpole import run

SCRIPT = Path(run.__file__)


def test_demonstrations_are_the_same_each_time_and_hold_no_velocity() -> None:
    text = run.demonstrate(run.simulator({}), 2, seed=3)
    assert text == run.demonstrate(run.simulator({}), 2, seed=3)
    lines = text.splitlines()
    assert lines[0] == "episode,step,position,angle,moved,turned,command"
    rows = np.array([[float(cell) for cell in line.split(",")] for line in lines[1:]])
    assert set(rows[:, 0]) == {0.0, 1.0}
    first = rows[rows[:, 0] == 0]
    assert (first[0, 4:6] == 0).all()
    assert np.allclose(first[1:, 4:6], np.diff(first[:, 2:4], axis=0))
    assert np.abs(rows[:, 6]).max() <= 1


def test_the_demonstrator_balances_either_simulator_and_the_changed_one_is_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(run, "RETURNS", 1)
    before, after = run.simulator({}), run.simulator(run.CHANGED)
    assert run.mean_return(before, partial(run.demonstrator, before)) == 500
    assert run.mean_return(after, partial(run.demonstrator, after)) == 500
    assert run.mean_return(after, partial(run.demonstrator, before)) < 50


@pytest.mark.slow
def test_the_policy_is_learnt_fails_in_the_changed_simulator_and_is_adapted() -> None:
    done = subprocess.run([sys.executable, SCRIPT], capture_output=True, text=True, check=True, timeout=1200)
    rows = {
        (line[:12].strip(), line[12:36].strip()): line.split()[-3:] for line in done.stdout.splitlines()[4:]
    }
    for world, policy, least, most in (
        ("as trained", "source", 450, 500), ("changed", "source", 0, 50),
        ("changed", "from nothing", 0, 300), ("changed", "adapted", 450, 500),
    ):  # fmt: skip
        assert all(least <= float(value) <= most for value in rows[world, policy]), done.stdout
