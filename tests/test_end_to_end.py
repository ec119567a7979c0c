"""The whole way, from a recipe to the answers of a bundle, and what happens when it is disturbed."""

import functools
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from edgewright.pipeline.data.sources import restore_splits
from edgewright.pipeline.stages.fit import run_recipe
from edgewright.pipeline.training.results import load_trained
from edgewright.runtime import Engine, open_bundle
from tests.command import (
    COMMAND,
    Answer,
    Call,
    Shipped,
    content_of,
    environment,
    run_anew,
    run_process,
    spoil_export,
    start_process,
)

VARIANTS = ["fp32", "fp16", "int8-dynamic", "int8-static"]


def times(folder: Path) -> dict[str, int]:
    """When each file below `folder` was last written."""
    return {
        str(file.relative_to(folder)): file.stat().st_mtime_ns for file in folder.rglob("*") if file.is_file()
    }


def ship(cli: Call, shipped: Shipped, folder: Path, *more: object) -> Answer:
    """Ship the shared recipe into `folder`, which may hold a copy of the run already."""
    return cli("ship", shipped.recipe, "--out", folder / "bundle", "--json", *more)


def copied(shipped: Shipped, folder: Path) -> Path:
    """A copy of the run, where `ship` looks for it; returns its place."""
    return shipped.copy_run(folder / "bundle.run")


# The undisturbed way


def test_the_verdict_has_a_full_row_for_every_variant(shipped: Shipped) -> None:
    verdict = shipped.report["verdict"]
    assert [row["name"] for row in verdict["rows"]] == VARIANTS
    assert verdict["samples"] == 144
    for row in verdict["rows"]:
        assert row["status"] == "PASS", row
        assert row["metric"] > 0.9
        assert row["interval"][0] <= row["drop"] <= row["interval"][1]
        assert row["agreement"] > 0.95
        assert row["relative"] <= row["passing_tolerance"] * 1.5
        assert row["speed_vs_torch"] > 0
        assert row["provider"] == "cpu"
    sizes = {row["name"]: row["size"] for row in verdict["rows"]}
    assert sizes["int8-static"] < 0.4 * sizes["fp32"]
    assert {rung["name"] for rung in verdict["ladder"]["rungs"] if rung["status"] == "ok"} >= {
        "encode", "export", "fusion", "precision", "decode",
    }  # fmt: skip


def test_the_bundle_opens_and_holds_the_verdict(shipped: Shipped) -> None:
    manifest = open_bundle(shipped.bundle).manifest
    assert [variant.name for variant in manifest.variants] == VARIANTS
    assert manifest.labels == ("0", "1", "2", "3")
    assert manifest.verdict == shipped.report["verdict"]
    assert manifest.default_variant == shipped.report["verdict"]["ships"]
    assert (shipped.bundle / "README.md").read_text(encoding="utf-8").count("| fp32 |") == 1


def test_it_predicts_what_torch_predicts(shipped: Shipped) -> None:
    model = load_trained(shipped.run)
    device = model.task.device_task(model.built.settings, model.classes)
    samples = restore_splits(
        json.loads((shipped.run / "data.json").read_bytes()), run_recipe(shipped.run)
    ).evaluation
    feeds = device.collate([device.encode(sample.raw) for sample in samples])
    with torch.no_grad():
        logits = model.built.module(torch.from_numpy(feeds["pixel_values"])).numpy()
    with Engine(shipped.bundle, "fp32", "cpu", threads=1, cache=False) as engine:
        answers = engine([sample.raw for sample in samples])
        outputs = engine.infer(feeds)["logits"]
    assert np.abs(outputs - logits).max() <= 1e-4 * np.abs(logits).max()
    assert [answer.label for answer in answers] == [model.classes[index] for index in logits.argmax(axis=1)]


