"""Whole trainings of a tiny encoder: long texts as several rows, figures of whole texts, and no training at all."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from edgewright.exporters.part import TorchGraphs
from edgewright.exporters.reference import Metric
from edgewright.pipeline.catalog import TASKS
from edgewright.pipeline.data.samples import Sample, Splits
from edgewright.pipeline.families.text_encoders import TextEncoders
from edgewright.pipeline.models.model import BuiltModel
from edgewright.pipeline.tasks.figures import figures_of
from edgewright.pipeline.tasks.registry import task_of
from edgewright.pipeline.training import fit as fitting
from edgewright.pipeline.training.distributed import World
from edgewright.pipeline.training.fit import fit
from edgewright.pipeline.training.freeze import digest_tensors
from edgewright.pipeline.training.phases import plan_phases
from edgewright.pipeline.training.sample_source import SampleSource
from edgewright.pipeline.training.stepping import evaluate
from edgewright.runtime.contracts import Tensors
from edgewright.runtime.errors import InputError, RecipeError, TrainingError
from tests.messages import refused
from tests.pipeline.training.small_encoders import KINDS, encoder_recipe, encoder_splits, halves, tiny_encoder

ALL = {"mode": "fine-tuning", "unfreeze": "all", "rate_divisor": 1.0, "head_epochs": 0}
LEARNT = {"one label": 0.85, "entities": 0.95, "answers": 0.9, "vectors": 0.9}
TRAINED = [name for name, kind in KINDS.items() if kind.task != "zero-shot-classification"]


@pytest.fixture(autouse=True)
def cut_in_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "feature_module", lambda built: halves(built)[0])
    monkeypatch.setattr(fitting, "head_module", lambda built: halves(built)[1])


def metric_of(name: str) -> str:
    return TextEncoders().metrics(TASKS[KINDS[name].task], KINDS[name].settings.multi_label)[0]


def parts_of(name: str) -> tuple[BuiltModel, Splits, Any, Any]:
    built, splits = tiny_encoder(name), encoder_splits(name)
    task = task_of(built, splits, encoder_recipe(name))
    return built, splits, task, task.device_task(built.settings, splits.classes, built.assets)


def torch_run(built: BuiltModel, feeds: Tensors) -> Tensors:
    with torch.inference_mode():
        found = built.module(*(torch.from_numpy(feeds[name]) for name in built.input_names))
    values = found if isinstance(found, tuple) else (found,)
    return {name: value.numpy() for name, value in zip(built.output_names, values, strict=True)}


@pytest.mark.parametrize("name", TRAINED)
def test_a_training_learns_and_says_so(tmp_path: Path, name: str) -> None:
    trained = fit(tiny_encoder(name), encoder_splits(name), encoder_recipe(name, ALL, epochs=12), tmp_path)
    figures, metric = trained.metrics["evaluation"], metric_of(name)
    assert figures[metric] >= LEARNT.get(name, 0.0)
    assert figures["samples"] == 24 < figures["rows"]
    assert trained.curves[-1]["train_loss"] < trained.curves[0]["train_loss"]
    last = trained.curves[-1][f"validation_{metric.replace('-', '_')}"]
    assert last == trained.metrics["validation"][metric]
    assert json.loads((tmp_path / "metrics.json").read_text())["evaluation"] == figures
    assert not (tmp_path / "gradients.json").exists()
    assert (tmp_path / "confusion.json").exists() == (name in ("one label", "pair"))


@pytest.mark.parametrize("name", KINDS)
def test_figures_are_those_of_the_devices_own_way(name: str) -> None:
    built, splits, task, device = parts_of(name)
    source = SampleSource(splits.evaluation, task, device, names=built.input_names)
    figures = evaluate(built.module, source, task, 7, World(), "evaluation", TorchGraphs(built.parts()))
    encoded = device.encode_all([sample.raw for sample in splits.evaluation])
    outputs = device.run(encoded, TorchGraphs(built.parts()))
    answers, truths = map(device.decode, outputs, encoded), task.truths(splits.evaluation, device)
    told = figures_of(task.figures, zip(answers, truths, strict=True))
    assert set(told) <= set(figures)
    for metric in (figure.name for figure in task.figures if isinstance(figure, Metric)):
        assert figures[metric] == pytest.approx(told[metric], abs=1e-12)
    assert set(TASKS[KINDS[name].task].metrics) <= set(figures) or KINDS[name].settings.multi_label


def lengths_of(source: SampleSource) -> NDArray[np.int64]:
    assert source.lengths is not None
    return source.lengths


@pytest.mark.parametrize("name", KINDS)
def test_rows_are_those_of_the_device_in_order_of_their_length(name: str) -> None:
    built, splits, task, device = parts_of(name)
    source = SampleSource(splits.validation, task, device, names=built.input_names, judged=False)
    assert source.answers is None
    rows, targets = [], []
    for sample in splits.validation:
        feeds = device.encode(sample.raw)
        rows += device.windows(feeds)
        targets += list(task.targets(sample, feeds, device))
    order = np.argsort([len(row["input_ids"]) for row in rows], kind="stable")
    assert lengths_of(source).tolist() == [len(rows[place]["input_ids"]) for place in order]
    assert (np.diff(lengths_of(source)) >= 0).all() and lengths_of(source).max() == 14
    assert np.array_equal(source.targets, task.stack([targets[place] for place in order]))
    chosen = np.array([len(rows) - 1, 0, 3])
    expected = device.collate([rows[order[place]] for place in chosen])
    (found, empty, single) = source.batches([chosen, chosen[:0], chosen[:1]], 0)
    for input_name, tensor in zip(built.input_names, found, strict=True):
        assert tensor.dtype == torch.int64 and np.array_equal(tensor.numpy(), expected[input_name])
    assert empty == () and single[0].shape == (1, 14)


def test_a_text_that_cannot_be_read_is_named() -> None:
    built, splits, task, device = parts_of("one label")
    bad = dataclasses.replace(splits.validation[1], id="folder/texts.csv:7", raw="  ")
    with refused(InputError):
        SampleSource((splits.validation[0], bad), task, device, names=built.input_names)


def test_progress_is_told_by_samples() -> None:
    _, splits, task, device = parts_of("nli")  # each text is read with every label
    told: list[tuple[int, int]] = []
    SampleSource(splits.train, task, device, judged=False, progress=lambda *counts: told.append(counts))
    assert told[-1] == (64, 64)


@pytest.mark.parametrize("name", KINDS)
def test_nothing_is_trained_where_the_model_is_taken_as_it_is(tmp_path: Path, name: str) -> None:
    built, splits = tiny_encoder(name), dataclasses.replace(encoder_splits(name), train=())
    before, wanted = digest_tensors(built.module), encoder_recipe(name, {"mode": "none"})
    trained = fit(built, splits, wanted, tmp_path)
    assert digest_tensors(built.module) == trained.digests["frozen"] == before
    assert not trained.curves and not trained.rates and set(trained.metrics) == {"validation", "evaluation"}
    names = {path.name for path in tmp_path.iterdir()}
    assert {"weights.safetensors", "metrics.json", "curves.jsonl", "trained.json"} <= names
    assert (tmp_path / "curves.jsonl").read_text() == ""
    stamps = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert fit(tiny_encoder(name), splits, wanted, tmp_path) == trained
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == stamps


def test_without_training_samples_nothing_can_be_trained(tmp_path: Path) -> None:
    splits = dataclasses.replace(encoder_splits("one label"), train=())
    with refused(TrainingError):
        fit(tiny_encoder("one label"), splits, encoder_recipe("one label", ALL), tmp_path)


@pytest.mark.parametrize("name", [name for name in TRAINED if KINDS[name].head])
def test_a_head_on_cached_features_is_the_head_of_the_model(tmp_path: Path, name: str) -> None:
    built, splits = tiny_encoder(name), encoder_splits(name)
    assert isinstance(built.module, nn.Module)
    before = digest_tensors(
        built.module, [key for key, _ in built.module.named_parameters() if "head" not in key]
    )
    wanted = encoder_recipe(name, {"mode": "feature-extraction"}, epochs=4)
    trained = fit(built, splits, wanted, tmp_path)
    after = digest_tensors(
        built.module, [key for key, _ in built.module.named_parameters() if "head" not in key]
    )
    assert before == after
    if name in LEARNT:
        assert trained.curves[-1]["train_loss"] < trained.curves[0]["train_loss"]
    cached = np.load(tmp_path / "features" / "evaluation.npy")
    _, _, task, device = parts_of(name)
    source = SampleSource(splits.evaluation, task, device, names=built.input_names)
    assert cached.shape == (
        lengths_of(source).sum() if KINDS[name].per_token else len(lengths_of(source)),
        16,
    )
    figures = evaluate(built.module, source, task, 16, World(), "evaluation", TorchGraphs(built.parts()))
    for key, value in trained.metrics["evaluation"].items():
        if isinstance(value, float):
            assert figures[key] == pytest.approx(value, abs=1e-4), key


def test_the_onnx_engine_is_not_for_texts(tmp_path: Path) -> None:
    wanted = encoder_recipe("one label", {"mode": "feature-extraction", "engine": "onnx"})
    with refused(RecipeError):
        fit(tiny_encoder("one label"), encoder_splits("one label"), wanted, tmp_path)


def test_every_block_learns_at_the_decayed_rate_of_the_next() -> None:
    transfer = {"unfreeze": "all", "layer_decay": 0.5}
    head, main = plan_phases(tiny_encoder("one label"), encoder_recipe("one label", transfer))
    assert head.name == "head" and head.trainable == {"head.weight", "head.bias"}
    assert main.scales["head.weight"] == 1.0
    assert main.scales["encoder.encoder.layer.1.attention.self.query.weight"] == 0.5
    assert main.scales["encoder.encoder.layer.0.output.dense.bias"] == 0.25
    assert main.scales["encoder.embeddings.word_embeddings.weight"] == 0.125
    assert set(main.scales) == main.trainable
    transfer["unfreeze"] = ["embeddings"]  # a frozen block between two still counts
    (_, some) = plan_phases(tiny_encoder("one label"), encoder_recipe("one label", transfer))
    assert some.scales["encoder.embeddings.word_embeddings.weight"] == 0.125


def test_a_model_without_a_head_has_no_phase_for_it() -> None:
    transfer = {"mode": "fine-tuning", "unfreeze": 1, "head_epochs": 1}
    (phase,) = plan_phases(tiny_encoder("vectors"), encoder_recipe("vectors", transfer))
    assert phase.name == "fine-tuning"
    assert {name.split(".")[3] for name in phase.trainable} == {"1"}


@pytest.mark.parametrize("name", ["one label", "entities"])
def test_rare_labels_count_more(tmp_path: Path, name: str) -> None:
    wanted = encoder_recipe(name, ALL, epochs=1, class_weights="balanced")
    built, splits = tiny_encoder(name), encoder_splits(name)
    task: Any = task_of(built, splits, wanted)
    targets: list[Any] = [sample.target for sample in splits.train]
    labels = np.concatenate([one.labels if name == "entities" else [one] for one in targets])
    counts = np.bincount(labels, minlength=len(splits.classes))
    for label, weight in enumerate(task.class_weights):
        assert weight * counts[label] == pytest.approx(
            len(labels) / (counts > 0).sum() if counts[label] else 0
        )
    assert np.isfinite(fit(built, splits, wanted, tmp_path).metrics["evaluation"]["loss"])


def test_a_training_that_explodes_is_one_line(tmp_path: Path) -> None:
    wanted = encoder_recipe("one label", ALL, lr=1e30, clip_norm="none", schedule="constant")
    with refused(TrainingError) as caught:
        fit(tiny_encoder("one label"), encoder_splits("one label"), wanted, tmp_path)
    assert "\n" not in str(caught.value)


def test_another_pooling_is_another_training(tmp_path: Path) -> None:
    built, splits, wanted = (
        tiny_encoder("one label"),
        encoder_splits("one label"),
        encoder_recipe("one label", ALL),
    )
    first = fit(built, splits, wanted, tmp_path / "a")
    other = dataclasses.replace(tiny_encoder("one label"), build={**built.build, "pooling": "cls"})
    second = fit(other, splits, wanted, tmp_path / "b")
    assert first.digests["weights"] != second.digests["weights"]  # the record stands beside them
    assert first.digests["training"] != second.digests["training"]
    assert isinstance(splits.train[0], Sample)
