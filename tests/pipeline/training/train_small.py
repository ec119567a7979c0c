"""Train the small net, under torchrun or not. A script for the tests of many processes.

    python -m tests.pipeline.training.train_small FOLDER SCENARIOS_JSON

Each scenario, by name: "transfer" and "training" of a recipe, "train" (samples), "dropout" (else the net's own), and
"task" where it is not about images, or "kind" of a tiny encoder.
Every process adds the digest of its weights to FOLDER/NAME/ranks, and to FOLDER/ends whether it is still connected when
it ends.
"""

import atexit
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from edgewright.pipeline.training.fit import fit
from edgewright.pipeline.training.freeze import digest_tensors
from edgewright.pipeline.training.results import Trained
from tests.pipeline.training.small_encoders import cut_as_tiny, encoder_recipe, encoder_splits, tiny_encoder
from tests.pipeline.training.small_net import recipe, small_model, small_splits
from tests.pipeline.training.small_sequences import sequence_model, sequence_recipe, sequence_splits

__all__ = ["train"]


def train(folder: Path, scenario: Mapping[str, Any]) -> Trained:
    """One training; this process's weights are noted in `folder`/ranks."""
    task, samples = scenario.get("task"), scenario["train"]
    kind = scenario.get("kind")
    built = tiny_encoder(kind) if kind else small_model() if task is None else sequence_model(task)
    for layer in built.module.modules():
        if "dropout" in scenario and isinstance(layer, torch.nn.Dropout):
            layer.p = scenario["dropout"]
    if kind:
        splits = encoder_splits(kind, samples)
        wanted = encoder_recipe(kind, scenario["transfer"], **scenario["training"])
    elif task is None:
        splits, wanted = small_splits(samples), recipe(scenario["transfer"], **scenario["training"])
    else:
        splits = sequence_splits(task, samples)
        wanted = sequence_recipe(task, scenario["transfer"], **scenario["training"])
    with cut_as_tiny(kind is not None):
        trained = fit(built, splits, wanted, folder)
    with (folder / "ranks").open("a") as file:
        file.write(f"{digest_tensors(built.module)}\n")
    return trained


def main() -> None:
    """See the module."""
    torch.set_num_threads(1)
    atexit.register(_note_end, Path(sys.argv[1]) / "ends")
    for name, scenario in json.loads(sys.argv[2]).items():
        train(Path(sys.argv[1]) / name, scenario)


def _note_end(file: Path) -> None:
    with file.open("a") as ends:
        ends.write("connected\n" if torch.distributed.is_initialized() else "alone\n")


if __name__ == "__main__":
    main()
