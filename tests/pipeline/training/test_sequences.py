"""Whole trainings of small recurrent models on sequences of different lengths."""

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from edgewright.exporters.part import TorchGraphs
from edgewright.exporters.reference import packed
from edgewright.pipeline.data.samples import Splits
from edgewright.pipeline.families import feature_module
from edgewright.pipeline.models.model import BuiltModel
from edgewright.pipeline.tasks.figures import mean_loss
from edgewright.pipeline.tasks.registry import task_of
from edgewright.pipeline.training.distributed import World
from edgewright.pipeline.training.fit import fit
from edgewright.pipeline.training.freeze import digest_tensors, named_tensors
from edgewright.pipeline.training.results import load_trained
from edgewright.pipeline.training.sample_source import SampleSource
from edgewright.pipeline.training.stepping import Job, backward, evaluate, predict
from edgewright.runtime.errors import DataError, RecipeError, TrainingError
from tests.messages import refused
from tests.pipeline.training.small_sequences import (
    TASKS,
    outputs_alone,
    sequence_model,
    sequence_recipe,
    sequence_splits,
)

EXTRACTION = {"mode": "feature-extraction"}
METRIC = {"sequence-classification": "accuracy", "sequence-regression": "r2", "forecasting": "skill"}


def source_of(task_name: str, workers: int = 0, **network: Any) -> tuple[Any, Any, Any, SampleSource]:
    built, splits = sequence_model(task_name, **network), sequence_splits(task_name)
    task = task_of(built, splits, sequence_recipe(task_name))
    device = task.device_task(built.settings, splits.classes, built.assets)
    source = SampleSource(splits.evaluation, task, device, workers=workers, names=built.input_names)
    return built, task, device, source


@pytest.mark.parametrize("name", TASKS)
def test_a_training_learns_and_says_so(tmp_path: Path, name: str) -> None:
    wanted = sequence_recipe(name, epochs=12, lr=0.02)
    trained = fit(sequence_model(name), sequence_splits(name), wanted, tmp_path)
    figures = trained.metrics["evaluation"]
    assert figures[METRIC[name]] > {"accuracy": 0.8, "r2": 0.8, "skill": 0.2}[METRIC[name]]
    assert trained.curves[-1]["train_loss"] < trained.curves[0]["train_loss"]
    assert trained.curves[-1][f"validation_{METRIC[name]}"] == trained.metrics["validation"][METRIC[name]]
    assert trained.notes == ()
    assert (tmp_path / "confusion.json").exists() == (name == "sequence-classification")
    assert json.loads((tmp_path / "metrics.json").read_text())["evaluation"] == figures
    document = json.loads((tmp_path / "gradients.json").read_text())
    assert [(row["phase"], row["epoch"]) for row in document["epochs"]] == [
        ("fine-tuning", epoch) for epoch in (0, 1, 12)
    ]
    for row in document["epochs"]:
        (layer,) = row["layers"]
        assert len(layer["norms"]) == row["steps"] == (21 if name == "forecasting" else 8)
        assert layer["verdict"] in ("vanishes", "explodes", "healthy")


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_padded_batches_answer_as_each_sample_alone(name: str, bidirectional: bool) -> None:
    built, task, device, source = source_of(name, bidirectional=bidirectional)
    assert source.lengths is not None
    alone = outputs_alone(built, device, sequence_splits(name).evaluation)
    for size in (1, 7, 64):
        outputs = predict(built.module, source, size, World())
        for row, answer in zip(outputs, alone, strict=True):
            assert row.shape == answer.shape and np.abs(row - answer).max() < 1e-6
        again = predict(built.module, source, 40, World())
        losses = [mean_loss(task, found, source.targets) for found in (outputs, again)]
        assert losses[0] == pytest.approx(losses[1], rel=1e-6)


def gradients_of(name: str, batches: list[list[int]]) -> tuple[torch.Tensor, float]:
    """The weighted sum of the gradients of `batches`, and of their losses."""
    built, task, _, source = source_of(name)
    training = sequence_recipe(name, clip_norm=None).training
    built.module.requires_grad_(True)
    job = Job(built.module, task, source, None, training, World(), TorchGraphs(built.parts()))
    total, losses, weight = torch.zeros(()), 0.0, 0.0
    for batch in batches:
        indices = np.array(batch, np.int64)
        (inputs,) = source.batches([indices], None)
        built.module.zero_grad()
        step = backward(job, indices, inputs)
        found = [
            parameter.grad.reshape(-1)
            for parameter in built.module.parameters()
            if parameter.grad is not None
        ]
        total = total + torch.cat(found) * step.weight
        losses, weight = losses + step.loss * step.weight, weight + step.weight
    return total / weight, losses / weight