def test_shipping_again_does_nothing_anew_and_gives_the_same_bytes(
    cli: Call, shipped: Shipped, tmp_path: Path
) -> None:
    run = copied(shipped, tmp_path)
    before = times(run)
    answer = ship(cli, shipped, tmp_path)
    assert (answer.code, answer.json["verdict"]) == (0, shipped.report["verdict"])
    after = times(run)
    assert {name for name in after if before.get(name) != after[name]} <= {"recipe.json", "data.json"}
    assert content_of(tmp_path / "bundle") == content_of(shipped.bundle)


def test_another_budget_only_judges_again(cli: Call, shipped: Shipped, tmp_path: Path) -> None:
    run = copied(shipped, tmp_path)
    before = times(run)
    answer = ship(cli, shipped, tmp_path, "--set", "budget.max_drop=0.5")
    assert (answer.code, answer.json["verdict"]["budget"]["max_drop"]) == (0, 0.5)
    after = times(run)
    changed = {name for name in after if before.get(name) != after[name]}
    assert {"export/verdict.json", "export/verdict.done.json"} <= changed
    assert changed <= {"export/verdict.json", "export/verdict.done.json", "recipe.json", "data.json"}


# What must not ship


def test_a_listed_variant_that_answers_wrong_is_left_out_and_exits_1(
    cli: Call, shipped: Shipped, tmp_path: Path
) -> None:
    spoil_export(copied(shipped, tmp_path), "int8-static")
    answer = ship(cli, shipped, tmp_path, "--set", "variants=[fp32, fp16, int8-static]")
    assert answer.code == 1
    assert "int8-static failed and is not in the bundle" in answer.err
    assert (answer.json["passed"], answer.json["failed_demands"]) == (False, ["int8-static"])
    rows = {row["name"]: row for row in answer.json["verdict"]["rows"]}
    assert rows["int8-static"]["status"] == "FAIL"
    assert rows["int8-static"]["drop"] > 0.5
    assert "int8-static" not in [
        variant.name for variant in open_bundle(tmp_path / "bundle").manifest.variants
    ]
    assert not (tmp_path / "bundle" / "onnx" / "model_quantized.onnx").exists()


def test_the_same_left_to_auto_ships_the_others_and_exits_0(
    cli: Call, shipped: Shipped, tmp_path: Path
) -> None:
    spoil_export(copied(shipped, tmp_path), "int8-static")
    answer = ship(cli, shipped, tmp_path)
    assert (answer.code, answer.json["passed"]) == (0, True)
    assert [variant.name for variant in open_bundle(tmp_path / "bundle").manifest.variants] == VARIANTS[:3]


def test_nothing_ships_when_fp32_is_wrong_and_the_older_bundle_stays(
    cli: Call, shipped: Shipped, tmp_path: Path
) -> None:
    spoil_export(copied(shipped, tmp_path), "fp32")
    older = shipped.copy_bundle(tmp_path / "bundle")
    before = times(older)
    answer = ship(cli, shipped, tmp_path)
    assert (answer.code, answer.json["bundle"], answer.json["verdict"]["ships"]) == (1, None, None)
    (line,) = [line for line in answer.err.splitlines() if line.startswith("edgewright: ")]
    assert line.startswith("edgewright: nothing ships: ")
    assert times(older) == before
    table = cli("ship", shipped.recipe, "--out", older).out
    assert "ladder: first bad rung is export" in table


def test_a_budget_that_cannot_be_proven_ships_fp32_alone_and_fails_the_listed(
    cli: Call, shipped: Shipped, tmp_path: Path
) -> None:
    copied(shipped, tmp_path)
    words = ("variants=[fp32, fp16, int8-static]", "budget.require=interval", "budget.max_drop=0.0001")
    answer = ship(cli, shipped, tmp_path, *(word for value in words for word in ("--set", value)))
    assert (answer.code, answer.json["failed_demands"]) == (1, ["fp16", "int8-static"])
    assert [variant.name for variant in open_bundle(tmp_path / "bundle").manifest.variants] == ["fp32"]


def test_a_damaged_export_is_made_again(cli: Call, shipped: Shipped, tmp_path: Path) -> None:
    run = copied(shipped, tmp_path)
    (run / "export" / "model_fp16.onnx").write_bytes(b"damaged")
    answer = ship(cli, shipped, tmp_path)
    assert answer.code == 0
    assert content_of(tmp_path / "bundle") == content_of(shipped.bundle)


