"""The exported backbone answers like torch, or torch answers."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from edgewright.pipeline.families import feature_module
from edgewright.pipeline.training import backbones
from edgewright.pipeline.training.backbones import choose_engine, make_extract
from edgewright.pipeline.training.feature_cache import Extract
from edgewright.runtime.errors import ExportError, TrainingError
from tests.messages import refused
from tests.pipeline.training.small_net import recipe, small_model, small_splits

SHAPE = (3, 8, 8)
CPU = torch.device("cpu")
IMAGES = torch.randn(5, *SHAPE, generator=torch.Generator().manual_seed(0))


def expected() -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    with torch.inference_mode():
        features: np.ndarray[tuple[int, ...], np.dtype[np.float32]] = feature_module(small_model())(
            IMAGES
        ).numpy()
    return features


def made(engine: str, wanted: str, folder: Path, notes: list[str]) -> Extract:
    return make_extract(engine, wanted, feature_module(small_model()), SHAPE, folder, CPU, notes.append)


def test_both_engines_give_the_same_features(tmp_path: Path) -> None:
    notes: list[str] = []
    for engine in ("torch", "onnx"):
        extract = made(engine, engine, tmp_path, notes)
        for _ in range(2):
            features = extract(IMAGES)
            assert features.dtype == np.float32
            assert np.abs(features - expected()).max() < 1e-5
            assert np.abs(extract(IMAGES[:3]) - expected()[:3]).max() < 1e-5
    assert not notes


def test_a_graph_that_differs_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(backbone: torch.nn.Module, shape: tuple[int, ...], folder: Path) -> Extract:
        return lambda inputs: expected() * 1.01

    monkeypatch.setattr(backbones, "_open_graph", wrong)
    notes: list[str] = []
    extract = made("onnx", "auto", tmp_path, notes)
    assert np.array_equal(extract(IMAGES), expected())
    assert np.array_equal(extract(IMAGES), expected())
    assert len(notes) == 1
    assert "differs from torch by 1.0e-02" in notes[0]
    with refused(TrainingError):
        made("onnx", "onnx", tmp_path, notes)(IMAGES)


def test_a_backbone_that_cannot_be_exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(backbone: torch.nn.Module, shape: tuple[int, ...], folder: Path) -> Extract:
        raise ExportError("no such operator")

    monkeypatch.setattr(backbones, "_open_graph", fail)
    notes: list[str] = []
    assert np.array_equal(made("onnx", "auto", tmp_path, notes)(IMAGES), expected())
    assert notes == ["the backbone runs in torch, because its export failed: no such operator"]
    with refused(TrainingError):
        made("onnx", "onnx", tmp_path, notes)


def test_the_engine_is_chosen_by_counting() -> None:
    backbone = feature_module(small_model())
    assert choose_engine("auto", backbone, SHAPE, 1000, CPU) == "torch"
    assert choose_engine("auto", backbone, SHAPE, 10**9, CPU) == "onnx"
    assert choose_engine("onnx", backbone, SHAPE, 1, CPU) == "onnx"
    assert choose_engine("torch", backbone, SHAPE, 10**9, CPU) == "torch"


def test_a_whole_training_on_onnx_features(tmp_path: Path) -> None:
    from edgewright.pipeline.training.fit import fit

    losses = []
    for engine in ("torch", "onnx"):
        wanted = recipe({"mode": "feature-extraction", "engine": engine})
        trained = fit(small_model(), small_splits(), wanted, tmp_path / engine)
        losses.append(trained.curves[-1]["train_loss"])
        left = {file.name for file in (tmp_path / engine / "features").iterdir()}
        assert left == {
            f"{name}.{end}" for name in ("train", "validation", "evaluation") for end in ("npy", "json")
        }
    assert math.isclose(losses[0], losses[1], rel_tol=1e-4)
