"""Two processes under torchrun train as one does."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edgewright.pipeline.training.results import CURVES, METRICS
from tests.pipeline.training.train_small import train

pytestmark = pytest.mark.xdist_group("two-processes")  # what they share is made once

ROOT = Path(__file__).parents[3]

SCENARIOS: dict[str, dict[str, Any]] = {
    # BatchNorm is frozen and dropout off: the same sums, only in another order. 66 samples in batches of 16:
    # the last batch has 2, so the second process gets none of it.
    "fine-tuning": {
        "train": 66,
        "dropout": 0.0,
        "transfer": {"unfreeze": ["body.0"]},
        "training": {"class_weights": "balanced", "augment": "light", "lr": "auto", "epochs": 4},
    },
    "feature-extraction": {
        "train": 94,
        "dropout": 0.0,
        "transfer": {"mode": "feature-extraction"},
        "training": {"early_stopping": 2, "epochs": 4},
    },
    # Batches of different lengths, of which the processes have different parts; the last batch has 2 samples.
    "regression": {
        "task": "sequence-regression",
        "train": 66,
        "transfer": {},
        "training": {"lr": "auto", "epochs": 4},
    },
    "forecasting": {
        "task": "forecasting",
        "train": 94,
        "transfer": {},
        "training": {"early_stopping": 2, "epochs": 4},
    },
    "features of every step": {
        "task": "sequence-regression",
        "train": 94,
        "transfer": {"mode": "feature-extraction"},
        "training": {"epochs": 4},
    },
    # Texts of several rows, of which each process learns some.
    "encoder": {
        "kind": "entities",
        "train": 66,
        "dropout": 0.0,
        "transfer": {"unfreeze": "all", "layer_decay": 0.9},
        "training": {"lr": "auto", "epochs": 4},
    },
    "features of every token": {
        "kind": "answers",
        "train": 66,
        "dropout": 0.0,
        "transfer": {"mode": "feature-extraction"},
        "training": {"epochs": 4},
    },
    # Each process normalises by its own half of the batch: alike, not equal.
    "batchnorm": {
        "train": 400,
        "transfer": {"unfreeze": "all"},
        "training": {"epochs": 6},
    },
}


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of all scenarios, trained by two processes."""
    folder = tmp_path_factory.mktemp("two")
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m"]
    script = ["tests.pipeline.training.train_small", str(folder), json.dumps(SCENARIOS)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*launcher, *script], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=400
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return folder


def read(folder: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    rows = (folder / CURVES).read_text().splitlines()
    return json.loads((folder / METRICS).read_text()), [json.loads(row) for row in rows]


@pytest.mark.parametrize("name", [name for name in SCENARIOS if name != "batchnorm"])
def test_two_processes_give_the_metrics_of_one(two_processes: Path, tmp_path: Path, name: str) -> None:
    train(tmp_path, SCENARIOS[name])
    (one, one_curves), (two, two_curves) = read(tmp_path), read(two_processes / name)
    assert len(one_curves) == len(two_curves)
    for ours, theirs in zip(one_curves, two_curves, strict=True):
        for key in ("rate", "train_loss", "validation_loss"):
            assert theirs[key] == pytest.approx(ours[key], rel=2e-3), key
    for split in ("validation", "evaluation"):
        assert two[split]["samples"] == one[split]["samples"] == (24 if "rows" in one[split] else 40)
        assert two[split]["loss"] == pytest.approx(one[split]["loss"], rel=2e-3)
        for key in {"accuracy", "macro-f1", "auroc", "r2", "skill", "span-f1", "f1"} & set(one[split]):
            assert two[split][key] == pytest.approx(one[split][key], abs=0.03), key


def test_batchnorm_and_dropout_on_two_processes_still_learn(two_processes: Path, tmp_path: Path) -> None:
    train(tmp_path, SCENARIOS["batchnorm"])
    one, two = (
        read(folder)[0]["evaluation"]["accuracy"] for folder in (tmp_path, two_processes / "batchnorm")
    )
    assert min(one, two) > 0.85
    assert abs(one - two) < 0.1


@pytest.mark.parametrize("name", SCENARIOS)
def test_both_processes_end_with_the_same_weights(two_processes: Path, name: str) -> None:
    first, second = (two_processes / name / "ranks").read_text().splitlines()
    assert first == second


def test_processes_part_before_they_end(two_processes: Path) -> None:
    # threads of gloo that outlive the interpreter abort it, now and then
    assert (two_processes / "ends").read_text().splitlines() == ["alone", "alone"]
