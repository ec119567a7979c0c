"""Compare: the grid, its rows, what fails in it, and what a second call does not do again."""

import json
import math
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from edgewright.pipeline.cli.compare_text import best_row, comparison_text
from edgewright.pipeline.stages.compare import COMPARISON, Comparison, Row, compare
from edgewright.pipeline.stages.compare_grid import cannot_tell_apart, folder_name, parse_choices, spread_of
from edgewright.pipeline.stages.fit import fit_run
from edgewright.runtime import Engine, open_bundle
from edgewright.runtime.errors import MachineError, RecipeError
from tests.command import Call, start_process
from tests.messages import refused

pytestmark = pytest.mark.xdist_group("pipeline-stages-compare")  # what these tests share is made once

RECIPE = """\
task: image-classification
model: timm:test_resnet
weights: none
data: {source: "builtin:digits", classes: [0, 1, 2, 3], train_per_class: 30}
input: {size: 32}
training: {epochs: 1, batch_size: 30, lr: 2e-3, seed: 5, checkpoint_seconds: 0}
variants: [fp32]
"""

VARY = ("training.lr=2e-3,1e-5", "transfer.mode=fine-tuning,feature-extraction")


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "recipe.yaml"
    path.write_text(RECIPE, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def made(one_thread: None, recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Comparison, Path]:
    out = tmp_path_factory.mktemp("compared")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGEWRIGHT_CACHE", "off")
        return compare(recipe, VARY, out, seeds=2), out


# The grid


def test_every_combination_is_a_row_in_order(made: tuple[Comparison, Path]) -> None:
    found, _ = made
    assert found.keys == ("training.lr", "transfer.mode")
    assert found.seeds == (5, 6)
    assert [tuple(row.choice.values()) for row in found.rows] == [
        ("2e-3", "fine-tuning"), ("2e-3", "feature-extraction"),
        ("1e-5", "fine-tuning"), ("1e-5", "feature-extraction"),
    ]  # fmt: skip


def test_a_row_holds_what_the_choice_brings_and_costs(made: tuple[Comparison, Path]) -> None:
    found, out = made
    for row in (found.rows[0], found.rows[2]):
        assert not row.failed
        assert len(row.scores) == 2
        assert row.metric is not None and row.metric.interval is not None
        assert row.metric.mean == pytest.approx(np.mean(row.scores))
        assert row.parameters == 373_076
        assert row.seconds is not None and 0.1 < row.seconds < 60
        assert row.ships == "fp32"
        assert row.p50_ms is not None and row.p50_ms > 0
        assert row.step_us is None
    bundle = out / "cells" / "training.lr=2e-3,transfer.mode=fine-tuning" / "bundle"
    manifest = open_bundle(bundle).manifest
    assert found.rows[0].size_bytes == (bundle / "onnx" / "model.onnx").stat().st_size
    assert manifest.seed == 5
    assert Engine(bundle, cache=False)(bundle / manifest.golden.samples[0].file).label in "0123"


def test_the_scores_are_those_of_the_runs(made: tuple[Comparison, Path]) -> None:
    found, out = made
    place = out / "cells" / "training.lr=1e-5,transfer.mode=fine-tuning"
    for score, seed in zip(found.rows[2].scores, found.seeds, strict=True):
        figures = json.loads((place / f"seed-{seed}" / "metrics.json").read_bytes())
        assert figures["evaluation"]["accuracy"] == score


def test_a_combination_that_cannot_be_is_a_row_with_its_reason(made: tuple[Comparison, Path]) -> None:
    found, _ = made
    assert found.failed == 2
    for row in (found.rows[1], found.rows[3]):
        assert "feature-extraction keeps the backbone as it is" in row.reason
        assert "\n" not in row.reason
        assert (row.metric, row.p50_ms, row.parameters) == (None, None, None)


def test_a_second_call_trains_and_exports_nothing(
    made: tuple[Comparison, Path], recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, out = made

    def refuse(*_arguments: Any, **_options: Any) -> Any:
        raise AssertionError("made again")

    monkeypatch.setattr("edgewright.pipeline.training.fit.run_phases", refuse)
    monkeypatch.setattr("edgewright.pipeline.stages.export.export_graph", refuse)
    monkeypatch.setattr("edgewright.pipeline.stages.export.judge", refuse)
    again = compare(recipe, VARY, out, seeds=2)
    assert again == found  # the seconds too: a finished training adds none


def test_the_file_holds_the_comparison(made: tuple[Comparison, Path]) -> None:
    found, out = made
    document = json.loads((out / COMPARISON).read_bytes())
    assert document["rows"][0]["scores"] == list(found.rows[0].scores)
    assert document["metric_name"] == "accuracy"


def test_whatever_one_cell_dies_of_the_others_are_there(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dying(recipe: Any, run: Path, **options: Any) -> Any:
        if recipe.training.lr == 1e-5:
            raise MemoryError
        if recipe.training.lr == 1e-4:
            raise RuntimeError("a\nb")
        return fit_run(recipe, run, **options)

    monkeypatch.setattr("edgewright.pipeline.stages.compare.fit_run", dying)
    found = compare(recipe, ["training.lr=1e-5,1e-4,2e-3"], tmp_path, seeds=1, export=False)
    assert [row.failed for row in found.rows] == [True, True, False]
    assert "not enough memory" in found.rows[0].reason
    assert found.rows[1].reason == "internal error, please report it: RuntimeError: a b"
    assert found.rows[2].parameters == 373_076
    assert found.rows[2].p50_ms is None
    assert found.rows[2].metric is not None and found.rows[2].metric.interval is None
    assert not list(tmp_path.glob("cells/*/bundle"))


def test_killed_it_goes_on_to_the_same_scores(
    made: tuple[Comparison, Path], recipe: Path, tmp_path: Path
) -> None:
    vary = ["compare", recipe, "--vary", VARY[0], "--seeds", 2, "--no-export", "--out", tmp_path / "out"]
    with start_process(*vary) as process:
        end = time.monotonic() + 120
        cell = tmp_path / "out" / "cells" / "training.lr=2e-3"
        while not (cell / "seed-6" / "recipe.json").exists() and time.monotonic() < end:
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    assert (cell / "seed-5" / "trained.json").exists()
    before = (cell / "seed-5" / "trained.json").stat().st_mtime_ns
    found = compare(recipe, VARY[:1], tmp_path / "out", seeds=2, export=False)
    assert (cell / "seed-5" / "trained.json").stat().st_mtime_ns == before
    whole = made[0]
    assert [row.scores for row in found.rows] == [whole.rows[0].scores, whole.rows[2].scores]


def test_another_recipe_in_the_same_place_fails_until_restarted(recipe: Path, tmp_path: Path) -> None:
    vary = ["training.lr=2e-3"]
    assert not compare(recipe, vary, tmp_path, seeds=1, export=False).failed
    weights = tmp_path / "cells" / vary[0] / "seed-5" / "weights.safetensors"
    before = weights.read_bytes()
    other = ["training.batch_size=15"]
    refused = compare(recipe, vary, tmp_path, seeds=1, overrides=other, export=False)
    assert "--restart" in refused.rows[0].reason
    assert weights.read_bytes() == before
    again = compare(recipe, vary, tmp_path, seeds=1, overrides=other, export=False, restart=True)
    assert not again.failed
    assert weights.read_bytes() != before


def test_nothing_ships_is_a_failed_row_with_its_metric(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEWRIGHT_CACHE", "off")
    monkeypatch.setattr("edgewright.exporters.judge.judge.FP32_RELATIVE", -1.0)
    found = compare(recipe, ["training.lr=2e-3"], tmp_path, seeds=1)
    (row,) = found.rows
    assert row.reason.startswith("nothing ships: ")
    assert row.metric is not None
    assert row.ships is None


# What is refused before anything trains


@pytest.mark.parametrize(
    ("vary", "message"),
    [
        ([], "nothing is varied"),
        (["model"], "write it as key=value,value"),
        (["=a"], "write it as key=value,value"),
        (["model=a,,b"], "a value is empty"),
        (["model="], "a value is empty"),
        (["model=a,a"], "a value stands there twice"),
        (["model=a", "model=b"], "given twice"),
        (["transfer.unfreeze=[a,b"], "the closing ] is missing"),
        (["model='a"], "the closing ' is missing"),
        (["training.seed=1,2"], "--seeds"),
        (["training.metric=accuracy,auroc"], "different metrics"),
        (["task=a,b"], "one at a time"),
    ],
)
def test_what_cannot_be_varied(recipe: Path, tmp_path: Path, vary: list[str], message: str) -> None:
    with refused(RecipeError) as error:
        compare(recipe, vary, tmp_path / "out")
    assert message in str(error.value)
    assert not (tmp_path / "out").exists()


def test_a_key_that_no_recipe_has_is_an_error_and_no_table(recipe: Path, tmp_path: Path) -> None:
    with refused(RecipeError):
        compare(recipe, ["training.epoch=1,2"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_two_comparisons_do_not_work_in_one_place(recipe: Path, tmp_path: Path) -> None:
    from edgewright.pipeline.run_dir import lock_run

    with lock_run(tmp_path), refused(MachineError):
        compare(recipe, ["training.lr=1e-3"], tmp_path)


def test_values_are_split_outside_of_brackets_and_quotes() -> None:
    (choice,) = parse_choices(["transfer.unfreeze = all, [layer4, fc],2,'a,b' ,{x: [1,2]}"])
    assert choice.key == "transfer.unfreeze"
    assert choice.values == ("all", "[layer4, fc]", "2", "'a,b'", "{x: [1,2]}")


def test_folders_have_names_of_their_own() -> None:
    assert folder_name(["model=lstm", "training.lr=1e-3"]) == "model=lstm,training.lr=1e-3"
    odd = {folder_name([f"weights=/a/{name}"]) for name in ("b/c", "b_c", "b c")}
    assert len(odd) == 3
    assert all("/" not in name and " " not in name for name in odd)
    assert len(folder_name(["x=" + "y" * 500])) < 100


# The figures


def test_the_interval_is_student_s() -> None:
    found = spread_of([1.0, 2.0, 3.0])
    assert found.mean == 2.0
    assert found.interval is not None
    assert found.interval[1] - 2.0 == pytest.approx(4.302653 / math.sqrt(3), rel=1e-5)
    assert 2.0 - found.interval[0] == pytest.approx(found.interval[1] - 2.0)
    assert spread_of([0.5]).interval is None
    found = spread_of([0.9, 0.99, 0.98], most=1.0)
    assert found.interval is not None and found.interval[0] < 0.9 and found.interval[1] == 1.0
    assert spread_of([0.3, 0.6], most=1.0, least=0.0).interval == (0.0, 1.0)


def test_cells_are_compared_seed_by_seed() -> None:
    assert not cannot_tell_apart(
        [0.9, 0.5, 0.7], [0.88, 0.48, 0.68]
    )  # far apart seeds, the same small lead in each
    assert cannot_tell_apart([0.9, 0.5, 0.7], [0.5, 0.7, 0.9])
    assert cannot_tell_apart([0.9], [0.9])
    assert not cannot_tell_apart([0.9], [0.8])


def comparison(*rows: Row, seeds: tuple[int, ...] = (0, 1, 2)) -> Comparison:
    return Comparison("accuracy", seeds, ("model",), rows)


def row(name: str, scores: tuple[float, ...], **figures: Any) -> Row:
    return Row({"model": name}, scores, spread_of(scores), **figures)


def test_the_text_answers_which_to_use(tmp_path: Path) -> None:
    gru = row("gru", (0.90, 0.92, 0.91), ships="fp32", size_bytes=900_000, p50_ms=2.0, step_us=21.5)
    lstm = row("lstm", (0.91, 0.90, 0.93), ships="int8-dynamic", size_bytes=400_000, p50_ms=1.5, step_us=30.0)
    rnn = row("rnn", (0.60, 0.62, 0.61), ships="fp32", size_bytes=100_000, p50_ms=1.0, step_us=9.0)
    text = comparison_text(comparison(rnn, lstm, gru), tmp_path)
    lines = text.splitlines()
    assert "step us" in lines[0] and "95 % interval" in lines[0]
    assert "best accuracy over 3 seeds: model=lstm" in lines
    assert "not told apart from it by 3 seeds: model=gru" in lines
    assert "of these the smallest: model=lstm" in lines
    assert "of these the fastest step: model=gru" in lines


def test_the_text_of_one_seed_and_of_a_failed_cell(tmp_path: Path) -> None:
    failed = Row({"model": "cnn"}, reason="there is no model 'cnn'")
    text = comparison_text(comparison(row("gru", (0.9,)), failed, seeds=(0,)), tmp_path)
    assert "95 % interval" not in text and "step us" not in text
    assert "model=cnn: there is no model 'cnn'" in text
    assert "FAILED" in text
    assert "add --seeds 3" in text
    nothing = comparison(failed, seeds=(0,))
    assert best_row(nothing) is None
    assert "nothing can be said of which is best" in comparison_text(nothing, tmp_path)


def test_a_cell_that_missed_a_seed_is_never_the_best() -> None:
    assert best_row(comparison(row("a", (0.9, 0.9)), row("b", (0.5, 0.5, 0.5)))) is not None
    best = best_row(comparison(row("a", (0.9, 0.9)), row("b", (0.5, 0.5, 0.5))))
    assert best is not None and best.choice == {"model": "b"}


# The command


def test_the_command_prints_the_table_and_exits_1_for_a_failed_cell(
    cli: Call, made: tuple[Comparison, Path], recipe: Path
) -> None:
    found, out = made
    words = [
        "compare",
        recipe,
        *(word for text in VARY for word in ("--vary", text)),
        "--seeds",
        2,
        "--out",
        out,
    ]
    answer = cli(*words)
    assert answer.code == 1
    assert answer.out.splitlines()[0].split()[:2] == ["training.lr", "transfer.mode"]
    assert answer.out.count("  FAILED") == 2
    assert "best accuracy over 2 seeds: training.lr=2e-3 transfer.mode=fine-tuning" in answer.out
    assert "[4/4] training.lr=1e-5 transfer.mode=feature-extraction" in answer.err
    answer = cli(*words, "--json")
    assert answer.code == 1
    assert answer.json["best"] == {"training.lr": "2e-3", "transfer.mode": "fine-tuning"}
    assert answer.json["failed"] == 2
    assert answer.json["rows"][0]["metric"]["mean"] == pytest.approx(np.mean(found.rows[0].scores))


def test_the_command_exits_0_when_all_is_well(cli: Call, made: tuple[Comparison, Path], recipe: Path) -> None:
    answer = cli("compare", recipe, "--vary", "training.lr=2e-3", "--seeds", 1, "--no-export", "--out",
                 made[1] / "again")  # fmt: skip
    assert answer.code == 0
    assert answer.out.splitlines()[2].startswith("2e-3")
    assert (
        "no recipe" in cli("compare", recipe.with_name("none"), "--vary", "model=a", "--out", made[1]).error()
    )
    assert cli("compare", recipe, "--out", made[1]).code == 2
