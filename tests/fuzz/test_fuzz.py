"""A part of the fuzz, seeded, beside the other tests; all of it is `make fuzz`."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.fuzz.planted import RIGHT, WRONG
from tests.fuzz.targets import TARGETS

ROOT = Path(__file__).parents[2]
SECONDS = 30
"""Of each part: a minute in all."""

_LONG = frozenset({"export"})
"""One case takes as long as a part."""


def started(*words: str) -> subprocess.CompletedProcess[str]:
    """Run the fuzz as its command does, in a process that has done nothing else."""
    return subprocess.run(
        [sys.executable, "-m", "tests.fuzz", *words], cwd=ROOT, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("part", [0, 1])
def test_damaged_inputs_are_answered_or_refused_in_one_line(part: int) -> None:
    names = [target.name for target in TARGETS if target.name not in _LONG][part::2]
    chosen = [word for name in names for word in ("--target", name)]
    done = started("--share", "0.02", "--seconds", str(SECONDS), "--processes", "1", *chosen)
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-5000:]
    tried = {
        line.split()[0]: int(line.split()[1].replace(",", ""))
        for line in done.stdout.splitlines()[1 : len(names) + 1]
    }
    assert tried.keys() == set(names) and sum(tried.values()) >= 100, done.stdout


def test_there_is_enough_of_it() -> None:
    assert len(TARGETS) >= 18 and sum(target.cases for target in TARGETS) >= 100_000
    assert len({target.name for target in TARGETS}) == len(TARGETS)


@pytest.fixture(scope="module")
def planted() -> dict[str, Any]:
    """The kinds of fault that are seen in each planted target."""
    script = (
        "import json; from tests.fuzz.planted import TARGETS; from tests.fuzz.runner import run;"
        "found = run(TARGETS, seed=0, processes=2);"
        "print(json.dumps({name: [[fault.kind, fault.told, fault.case] for fault in tally.faults] + [tally.done]"
        " for name, tally in found.items()}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("name", RIGHT)
def test_what_is_right_is_no_fault(planted: dict[str, Any], name: str) -> None:
    assert planted[name] == [3]


@pytest.mark.parametrize("name", WRONG)
def test_every_kind_of_fault_is_seen_and_the_cases_behind_it_are_tried(
    planted: dict[str, Any], name: str
) -> None:
    *faults, count = planted[name]
    assert len(faults) == count == 3
    assert all(WRONG[name][0] in kind for kind, _, _ in faults), faults


def test_a_case_is_the_same_when_it_is_repeated(planted: dict[str, Any]) -> None:
    *faults, count = planted["sometimes"]
    assert count == 200 and 5 <= len(faults) <= 50
    case = faults[0][2]
    script = (
        "from tests.fuzz.planted import TARGETS; from tests.fuzz.runner import run, report;"
        f"report(run(TARGETS[-1:], seed=0, only={case}), 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "tried: the number 7" in done.stdout and "1 of 1 cases of 1 targets" in done.stdout
    assert f"python -m tests.fuzz --target sometimes --case {case} --seed 0" in done.stdout


def test_the_printed_command_repeats_one_case() -> None:
    done = started("--target", "manifest", "--case", "17", "--seed", "3")
    assert done.returncode == 0 and re.search(r"^manifest +1 ", done.stdout, re.MULTILINE), done.stdout
