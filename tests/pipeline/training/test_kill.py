"""`kill -9` at any moment, the same call again: the same bits as without the kill."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from edgewright.pipeline.recipe.load import load_recipe
from edgewright.pipeline.stages.fit import fit_run
from tests.pipeline.training.killer import SCENARIOS

ROOT = Path(__file__).parents[3]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def kill_everywhere(folder: Path, scenario: str, count: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.pipeline.training.killer", str(folder), scenario, str(count)]
    done = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def check(found: dict[str, Any]) -> None:
    assert found["moments"] > 150
    assert found["different"] == []
    assert found["kills_in_one_run"] >= 2
    assert found["equal_after_all"]
    assert "weights.safetensors" in found["files"]
    assert not any("tmp" in name or "checkpoint" in name for name in found["files"])


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_killed_at_some_moments(tmp_path: Path, scenario: str) -> None:
    check(kill_everywhere(tmp_path, scenario, 4))


@pytest.mark.slow
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_killed_at_every_moment(tmp_path: Path, scenario: str) -> None:
    found = kill_everywhere(tmp_path, scenario, 0)
    assert found["points"] >= 150
    check(found)


RECIPES = {
    "pictures": """
task: image-classification
model: timm:test_resnet
weights: none
data: {source: "builtin:digits", train_per_class: 20}
input: {size: 32}
training: {epochs: 3, batch_size: 32, lr: 0.001, augment: light, early_stopping: 2, checkpoint_seconds: 0.0}
""",
    "series": """
task: forecasting
model: gru
data: {source: "builtin:co2", stride: 8}
network: {hidden: 8, layers: 2, dropout: 0.1}
forecast: {horizon: 4, season: 8, context: 16}
training: {epochs: 3, batch_size: 32, early_stopping: 2, checkpoint_seconds: 0.0}
""",
}


@pytest.mark.parametrize("name", RECIPES)
def test_a_real_process_killed_in_the_middle(tmp_path: Path, name: str) -> None:
    recipe, run_dir = tmp_path / "recipe.yaml", tmp_path / "killed"
    recipe.write_text(RECIPES[name])
    command = [sys.executable, "-m", "edgewright.pipeline", "fit", str(recipe), "--out", str(run_dir)]
    process = subprocess.Popen(command, env=ENVIRONMENT)
    while not (run_dir / "checkpoints" / "checkpoint-000009.json").exists():
        assert process.poll() is None, "the training ended before it could be killed"
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (run_dir / "weights.safetensors").exists()
    for folder in (run_dir, tmp_path / "whole"):
        fit_run(load_recipe(recipe), folder)
    special = "confusion.json" if name == "pictures" else "gradients.json"
    for file in ("weights.safetensors", "metrics.json", "curves.jsonl", special, "trained.json"):
        assert (run_dir / file).read_bytes() == (tmp_path / "whole" / file).read_bytes(), file
