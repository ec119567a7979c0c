"""Run trainings in forked processes and kill them with SIGKILL at chosen moments. A script, not a test.

    python -m tests.pipeline.training.killer FOLDER SCENARIO COUNT

A moment is a file operation below the run directory (open, rename, remove, mkdir) or a progress report (between two
steps). Python's audit hooks see every one of the former, whichever library does it. At COUNT moments, evenly spread, or
at every one with a COUNT of 0: kill there, run again to the end, compare all files that are left with those of an
undisturbed run. Then once more with a kill every few moments until the run gets through. Prints one JSON object.
"""

import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torchvision.transforms.v2.functional

from edgewright.pipeline.data.samples import Splits
from edgewright.pipeline.models.model import BuiltModel
from edgewright.pipeline.recipe.recipe import Recipe
from edgewright.pipeline.training import feature_cache, gradients
from edgewright.pipeline.training.fit import fit
from tests.pipeline.training.small_encoders import cut_as_tiny, encoder_recipe, encoder_splits, tiny_encoder
from tests.pipeline.training.small_net import recipe, small_model, small_splits
from tests.pipeline.training.small_sequences import sequence_model, sequence_recipe, sequence_splits

__all__ = ["SCENARIOS", "main"]

_LOADED_LATE = gradients, torchvision  # by a training; the children find them loaded

SCENARIOS: dict[str, dict[str, Any]] = {
    "fine-tuning": {
        "transfer": {"unfreeze": "all", "gradual": True},
        "lr": "auto",
        "early_stopping": 1,
        "augment": "light",
        "batch_size": 48,
        "checkpoint_seconds": 0.0,
    },
    "feature-extraction": {
        "transfer": {"mode": "feature-extraction"},
        "batch_size": 48,
        "checkpoint_seconds": 0.0,
    },
    "recurrent": {
        "task": "forecasting",
        "lr": "auto",
        "early_stopping": 1,
        "epochs": 4,
        "batch_size": 48,
        "checkpoint_seconds": 0.0,
    },
    "recurrent features": {
        "task": "sequence-regression",
        "transfer": {"mode": "feature-extraction"},
        "batch_size": 48,
        "checkpoint_seconds": 0.0,
    },
    "encoder": {
        "kind": "entities",
        "transfer": {"unfreeze": "all", "layer_decay": 0.8},
        "lr": "auto",
        "early_stopping": 1,
        "batch_size": 48,
        "checkpoint_seconds": 0.0,
    },
    "encoder features": {
        "kind": "answers",
        "transfer": {"mode": "feature-extraction"},
        "batch_size": 24,
        "checkpoint_seconds": 0.0,
    },
}
"""By name the keys of a recipe's training section, its "transfer", and its "task" where that is not about images; the
"kind" of a tiny encoder.
"""

_EVENTS = frozenset({"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate"})


def _count_and_kill(run_dir: Path, kill_at: int | None) -> Callable[[], int]:
    """Count moments in this process from now on, and die at number `kill_at`; returns the way to add one."""
    count = 0

    def moment() -> int:
        nonlocal count
        count += 1
        if count == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return count

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event in _EVENTS and str(arguments[0]).startswith(str(run_dir)):
            moment()

    sys.addaudithook(hook)
    return moment


def _subject(scenario: str) -> tuple[BuiltModel, Splits, Recipe]:
    options = dict(SCENARIOS[scenario])
    task, kind = options.pop("task", None), options.pop("kind", None)
    if kind is not None:
        return tiny_encoder(kind), encoder_splits(kind), encoder_recipe(kind, **options)
    if task is None:
        return small_model(), small_splits(), recipe(**options)
    return sequence_model(task, dropout=0.1), sequence_splits(task), sequence_recipe(task, **options)


def _train(run_dir: Path, scenario: str, kill_at: int | None) -> tuple[bool, int]:
    """Train in a child process; returns whether it was killed, and how many moments it had if it was not."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            moment = _count_and_kill(run_dir, kill_at)
            fit(*_subject(scenario), run_dir, lambda *_: (moment(), None)[1])
            os.write(writing, str(moment()).encode())
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        text = pipe.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return True, 0
    if os.WEXITSTATUS(status):
        raise SystemExit(f"the training failed in {run_dir}")
    return False, int(text)


def _content(run_dir: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(run_dir)): file.read_bytes() for file in run_dir.rglob("*") if file.is_file()
    }


def _no_sync(fd: Any) -> None:
    """A killed process leaves the page cache as it is; only a power cut would not."""


def main(folder: Path, scenario: str, count: int) -> dict[str, Any]:
    """See the module."""
    torch.set_num_threads(1)
    torch.optim.SGD([torch.zeros(1)])  # imports what would take every child seconds
    _subject(scenario)  # the children find the data read
    feature_cache._NOTE_EVERY = 0.0  # note every batch, so that there is something to resume
    os.fsync = _no_sync
    _, moments = _train(folder / "whole", scenario, None)
    expected = _content(folder / "whole")
    different = []
    last = moments - 1
    points = [1 + (last - 1) * place // (count - 1) for place in range(count)] if count else range(1, moments)
    for point in points:
        run_dir = folder / f"killed-{point}"
        killed, _ = _train(run_dir, scenario, point)
        _train(run_dir, scenario, None)
        if not killed or _content(run_dir) != expected:
            different.append(point)
    kills, run_dir = 0, folder / "again-and-again"
    pace = 80  # a step with its checkpoint has some 15 moments, writing the results some 30
    while _train(run_dir, scenario, pace)[0]:
        kills += 1
        if kills > moments:
            raise SystemExit("the training makes no headway")
    return {
        "moments": moments,
        "points": len(points),
        "different": different,
        "kills_in_one_run": kills,
        "equal_after_all": _content(run_dir) == expected,
        "files": sorted(expected),
    }


if __name__ == "__main__":
    with cut_as_tiny(sys.argv[2].startswith("encoder")):
        print(json.dumps(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))))