@pytest.mark.parametrize("name", TASKS)
def test_a_batch_is_the_exact_mean_of_its_samples(name: str) -> None:
    """However a batch is divided and padded: the same loss and the same gradient."""
    rows = list(range(12))
    whole, loss = gradients_of(name, [rows])
    for divided in ([[row] for row in rows], [rows[:5], rows[5:]]):
        parts, again = gradients_of(name, divided)
        assert again == pytest.approx(loss, rel=1e-5)
        assert torch.allclose(parts, whole, rtol=1e-4, atol=1e-6)
    assert float(whole.norm()) > 1e-3


@pytest.mark.parametrize("name", TASKS)
def test_the_same_seed_gives_the_same_bits_and_another_one_others(tmp_path: Path, name: str) -> None:
    digests = []
    for number, seed in enumerate([3, 3, 4]):
        wanted = sequence_recipe(name, seed=seed, workers=number)
        model = sequence_model(name, dropout=0.2, layers=2)
        digests.append(fit(model, sequence_splits(name), wanted, tmp_path / str(number)).digests["weights"])
    assert digests[0] == digests[1]
    assert digests[1] != digests[2]


def test_looking_at_gradients_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = []
    for looks in (True, False):
        if not looks:
            monkeypatch.setattr("edgewright.pipeline.training.fit._Training._observer", lambda *_: None)
        built = sequence_model("sequence-regression", dropout=0.2, layers=2)
        trained = fit(built, sequence_splits("sequence-regression"), sequence_recipe("sequence-regression"),
                      tmp_path / str(looks))  # fmt: skip
        assert bool(trained.gradients) == looks
        assert (tmp_path / str(looks) / "gradients.json").exists() == looks
        weights.append(trained.digests["weights"])
    assert weights[0] == weights[1]


@pytest.mark.parametrize("name", TASKS)
def test_feature_extraction_is_head_only_training_over_a_cache(tmp_path: Path, name: str) -> None:
    heads: list[torch.Tensor] = []
    metrics: list[float] = []
    for transfer in (EXTRACTION, {"unfreeze": 1}):
        built = sequence_model(name)
        before = {key: tensor.clone() for key, tensor in named_tensors(built.module).items()}
        wanted = sequence_recipe(name, transfer, clip_norm=None, epochs=3)
        splits = (
            equally_long(sequence_splits(name)) if name == "sequence-regression" else sequence_splits(name)
        )
        trained = fit(built, splits, wanted, tmp_path / str(len(heads)))
        after = named_tensors(built.module)
        moved = {key for key in before if not torch.equal(before[key], after[key])}
        assert moved == {"head.weight", "head.bias"}
        assert trained.digests["frozen"] == digest_tensors(built.module, set(before) - moved)
        assert trained.gradients
        heads.append(built.module.get_parameter("head.weight"))
        metrics.append(trained.metrics["evaluation"][METRIC[name]])
    if name == "sequence-regression" or name == "forecasting":  # the same batches in the same order
        assert torch.allclose(heads[0], heads[1], rtol=0, atol=1e-5)
    assert metrics[0] == pytest.approx(metrics[1], abs=0.15)


def equally_long(splits: Splits) -> Splits:
    """Only the samples of 8 rows."""
    kept = {
        name: tuple(sample for sample in splits.split(name) if len(sample.raw.values) == 8)
        for name in ("train", "validation", "evaluation")
    }
    return type(splits)(**{**vars(splits), **kept})


def test_features_of_every_step_lie_one_after_another(tmp_path: Path) -> None:
    name = "sequence-regression"
    built, splits = sequence_model(name), sequence_splits(name)
    fit(built, splits, sequence_recipe(name, EXTRACTION), tmp_path)
    rows = np.load(tmp_path / "features" / "evaluation.npy", allow_pickle=False)
    _, _, _, source = source_of(name)
    assert source.lengths is not None
    assert rows.shape == (source.lengths.sum(), 12)
    backbone = feature_module(sequence_model(name))
    start = 0
    for index, length in enumerate(source.lengths):
        (inputs,) = source.batches([np.array([index])], None)
        with torch.inference_mode():
            steps = backbone(*inputs)[0].numpy()
        assert np.abs(rows[start : start + length] - steps).max() < 1e-6
        start += length