# Places that cannot be written


def test_out_that_holds_other_things_is_refused_before_any_work(
    cli: Call, shipped: Shipped, tmp_path: Path
) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_text("mine")
    line = cli("ship", shipped.recipe, "--out", tmp_path / "photos").error()
    assert "exists and is not a bundle" in line
    assert "exists and is not a bundle" in cli("export", shipped.run, "--out", tmp_path / "photos").error()
    assert content_of(tmp_path) == {"photos/cat.jpg": b"mine"}


def test_out_that_is_a_file(cli: Call, shipped: Shipped, tmp_path: Path) -> None:
    (tmp_path / "bundle").write_text("mine")
    for words in (("ship", shipped.recipe), ("fit", shipped.recipe), ("export", shipped.run)):
        answer = cli(*words, "--out", tmp_path / "bundle")
        assert (answer.code, answer.out) == (2, "")
        assert "is a file" in answer.err
        below = cli(*words, "--out", tmp_path / "bundle" / "below")
        assert "a file stands where a folder is needed" in below.error()
    assert content_of(tmp_path) == {"bundle": b"mine"}


def test_out_that_may_not_be_written(cli: Call, shipped: Shipped) -> None:
    """Not even the superuser may make a folder in /proc/self/fd."""
    for words in (("ship", shipped.recipe), ("fit", shipped.recipe), ("export", shipped.run)):
        line = cli(*words, "--out", "/proc/self/fdinfo/bundle").error()
        assert "cannot write /proc/self/fdinfo/bundle" in line


# Disks that are full


def _small_files(limit: int) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))


def test_a_training_that_cannot_write_its_weights(shipped: Shipped, tmp_path: Path) -> None:
    run = tmp_path / "run"
    answer = run_process("fit", shipped.recipe, "--out", run, before=functools.partial(_small_files, 200_000))
    assert "cannot write" in answer.error()
    assert not (run / "weights.safetensors").exists()


def test_a_bundle_that_does_not_fit_leaves_the_older_one(shipped: Shipped, tmp_path: Path) -> None:
    """Everything is finished but the bundle, whose largest file is refused."""
    run = shipped.copy_run(tmp_path / "run")
    older = shipped.copy_bundle(tmp_path / "bundle")
    before = times(older)
    answer = run_process("export", run, "--out", older, before=functools.partial(_small_files, 1_000_000))
    assert "cannot write" in answer.error()
    assert times(older) == before
    assert {path.name for path in tmp_path.iterdir()} == {"run", "bundle"}


def _may_mount() -> bool:
    if shutil.which("unshare") is None:
        return False
    words = ["unshare", "-rm", "mount", "-t", "tmpfs", "none", "/mnt"]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not _may_mount(), reason="needs user namespaces to mount a small file system")
def test_a_disk_that_is_full(shipped: Shipped, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    size = sum(len(content) for content in content_of(shipped.bundle).values())
    words = f"export {shipped.copy_run(tmp_path / 'run')} --out {disk}/bundle"
    script = f"""
        set -e
        mount -t tmpfs -o size={size + size // 2} none {disk}
        cp -r {shipped.bundle} {disk}/bundle
        code=0
        {" ".join(COMMAND)} {words} || code=$?
        {" ".join(COMMAND)} verify {disk}/bundle > {tmp_path}/verified
        ls -A {disk} > {tmp_path}/left
        exit $code
    """
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script], capture_output=True, text=True, env=environment(), check=False
    )
    line = Answer(done.returncode, done.stdout, done.stderr).error()
    assert "no disk space left while writing" in line
    assert "run the same command again" in line
    assert (tmp_path / "verified").read_text().splitlines()[-1].startswith("yes: ")
    assert (tmp_path / "left").read_text() == "bundle\n"


# Killed


def _fitting(folder: Path) -> bool:
    return any((folder / "bundle.run" / "checkpoints").glob("*"))


