"""`edgewright` under torchrun: one answer for all processes, and only for the command that can use them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command import RECIPE, Call, environment

LAUNCH = (sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "-m", "edgewright.pipeline")


def launch(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Two processes on this machine."""
    command = [*LAUNCH, *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, env=environment(), check=False, timeout=300
    )


def test_fit_answers_once(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(RECIPE.replace("epochs: 6", "epochs: 1"), encoding="utf-8")
    done = launch("fit", recipe, "--out", tmp_path / "run", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)  # two answers would not parse
    assert Path(report["weights"]).is_file()


def test_ship_sends_you_to_fit(cli: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")  # as torchrun says it
    (tmp_path / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
    line = cli("ship", tmp_path / "recipe.yaml", "--out", tmp_path / "bundle").error()
    assert line.startswith("ship runs in one process: run 'edgewright fit' under torchrun")
    assert not (tmp_path / "bundle").exists()