def test_cached_features_are_found_again(tmp_path: Path) -> None:
    heard: list[str] = []
    for lr in (0.01, 0.02):
        heard.clear()
        wanted = sequence_recipe("sequence-regression", EXTRACTION, lr=lr)
        fit(sequence_model("sequence-regression"), sequence_splits("sequence-regression"), wanted, tmp_path,
            lambda what, *_: heard.append(what))  # fmt: skip
        assert ("features, train" in heard) == (lr == 0.01)
        assert "reading train" in heard


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("transfer", [{}, EXTRACTION])
def test_ctrl_c_loses_nothing(tmp_path: Path, name: str, transfer: dict[str, Any]) -> None:
    wanted = sequence_recipe(name, transfer, checkpoint_seconds=0.0, early_stopping=1, lr="auto")
    splits = sequence_splits(name)
    fit(sequence_model(name, dropout=0.1), splits, wanted, tmp_path / "whole")
    expected = content(tmp_path / "whole")
    for stop in (2, 9, 14, 21):
        count = 0

        def interrupt(what: str, done: int, total: int, note: str = "", stop: int = stop) -> None:
            nonlocal count
            count += 1
            if count == stop:
                raise KeyboardInterrupt

        run_dir = tmp_path / f"stopped-{stop}"
        with pytest.raises(KeyboardInterrupt):
            fit(sequence_model(name, dropout=0.1), splits, wanted, run_dir, interrupt)
        fit(sequence_model(name, dropout=0.1), splits, wanted, run_dir)
        assert content(run_dir) == expected


def content(run_dir: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(run_dir)): path.read_bytes() for path in run_dir.rglob("*") if path.is_file()
    }


@pytest.mark.parametrize("name", TASKS)
def test_a_trained_model_comes_back_from_its_file_alone(tmp_path: Path, name: str) -> None:
    built, splits = sequence_model(name, layers=2), sequence_splits(name)
    trained = fit(built, splits, sequence_recipe(name), tmp_path)
    loaded = load_trained(tmp_path)
    assert loaded.built.settings == built.settings
    assert loaded.classes == splits.classes
    assert digest_tensors(loaded.built.module) == digest_tensors(built.module)
    device = loaded.task.device_task(loaded.built.settings, loaded.classes, loaded.built.assets)
    names, task = loaded.built.input_names, loaded.task
    truths = task.truths(splits.evaluation, device)
    source = SampleSource(splits.evaluation, task, device, names=names)
    targets = task.stack(truths)
    assert np.array_equal(targets, source.targets, equal_nan=targets.dtype.kind == "f")
    figures = evaluate(
        loaded.built.module, source, task, 16, World(), "evaluation", TorchGraphs(loaded.built.parts())
    )
    assert figures == trained.metrics["evaluation"]
    outputs = predict(loaded.built.module, source, 16, World())
    encoded = [device.encode(sample.raw) for sample in splits.evaluation]
    named = ({loaded.built.output_names[0]: row} for row in outputs)
    answers = map(device.decode, named, encoded)
    metric = task.metric()
    evidence = packed([metric.evidence(*pair) for pair in zip(answers, truths, strict=True)])
    assert (metric.name, metric.of(evidence)) == (METRIC[name], figures[METRIC[name]])


def test_early_stopping_follows_the_tasks_own_metric(tmp_path: Path) -> None:
    wanted = sequence_recipe("forecasting", epochs=40, lr=0.1, early_stopping=2, schedule="constant")
    trained = fit(sequence_model("forecasting"), sequence_splits("forecasting"), wanted, tmp_path)
    values = [(row["validation_skill"], -row["validation_loss"]) for row in trained.curves]
    best = values.index(max(values))
    assert len(values) == best + 1 + 2 < 40
    assert trained.metrics["validation"]["skill"] == values[best][0]
    assert trained.gradients[-1]["epoch"] == len(values)


def test_losing_to_the_baseline_is_said(tmp_path: Path) -> None:
    wanted = sequence_recipe("forecasting", epochs=1, lr=3.0, clip_norm=None)
    trained = fit(sequence_model("forecasting"), sequence_splits("forecasting"), wanted, tmp_path)
    assert trained.metrics["evaluation"]["skill"] < 0
    assert any("loses to the seasonal-naive forecast on evaluation" in note for note in trained.notes)


def test_a_target_that_does_not_fit_is_named(tmp_path: Path) -> None:
    splits = sequence_splits("sequence-regression")
    first = splits.train[0]
    short = type(first)(first.id, first.raw, first.target[:-1], first.content)  # type: ignore[index]
    broken = type(splits)(**{**vars(splits), "train": (short, *splits.train[1:])})
    with pytest.raises(DataError, match=f"{first.id}: .* give one value of each target for every step"):
        fit(sequence_model("sequence-regression"), broken, sequence_recipe("sequence-regression"), tmp_path)


