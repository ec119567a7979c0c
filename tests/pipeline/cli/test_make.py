"""The commands that make something: fit, export, ship; and what stops them."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.command import Call, Shipped, content_of, environment, start_anew, start_process


def test_fit_of_a_finished_run_reports_it(cli: Call, shipped: Shipped, tmp_path: Path) -> None:
    run = shipped.copy_run(tmp_path / "run")
    answer = cli("fit", shipped.recipe, "--out", run, "--json")
    assert answer.code == 0
    assert answer.json.keys() == {"weights", "metrics", "rates", "epochs", "digests", "notes"}
    assert answer.json["weights"] == str(run / "weights.safetensors")
    assert answer.json["epochs"] == 6
    assert answer.json["metrics"].keys() == {"validation", "evaluation"}
    assert answer.json["metrics"]["evaluation"]["accuracy"] > 0.9
    text = cli("fit", shipped.recipe, "--out", run).out
    assert "evaluation      144" in text
    assert f"next: edgewright export {run} --out bundle/" in text
    assert (run / "weights.safetensors").read_bytes() == shipped.weights


def test_export_of_a_finished_run(cli: Call, shipped: Shipped, tmp_path: Path) -> None:
    run, bundle = shipped.copy_run(tmp_path / "run"), tmp_path / "bundle"
    answer = cli("export", run, "--out", bundle, "--variants", "fp32, fp16", "--json")
    assert (answer.code, answer.err) == (0, "")
    assert answer.json.keys() == {"bundle", "passed", "failed_demands", "verdict"}
    assert (answer.json["bundle"], answer.json["passed"]) == (str(bundle), True)
    assert [row["name"] for row in answer.json["verdict"]["rows"]] == ["fp32", "fp16"]
    assert {file.name for file in (bundle / "onnx").iterdir()} == {"model.onnx", "model_fp16.onnx"}


def test_the_report_of_ship(shipped: Shipped) -> None:
    assert shipped.report.keys() == {"bundle", "passed", "failed_demands", "verdict"}
    assert shipped.report["passed"] is True
    assert shipped.report["failed_demands"] == []
    assert shipped.report["verdict"]["ships"] in ("int8-static", "fp16", "fp32", "int8-dynamic")


def test_export_of_what_is_not_a_run(cli: Call, shipped: Shipped, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    assert "there is no run" in cli("export", tmp_path / "none", "--out", bundle).error()
    assert "not a finished run (recipe.json is missing)" in cli("export", tmp_path, "--out", bundle).error()
    half = shipped.copy_run(tmp_path / "half")
    (half / "weights.safetensors").unlink()
    assert "holds no trained weights" in cli("export", half, "--out", bundle).error()
    (half / "recipe.json").write_text("{")
    assert "--restart" in cli("export", half, "--out", bundle).error()
    assert not bundle.exists()


@pytest.mark.parametrize(
    ("variants", "expected"),
    [
        ("fp32,int9", "--variants: unknown variant 'int9'"),
        ("fp16", "--variants: fp32 is missing"),
        ("fp32,fp32", "--variants: a variant is listed twice"),
        ("", "--variants: fp32 is missing"),
    ],
)
def test_impossible_variants(
    cli: Call, shipped: Shipped, tmp_path: Path, variants: str, expected: str
) -> None:
    line = cli("export", shipped.run, "--out", tmp_path / "bundle", "--variants", variants).error()
    assert expected in line


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("training", "--set training: write it as key=value"),
        ("training.epoch=2", "training.epoch: unknown key (did you mean 'epochs'?)"),
        ("training.epochs=many", "training.epochs: expected a whole number, found 'many'"),
        ("training.epochs=0", "training.epochs: "),
        ("training.epochs=[", "--set training.epochs"),
        ("model=resnt18", "did you mean resnet18"),
        ("data=builtin:digitz", "did you mean"),
        ("data=./no-photos", "no-photos"),
        ("weights=none.pth", "none.pth"),
        ("transfer.mode=feature-extraction", "feature-extraction"),
        ("variants=[fp16]", "fp32 is missing"),
        ("task=image-clasification", "did you mean"),
    ],
)
def test_set_errors_are_one_line_and_leave_no_bundle(
    cli: Call, shipped: Shipped, tmp_path: Path, override: str, expected: str
) -> None:
    for command in ("fit", "ship"):
        assert (
            expected in cli(command, shipped.recipe, "--out", tmp_path / command, "--set", override).error()
        )
    assert not (tmp_path / "ship").exists()
    # a recipe that never trained does not claim the folder
    assert not list(tmp_path.rglob("recipe.json"))


def test_several_problems_are_a_line_each(cli: Call, shipped: Shipped, tmp_path: Path) -> None:
    words = ["--set", "training.epochs=x", "--set", "budget.max_drop=7"]
    answer = cli("ship", shipped.recipe, "--out", tmp_path / "out", *words)
    assert (answer.code, answer.out) == (1, "")
    assert [line.split(":")[:3] for line in answer.err.splitlines()] == [
        ["edgewright", " recipe.yaml", " training.epochs"],
        ["edgewright", " recipe.yaml", " budget.max_drop"],
    ]


@pytest.mark.parametrize("content", ["", "- 1\n", "task: [", "\x00\x01", "task: image-classification\n"])
def test_what_is_not_a_recipe(cli: Call, tmp_path: Path, content: str) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(content)
    answer = cli("ship", recipe, "--out", tmp_path / "out")
    assert (answer.code, answer.out) == (1, "")
    assert answer.err
    assert all(line.startswith("edgewright: ") and "recipe.yaml" in line for line in answer.err.splitlines())


def test_no_recipe_at_all(cli: Call, tmp_path: Path) -> None:
    (tmp_path / "digits.yaml").touch()
    assert (
        "did you mean 'digits.yaml'" in cli("fit", tmp_path / "digit.yaml", "--out", tmp_path / "run").error()
    )
    assert "not a file" in cli("fit", tmp_path, "--out", tmp_path / "run").error()


def test_another_recipe_under_a_run_is_refused_by_name(cli: Call, shipped: Shipped, tmp_path: Path) -> None:
    run = shipped.copy_run(tmp_path / "run")
    words = ["--set", "training.lr=0.5", "--set", "training.epochs=1"]
    line = cli("fit", shipped.recipe, "--out", run, *words).error()
    assert "training.epochs, training.lr differ" in line
    assert "--restart" in line
    assert (run / "weights.safetensors").read_bytes() == shipped.weights


def test_restart_trains_anew_and_leaves_what_is_not_the_run_s(
    cli: Call, shipped: Shipped, tmp_path: Path
) -> None:
    run = shipped.copy_run(tmp_path / "run")
    (run / "notes.txt").write_text("mine")
    answer = cli("fit", shipped.recipe, "--out", run, "--restart", "--set", "training.epochs=1", "--json")
    assert (answer.code, answer.json["epochs"]) == (0, 1)
    assert (run / "weights.safetensors").read_bytes() != shipped.weights
    assert not (run / "export").exists()
    assert (run / "notes.txt").read_text() == "mine"


def test_restart_with_a_mistyped_model_costs_nothing(cli: Call, shipped: Shipped, tmp_path: Path) -> None:
    run = shipped.copy_run(tmp_path / "run")
    before = content_of(run)
    line = cli("fit", shipped.recipe, "--out", run, "--restart", "--set", "model=resnt18").error()
    assert "did you mean resnet18" in line
    assert content_of(run) == before


def test_a_run_of_other_data_is_refused(cli: Call, shipped: Shipped, tmp_path: Path) -> None:
    run = shipped.copy_run(tmp_path / "run")
    data = json.loads((run / "data.json").read_bytes())
    data["splits"]["train"] = data["splits"]["train"][:-1]
    (run / "data.json").write_text(json.dumps(data))
    line = cli("fit", shipped.recipe, "--out", run).error()
    assert "the data changed since the training" in line
    assert "--restart" in line


def test_a_run_that_another_process_holds_is_refused(cli: Call, shipped: Shipped, tmp_path: Path) -> None:
    run = shipped.copy_run(tmp_path / "run")
    program = (
        "import sys\nfrom pathlib import Path\nfrom edgewright.pipeline.run_dir import lock_run\n"
        "with lock_run(Path(sys.argv[1])):\n    print('held', flush=True)\n    sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(run)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        for words in (
            ("fit", shipped.recipe, "--out", run),
            ("fit", shipped.recipe, "--out", run, "--restart"),
            ("export", run, "--out", tmp_path / "bundle"),
            ("ship", shipped.recipe, "--run", run, "--out", tmp_path / "bundle"),
        ):
            assert "another process is working in" in cli(*words).error()
        holder.kill()
    assert cli("fit", shipped.recipe, "--out", run).code == 0


def test_the_folder_one_stands_in_is_no_place_for_a_bundle(
    cli: Call, shipped: Shipped, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for place in (".", "..", "/", tmp_path):
        for words in (("ship", shipped.recipe), ("export", shipped.run)):
            answer = cli(*words, "--out", place)
            assert (answer.code, answer.out) == (2, "")
            assert "name a folder of its own" in answer.err


def test_interrupted_training_says_one_line_and_goes_on(cli: Call, shipped: Shipped, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with start_process("fit", shipped.recipe, "--out", run) as process:
        end = time.monotonic() + 120
        while not any((run / "checkpoints").glob("*")):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < end
            time.sleep(0.002)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    lines = [line for line in err.splitlines() if line and not line.startswith("builtin:digits")]
    assert lines == ["edgewright: interrupted; nothing written before is lost, the same command continues"]
    assert not (run / "weights.safetensors").exists()
    assert cli("fit", shipped.recipe, "--out", run).code == 0
    assert (run / "weights.safetensors").read_bytes() == shipped.weights


def test_interrupted_while_it_starts_there_is_no_traceback(shipped: Shipped, tmp_path: Path) -> None:
    """While torch is being imported: that is when most people notice a typing error."""
    process = start_anew("fit", shipped.recipe, "--out", tmp_path / "run")
    loaded, deadline = Path(f"/proc/{process.pid}/maps"), time.monotonic() + 60
    while "libtorch" not in loaded.read_text(encoding="utf-8") and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert "Traceback" not in err
    assert len([line for line in err.splitlines() if line]) == 1


def test_without_the_training_packages_it_says_what_to_install(tmp_path: Path) -> None:
    program = "import sys\nsys.modules['torch'] = None\nfrom edgewright.pipeline.cli.main import main\nmain()"
    done = subprocess.run(
        [sys.executable, "-c", program, "export", str(tmp_path), "--out", str(tmp_path / "bundle")],
        capture_output=True, text=True, check=False, env=environment(),
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert "needs the package 'torch': pip install 'edgewright[train]'" in line