def _exporting(folder: Path) -> bool:
    return (folder / "bundle.run" / "trained.json").exists()


def _making_variants(folder: Path) -> bool:
    return (folder / "bundle.run" / "export" / "fp32.done.json").exists()


def _judging(folder: Path) -> bool:
    return (folder / "bundle.run" / "export" / "int8-static.done.json").exists()


def _bundling(folder: Path) -> bool:
    return any(folder.glob(".bundle.*"))


MOMENTS = (_fitting, _exporting, _making_variants, _judging, _bundling)


def _kill_when(moment: Callable[[Path], bool], shipped: Shipped, folder: Path, delay: float = 0.0) -> bool:
    """Ship as a process and kill it `delay` seconds after `moment`; returns whether it still ran then."""
    with start_process("ship", shipped.recipe, "--out", folder / "bundle", "--json") as process:
        end = time.monotonic() + 300
        while process.poll() is None and not moment(folder):
            assert time.monotonic() < end
            time.sleep(0.0005)
        time.sleep(delay)
        process.kill()
        out, err = process.communicate()
    assert process.returncode in (-signal.SIGKILL, 0), (out, err)
    return process.returncode != 0


def _check_finished(shipped: Shipped, folder: Path, answer: Answer) -> None:
    assert answer.code == 0, answer.err
    assert (folder / "bundle.run" / "weights.safetensors").read_bytes() == shipped.weights
    mine, theirs = content_of(folder / "bundle"), content_of(shipped.bundle)
    graphs = ("onnx/model.onnx", "onnx/model_fp16.onnx", "golden.safetensors")
    assert {name: mine[name] for name in graphs} == {name: theirs[name] for name in graphs}
    open_bundle(folder / "bundle")
    assert {path.name for path in folder.iterdir()} == {"bundle", "bundle.run"}
    assert not list((folder / "bundle.run").rglob("*.tmp-*"))


def test_killed_at_every_stage_in_turn_it_still_finishes(cli: Call, shipped: Shipped, tmp_path: Path) -> None:
    """One run that is killed while training, exporting, judging and writing the bundle, then left alone."""
    older = shipped.copy_bundle(tmp_path / "bundle")
    before = times(older)
    for moment in MOMENTS:
        for _ in range(5):
            if _kill_when(moment, shipped, tmp_path):
                break
            shutil.rmtree(older)  # the moment was too short to be seen: once more
            before = times(shipped.copy_bundle(older))
        else:
            pytest.fail(f"{moment} was never seen")
        assert times(older) == before
    _check_finished(shipped, tmp_path, ship(cli, shipped, tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize("delay", [0.0, 0.02, 0.1, 0.3, 1.0])
@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_anywhere_it_finishes(
    shipped: Shipped, tmp_path: Path, moment: Callable[[Path], bool], delay: float
) -> None:
    _kill_when(moment, shipped, tmp_path, delay)
    _check_finished(
        shipped, tmp_path, run_process("ship", shipped.recipe, "--out", tmp_path / "bundle", "--json")
    )


# Quiet, wherever it runs


def test_standard_output_holds_the_data_and_nothing_else(shipped: Shipped, tmp_path: Path) -> None:
    """As a process, where libraries may write past Python: stdout is JSON, stderr has no warnings."""
    run = shipped.copy_run(tmp_path / "run")
    shutil.rmtree(run / "export")
    answer = run_anew("export", run, "--out", tmp_path / "bundle", "--json")
    assert (answer.code, answer.err) == (0, "")
    assert answer.json["passed"] is True
    assert content_of(tmp_path / "bundle" / "onnx").keys() == content_of(shipped.bundle / "onnx").keys()
    graph = "onnx/model.onnx"
    assert (tmp_path / "bundle" / graph).read_bytes() == (shipped.bundle / graph).read_bytes()


def test_the_module_is_the_command() -> None:
    done = subprocess.run(
        [str(Path(sys.executable).with_name("edgewright")), "--version"],
        capture_output=True, text=True, env={**os.environ}, check=True,
    )  # fmt: skip
    assert done.stdout == run_anew("--version").out