def test_a_recurrent_backbone_runs_in_torch(tmp_path: Path) -> None:
    wanted = sequence_recipe("sequence-classification", {**EXTRACTION, "engine": "onnx"})
    with refused(RecipeError):
        fit(
            sequence_model("sequence-classification"),
            sequence_splits("sequence-classification"),
            wanted,
            tmp_path,
        )


def test_a_loss_that_explodes_names_the_way_out(tmp_path: Path) -> None:
    wanted = sequence_recipe("sequence-regression", lr=1e30, clip_norm=None, optimizer="sgd")
    with refused(TrainingError):
        fit(sequence_model("sequence-regression"), sequence_splits("sequence-regression"), wanted, tmp_path)


@pytest.mark.parametrize("name", TASKS)
def test_bfloat16(tmp_path: Path, name: str) -> None:
    trained = fit(
        sequence_model(name), sequence_splits(name), sequence_recipe(name, precision="bf16"), tmp_path
    )
    assert np.isfinite(trained.curves[-1]["train_loss"])


@pytest.mark.parametrize("loss", ["mae", "huber", "mse"])
def test_every_loss_of_numbers_trains(tmp_path: Path, loss: str) -> None:
    wanted = sequence_recipe("sequence-regression", loss=loss, epochs=8, lr=0.02)
    trained = fit(
        sequence_model("sequence-regression"), sequence_splits("sequence-regression"), wanted, tmp_path
    )
    assert trained.metrics["evaluation"]["r2"] > 0.2
    assert load_trained(tmp_path).record.options["loss"] == loss


def test_the_head_first_then_the_layers_from_the_last_one(tmp_path: Path) -> None:
    """What starts from a run's weights: phases, gradual unfreezing, and a look at the gradients in each phase."""
    name = "sequence-classification"
    built = sequence_model(name, layers=3, dropout=0.2)
    transfer = {"unfreeze": "all", "head_epochs": 1, "gradual": True}
    seen = [snapshot(built)]

    def watch(what: str, done: int, total: int, note: str = "") -> None:
        if note and done % (total // int(note.split()[-1])) == 0:  # "epoch 2 of 3"
            seen.append(snapshot(built))

    trained = fit(built, sequence_splits(name), sequence_recipe(name, transfer, epochs=3), tmp_path, watch)
    moved = [
        {
            key.rpartition(".")[0].partition(".cells")[0]
            for key in before
            if not torch.equal(before[key], after[key])
        }
        for before, after in itertools.pairwise(seen)
    ]
    everything = {"head", "layers.0", "layers.1", "layers.2"}
    assert moved == [{"head"}, {"head", "layers.2"}, {"head", "layers.1", "layers.2"}, everything]
    rows = [(row["phase"], row["epoch"], len(row["layers"])) for row in trained.gradients]
    assert rows == [("head", 0, 3), ("head", 1, 3), ("fine-tuning", 1, 3), ("fine-tuning", 3, 3)]


def snapshot(built: BuiltModel) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in named_tensors(built.module).items()}


def test_rare_classes_weigh_more(tmp_path: Path) -> None:
    name = "sequence-classification"
    splits = sequence_splits(name)
    rare = [sample for sample in splits.train if sample.target == 3][:2]
    train = tuple(sample for sample in splits.train if sample.target != 3) + tuple(rare)
    unbalanced = type(splits)(**{**vars(splits), "train": train})
    wanted = sequence_recipe(name, class_weights="balanced", label_smoothing=0.05)
    fit(sequence_model(name), unbalanced, wanted, tmp_path)
    weights = load_trained(tmp_path).task.weights(np.array([0, 3]))
    assert weights[1] > 5 * weights[0]


@pytest.mark.parametrize("name", ["sequence-regression", "forecasting"])
def test_what_is_measured_is_what_the_device_answers(name: str) -> None:
    """The figures in the user's units are those of the decoded answers, value by value."""
    built, task, device, source = source_of(name)
    samples = sequence_splits(name).evaluation
    feeds = [device.encode(sample.raw) for sample in samples]
    outputs = predict(built.module, source, 16, World())
    answers = map(device.decode, ({built.output_names[0]: row} for row in outputs), feeds)
    figures = evaluate(built.module, source, task, 16, World(), "evaluation", TorchGraphs(built.parts()))
    truths = [np.asarray(sample.target, np.float64) for sample in samples]
    gaps = [
        np.abs(answer.values[: len(truth)] - truth) for answer, truth in zip(answers, truths, strict=True)
    ]
    mae = np.nanmean(np.concatenate(gaps), axis=0).mean()
    assert figures["mae"] == pytest.approx(mae, rel=1e-6)
