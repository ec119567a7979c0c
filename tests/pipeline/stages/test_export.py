"""From a run to a bundle: killed anywhere, out of disk, with another budget, calibrated on the calibration split."""

import dataclasses
import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

from edgewright.exporters.graph.export import Graph
from edgewright.exporters.judge import latency as timing
from edgewright.exporters.judge.timing import measure_latency
from edgewright.exporters.precision.registry import make_variant
from edgewright.exporters.verdict import FAIL
from edgewright.pipeline.data.sources import restore_splits
from edgewright.pipeline.progress import silent
from edgewright.pipeline.recipe.load import override_export, recipe_from_plain
from edgewright.pipeline.run_dir import lock_run, read_run_json
from edgewright.pipeline.stages import export as shipping
from edgewright.pipeline.stages.export import export_run
from edgewright.pipeline.stages.fit import DATA, fit_run, run_recipe
from edgewright.runtime import Engine, selftest
from edgewright.runtime.errors import MachineError, RecipeError
from tests.command import Call
from tests.messages import refused
from tests.pipeline.stages.export_killer import MOMENTS, half_written

pytestmark = pytest.mark.xdist_group("pipeline-stages-export")  # what these tests share is made once

ROOT = Path(__file__).parents[3]
RECIPE = {
    "task": "image-classification",
    "model": "timm:test_resnet",
    "weights": "none",
    "data": {"source": "builtin:digits", "classes": ["0", "1", "2"], "train_per_class": 60},
    "input": {"size": 32},
    "training": {"epochs": 4, "batch_size": 32, "lr": 2e-3},
    "variants": ["fp32", "int8-static"],
}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def trained(one_thread: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that is trained and not yet exported."""
    run = tmp_path_factory.mktemp("trained") / "run"
    fit_run(recipe_from_plain(RECIPE), run)
    return run


@pytest.fixture(scope="module")
def exported(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """That run after an undisturbed export, and the bundle."""
    folder = tmp_path_factory.mktemp("exported")
    run = Path(shutil.copytree(trained, folder / "run"))
    assert export_run(run, folder / "bundle", provider="cpu").passed
    return run, folder / "bundle"


@pytest.fixture
def run(exported: tuple[Path, Path], tmp_path: Path) -> Path:
    """A copy of the exported run."""
    return Path(shutil.copytree(exported[0], tmp_path / "run"))


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_killed_anywhere_between_the_run_and_the_bundle(
    trained: Path, exported: tuple[Path, Path], tmp_path: Path
) -> None:
    run, bundle = Path(shutil.copytree(trained, tmp_path / "run")), tmp_path / "bundle"
    command = [sys.executable, "-m", "tests.pipeline.stages.export_killer", str(run), str(bundle)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [entry["killed"] for entry in found] == [bool(event) for event, _, _ in MOMENTS], found
    assert sum(bool(entry["left"]) for entry in found) >= 6, "the kills came where something was half written"
    for entry in found:
        if not entry["killed"]:
            assert entry["left"] == []
    assert half_written(run, run / "export", tmp_path) == []

    undisturbed, other = exported
    for name in ("weights.safetensors", "export/model.onnx", "export/model_int8_static.onnx"):
        assert (run / name).read_bytes() == (undisturbed / name).read_bytes(), name
    assert {path.name for path in (run / "export").iterdir()} == {
        path.name for path in (undisturbed / "export").iterdir()
    }
    assert files_of(bundle).keys() == files_of(other).keys()
    assert all(row.passed for row in selftest(bundle, provider="cpu"))


def test_what_is_finished_is_not_made_again(
    run: Path, exported: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: Any, **_options: Any) -> Any:
        raise AssertionError("made again")

    for name in ("export_graph", "make_variant", "judge"):
        monkeypatch.setattr(shipping, name, refuse)
    outcome = export_run(run, tmp_path / "bundle", provider="cpu")
    assert outcome.passed and files_of(tmp_path / "bundle") == files_of(exported[1])
    monkeypatch.setattr(onnxruntime, "__version__", "0.1")  # what another one made is
    with pytest.raises(AssertionError, match="made again"):
        export_run(run, tmp_path / "bundle", provider="cpu")


def test_int8_static_sees_the_calibration_split_and_nothing_else(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[np.ndarray[Any, Any]] = []

    class Enough(Exception):
        pass

    def look(graph: Graph, precision: str, calibration: Any, *_: Any) -> Graph:
        assert precision == "int8-static"
        seen.extend(batch["pixel_values"] for batch in calibration)
        raise Enough

    run = Path(shutil.copytree(trained, tmp_path / "run"))
    monkeypatch.setattr(shipping, "make_variant", look)
    with pytest.raises(Enough):
        export_run(run, tmp_path / "bundle", provider="cpu")
    splits = restore_splits(read_run_json(run, DATA), run_recipe(run))
    loaded = shipping._load(run, None)
    wanted = [loaded.device_task.encode(sample.raw)["pixel_values"] for sample in splits.calibration]
    assert len(seen) == len(wanted) > 10
    assert all(np.array_equal(ours[0], theirs) for ours, theirs in zip(seen, wanted, strict=True))


@pytest.mark.parametrize("name", ["shutil.copyfile", "pathlib.Path.write_text"])
def test_no_disk_left_for_the_bundle_keeps_the_old_one(
    run: Path, exported: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    bundle = Path(shutil.copytree(exported[1], tmp_path / "bundle"))
    before = files_of(bundle)

    def full(*_arguments: Any, **_options: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(name, full)
    with refused(MachineError) as caught:
        export_run(run, bundle, provider="cpu")
    assert "\n" not in str(caught.value)
    monkeypatch.undo()
    assert files_of(bundle) == before
    assert half_written(tmp_path, run, run / "export") == []
    with Engine(bundle, provider="cpu") as engine:
        assert engine.variant
    assert export_run(run, bundle, provider="cpu").passed


def test_no_disk_left_for_a_graph(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Path(shutil.copytree(trained, tmp_path / "run"))
    original = Path.write_bytes

    def full(path: Path, content: bytes) -> int:
        if path.parent.name == "export":
            raise OSError(errno.ENOSPC, "No space left on device")
        return original(path, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    with refused(MachineError):
        export_run(run, tmp_path / "bundle", provider="cpu")
    assert not (tmp_path / "bundle").exists()
    assert half_written(run, run / "export") == []


def test_a_folder_that_may_not_be_written_is_named_before_the_work(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # a super-user may write anywhere, so permissions cannot be tested
    monkeypatch.setattr(os, "access", lambda *_: False)
    with refused(MachineError):
        export_run(run, tmp_path / "new" / "bundle", provider="cpu")


def test_a_run_that_may_not_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: Any, **_options: Any) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with refused(MachineError):
        fit_run(recipe_from_plain(RECIPE), tmp_path / "run")


def test_two_processes_do_not_work_in_one_run(run: Path, tmp_path: Path) -> None:
    with lock_run(run), refused(MachineError):
        export_run(run, tmp_path / "bundle", provider="cpu")


def test_another_budget_judges_again_and_makes_nothing_anew(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: Any, **_options: Any) -> Any:
        raise AssertionError("made again")

    monkeypatch.setattr(shipping, "export_graph", refuse)
    monkeypatch.setattr(shipping, "make_variant", refuse)
    monkeypatch.setattr(timing, "measure_latency", lambda sides, _: measure_latency(sides, 0.05))
    wanted = ("variants=[fp32, int8-static]", "budget.require=interval", "budget.max_drop=0")
    outcome = export_run(run, tmp_path / "bundle", provider="cpu", overrides=wanted)
    assert (outcome.verdict.budget.max_drop, outcome.verdict.budget.require) == (0.0, "interval")
    row = outcome.verdict.row("int8-static")
    assert row.status == FAIL and outcome.failed_demands == ("int8-static",) and not outcome.passed
    assert run_recipe(run).budget.max_drop == 0.01, "the run keeps its own recipe"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.epochs=9", "this run is trained: set variants, quantization or budget here"),
        ("model=resnet18", "this run is trained"),
        ("budget.max_dropp=0.1", r"budget\.max_dropp: unknown key .did you mean 'max_drop'"),
        ("budget.max_drop=x", r"budget\.max_drop: expected a number"),
        ("variants=[int8-static]", "fp32 is missing"),
        ("budget", "write it as key=value"),
    ],
)
def test_an_override_that_cannot_be(override: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message) as caught:
        override_export(recipe_from_plain(RECIPE), (override,))
    assert "\n" not in str(caught.value)


def test_export_takes_overrides_from_the_command_line(cli: Call, run: Path, tmp_path: Path) -> None:
    line = cli("export", run, "--out", tmp_path / "bundle", "--set", "training.epochs=9").error()
    assert line.startswith("--set training.epochs=9: this run is trained")
    answer = cli("export", run, "--out", tmp_path / "bundle", "--set", "variants=[fp32]", "--json")
    assert answer.code == 0, answer.err
    assert [row["name"] for row in answer.json["verdict"]["rows"]] == ["fp32"]


def test_half_written_files_of_a_killed_process_are_removed_from_a_run(tmp_path: Path) -> None:
    (tmp_path / "export").mkdir()
    for name in (".recipe.json.tmp-1", "export/.model.onnx.tmp-12", "mine.tmp-1", "export/notes.txt"):
        (tmp_path / name).write_text("x")
    with lock_run(tmp_path):
        assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == [
            ".lock", "mine.tmp-1", "notes.txt",
        ]  # fmt: skip


@pytest.mark.parametrize("command", ["fit", "ship"])
def test_nothing_is_written_into_the_data_folder(command: str, cli: Call, tmp_path: Path) -> None:
    photos, recipe = tmp_path / "photos", tmp_path / "recipe.yaml"
    photos.mkdir()
    recipe.write_text(
        f"task: image-classification\nmodel: resnet18\nweights: none\ndata: {photos}\n", encoding="utf-8"
    )
    answer = cli(command, recipe, "--out", photos / "here")
    assert answer.code == 1
    assert answer.err.count("\n") == 1 and "lies inside the data folder" in answer.err
    assert list(photos.iterdir()) == []


def test_what_gains_by_samples_is_made_again_with_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = {**RECIPE, "model": "timm:test_vit", "variants": ["fp32", "int8-dynamic"]}
    recipe["training"] = {"epochs": 1, "batch_size": 32}
    fit_run(recipe_from_plain(recipe), tmp_path / "run")
    loaded = shipping._load(tmp_path / "run", None)
    seen: list[int] = []
    made = make_variant

    def look(graph: Graph, precision: str, calibration: Any, *rest: Any) -> Graph:
        batches = list(calibration)
        seen.append(len(batches))
        return made(graph, precision, batches, *rest)

    monkeypatch.setattr(shipping, "make_variant", look)
    part = loaded.model.built.part("model")
    fp32 = shipping._graph(tmp_path / "run", loaded, "fp32", "model", part, None, silent)
    assert isinstance(fp32, Graph)
    few = dataclasses.replace(loaded.splits, calibration=loaded.splits.calibration[:3])
    for splits in (loaded.splits, loaded.splits, few, few):
        again = dataclasses.replace(loaded, splits=splits)
        found = shipping._graph(tmp_path / "run", again, "int8-dynamic", "model", part, fp32, silent)
        assert isinstance(found, Graph)
    assert seen == [len(loaded.splits.calibration), 3] and seen[0] > 3
