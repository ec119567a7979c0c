"""Whole trainings of a small net on real digits."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from edgewright.pipeline.models.model import BuiltModel
from edgewright.pipeline.training.fit import fit
from edgewright.pipeline.training.freeze import digest_tensors, named_tensors
from edgewright.runtime.errors import MachineError, TrainingError
from tests.messages import refused
from tests.pipeline.training.small_net import CLASSES, recipe, small_model, small_splits


def state_of(built: BuiltModel) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in named_tensors(built.module).items()}


def changed(built: BuiltModel, before: dict[str, torch.Tensor]) -> set[str]:
    return {
        name for name, tensor in named_tensors(built.module).items() if not torch.equal(tensor, before[name])
    }


def test_fine_tuning_learns_and_says_so(tmp_path: Path) -> None:
    built = small_model()
    trained = fit(built, small_splits(400), recipe({"unfreeze": "all"}, epochs=6, lr="auto"), tmp_path)
    assert trained.metrics["evaluation"]["accuracy"] > 0.9
    assert [row["phase"] for row in trained.curves] == ["head"] + ["fine-tuning"] * 6
    assert trained.curves[-1]["train_loss"] < trained.curves[0]["train_loss"]
    assert len(trained.rates) == 2
    assert json.loads((tmp_path / "metrics.json").read_text())["validation"] == trained.metrics["validation"]
    lines = (tmp_path / "curves.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == list(trained.curves)
    confusion = json.loads((tmp_path / "confusion.json").read_text())
    assert confusion["classes"] == list(CLASSES)
    assert np.sum(confusion["splits"]["evaluation"]) == 40
    assert np.trace(confusion["splits"]["evaluation"]) == round(
        40 * trained.metrics["evaluation"]["accuracy"]
    )
    assert not (tmp_path / "checkpoints").exists()
    assert not built.module.training


def test_feature_extraction_learns_and_moves_the_head_only(tmp_path: Path) -> None:
    built = small_model()
    before = state_of(built)
    wanted = recipe({"mode": "feature-extraction"}, epochs=15, lr="auto")
    trained = fit(built, small_splits(400), wanted, tmp_path)
    assert trained.metrics["evaluation"]["accuracy"] > 0.9
    assert changed(built, before) == {"fc.weight", "fc.bias"}
    frozen = set(before) - {"fc.weight", "fc.bias"}
    assert trained.digests["frozen"] == digest_tensors(small_model().module, frozen)


def test_the_frozen_stem_stays_with_its_statistics(tmp_path: Path) -> None:
    built = small_model()
    before = state_of(built)
    fit(built, small_splits(), recipe({"unfreeze": 2}), tmp_path)
    stem = {name for name in before if name.startswith(("conv1", "bn1"))}
    assert changed(built, before) == set(before) - stem


def test_every_head_is_the_same_whether_features_are_cached_or_not(tmp_path: Path) -> None:
    """The cache loses nothing: head-only training over it gives the bits of training through the backbone."""
    heads: list[torch.Tensor] = []
    for transfer in ({"mode": "feature-extraction"}, {"unfreeze": 1}):
        built = small_model()
        built.module.drop = torch.nn.Identity()
        wanted = recipe(transfer, augment="none", clip_norm=None, batch_size=32)
        fit(built, small_splits(), wanted, tmp_path / str(len(heads)))
        heads.append(built.module.get_parameter("fc.weight"))
    assert torch.allclose(heads[0], heads[1], rtol=0, atol=1e-6)


def test_the_same_seed_gives_the_same_bits_and_another_one_others(tmp_path: Path) -> None:
    digests = []
    for number, seed in enumerate([3, 3, 4]):
        options: dict[str, Any] = {"seed": seed, "augment": "standard", "workers": number}
        trained = fit(
            small_model(), small_splits(), recipe({"unfreeze": "all"}, **options), tmp_path / str(number)
        )
        digests.append(trained.digests["weights"])
    assert digests[0] == digests[1]
    assert digests[1] != digests[2]


def test_a_finished_training_is_not_repeated_unless_something_changed(tmp_path: Path) -> None:
    heard: list[str] = []

    def run(**training: Any) -> Any:
        heard.clear()
        return fit(
            small_model(), small_splits(), recipe(**training), tmp_path, lambda what, *_: heard.append(what)
        )

    first = run()
    assert heard
    assert run(workers=1, checkpoint_seconds=5.0) == first
    assert not heard
    assert run(seed=1) != first
    assert heard
    assert run() == first
    (tmp_path / "weights.safetensors").write_bytes(b"damaged")
    assert run() == first
    assert heard


def test_early_stopping_keeps_the_best_weights(tmp_path: Path) -> None:
    # At this rate the small net is good soon and bad again later.
    wanted = recipe(
        {"unfreeze": "all", "head_epochs": 0}, epochs=40, lr=0.05, early_stopping=3, schedule="constant"
    )
    trained = fit(small_model(), small_splits(400), wanted, tmp_path)
    values = [(row["validation_accuracy"], -row["validation_loss"]) for row in trained.curves]
    best = values.index(max(values))
    assert len(values) == best + 1 + 3 < 40
    assert trained.metrics["validation"]["accuracy"] == values[best][0]
    assert trained.metrics["validation"]["loss"] == pytest.approx(-values[best][1])
    assert values[-1] != values[best]


def test_early_stopping_needs_validation(tmp_path: Path) -> None:
    splits = small_splits()
    without = type(splits)(**{**vars(splits), "validation": ()})
    with refused(TrainingError):
        fit(small_model(), without, recipe(early_stopping=1), tmp_path)
    trained = fit(small_model(), without, recipe(), tmp_path)
    assert set(trained.metrics) == {"evaluation"}


@pytest.mark.parametrize("clip", [None, 1.0])
def test_a_loss_that_explodes_names_the_way_out(tmp_path: Path, clip: float | None) -> None:
    wanted = recipe({"unfreeze": "all"}, lr=1e30, clip_norm=clip, optimizer="sgd")
    with refused(TrainingError):
        fit(small_model(), small_splits(), wanted, tmp_path)
    assert not (tmp_path / "weights.safetensors").exists()


def test_code_that_moves_a_frozen_buffer_is_caught(tmp_path: Path) -> None:
    built = small_model()

    def meddle(layer: torch.nn.Module, arguments: Any, output: Any) -> None:
        layer.get_buffer("running_mean").add_(1e-3)

    built.module.get_submodule("bn1").register_forward_hook(meddle)
    with refused(TrainingError):
        fit(built, small_splits(), recipe(), tmp_path)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_other_precisions(tmp_path: Path, precision: str) -> None:
    if precision == "fp16" and not torch.accelerator.is_available():
        with refused(TrainingError):
            fit(small_model(), small_splits(), recipe(precision=precision), tmp_path)
        return
    trained = fit(
        small_model(), small_splits(400), recipe({"unfreeze": "all"}, precision=precision), tmp_path
    )
    assert trained.metrics["evaluation"]["accuracy"] > 0.4


@pytest.mark.parametrize("schedule", ["cosine", "constant"])
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_every_optimiser_under_every_schedule(tmp_path: Path, optimizer: str, schedule: str) -> None:
    options: dict[str, Any] = {"optimizer": optimizer, "schedule": schedule, "class_weights": "balanced"}
    options |= {"label_smoothing": 0.1, "lr": 0.05 if optimizer == "sgd" else 0.01, "epochs": 4}
    trained = fit(small_model(), small_splits(200), recipe({"unfreeze": "all"}, **options), tmp_path)
    assert trained.metrics["evaluation"]["accuracy"] > 0.7


def test_class_weights_lift_the_rare_class(tmp_path: Path) -> None:
    splits = small_splits(400)
    rare = [sample for sample in splits.train if sample.target == 3][:6]
    train = tuple(sample for sample in splits.train if sample.target != 3) + tuple(rare)
    unbalanced = type(splits)(**{**vars(splits), "train": train})
    everything = {"unfreeze": "all", "head_epochs": 0, "rate_divisor": 1.0}
    recall = {}
    for weights in ("none", "balanced"):
        wanted = recipe(everything, epochs=4, lr=0.02, class_weights=weights)
        confusion = np.array(
            fit(small_model(), unbalanced, wanted, tmp_path / weights).metrics["evaluation"]["confusion"]
        )
        recall[weights] = confusion[3, 3] / confusion[3].sum()
    assert recall["balanced"] > recall["none"]


def test_no_disk_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = Path.write_bytes

    def full(path: Path, content: bytes) -> int:
        if tmp_path in path.parents:
            raise OSError(28, "No space left on device")
        return original(path, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    with refused(MachineError):
        fit(small_model(), small_splits(), recipe(), tmp_path)
    monkeypatch.undo()
    assert fit(small_model(), small_splits(), recipe(), tmp_path).weights.exists()


def test_a_file_where_the_run_should_be(tmp_path: Path) -> None:
    place = tmp_path / "run"
    place.write_text("in the way")
    with refused(MachineError):
        fit(small_model(), small_splits(), recipe(), place)


def test_ctrl_c_loses_nothing(tmp_path: Path) -> None:
    wanted = recipe({"unfreeze": "all"}, checkpoint_seconds=0.0)
    expected = fit(small_model(), small_splits(), wanted, tmp_path / "whole").weights.read_bytes()
    for stop in (2, 9, 14):
        count = 0

        def interrupt(what: str, done: int, total: int, note: str = "", stop: int = stop) -> None:
            nonlocal count
            count += 1
            if count == stop:
                raise KeyboardInterrupt

        run_dir = tmp_path / f"stopped-{stop}"
        with pytest.raises(KeyboardInterrupt):
            fit(small_model(), small_splits(), wanted, run_dir, interrupt)
        assert fit(small_model(), small_splits(), wanted, run_dir).weights.read_bytes() == expected
