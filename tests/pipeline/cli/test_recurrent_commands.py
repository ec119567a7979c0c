"""Every command on one recurrent run and its bundle; compare over the three cells."""

from pathlib import Path

import pytest

from tests.command import Call, run_process

pytestmark = pytest.mark.xdist_group("pipeline-cli-recurrent_commands")  # what these tests share is made once

RECIPE = """\
task: sequence-classification
model: lstm
data: {source: "builtin:digits-rows", train_per_class: 20, evaluation: 0.1}
network: {hidden: 16}
training: {epochs: 3, batch_size: 32, lr: 1e-2}
variants: [fp32, int8-dynamic]
budget: {max_drop: 0.2}
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a recipe, its run and its bundle."""
    folder = tmp_path_factory.mktemp("rows")
    (folder / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
    answer = run_process("ship", folder / "recipe.yaml", "--out", folder / "bundle")
    assert answer.code == 0, answer.err
    (folder / "ship.txt").write_text(answer.out, encoding="utf-8")
    return folder


def test_ship_shows_the_step_of_every_variant(made: Path) -> None:
    lines = (made / "ship.txt").read_text(encoding="utf-8").splitlines()
    header = next(line for line in lines if line.startswith("variant "))
    assert "step us" in header and "step x torch" in header
    (row,) = [line for line in lines if line.startswith("int8-dynamic ")]
    assert all(float(cell) > 0 for cell in row.split()[-3:-1])
    assert any(line.startswith("int8-dynamic: DynamicQuantizeLSTM") for line in lines)


def test_the_ladder_has_its_streaming_rung(cli: Call, made: Path) -> None:
    assert cli("verify", made / "bundle").code == 0
    answer = cli("verify", made / "bundle", "--against", made / "bundle.run", "--json")
    assert answer.code == 0
    streamed = [rung for rung in answer.json["rungs"] if rung["name"] == "stream"]
    assert {rung["variant"] for rung in streamed} == {"fp32", "int8-dynamic"}
    assert {rung["status"] for rung in streamed} == {"ok"}


def test_bench_measures_a_step_and_its_ratio_to_torch(cli: Call, made: Path) -> None:
    words = ("bench", made / "bundle", "--seconds", 0.2, "--threads", 1)
    for row in cli(*words, "--against", made / "bundle.run", "--json").json:
        assert 0 < row["step_us"] < row["p50_ms"] * 1e3
        assert row["step_ratio_to_torch"] > 1
    alone = cli(*words, "--variant", "fp32").out.splitlines()
    assert alone[0].split("  ")[-1] == "step x torch"
    assert alone[2].split()[-1] == "-"
    assert float(alone[2].split()[-2]) > 0


def test_bench_of_another_task_s_run_is_one_line(cli: Call, made: Path, shipped: object) -> None:
    run = shipped.run  # type: ignore[attr-defined]
    line = cli("bench", made / "bundle", "--against", run, "--seconds", 0.1).error()
    assert "name the run that it was exported from" in line


def test_bench_of_a_run_with_other_columns_is_one_line(cli: Call, made: Path, tmp_path: Path) -> None:
    rows = [f"{row},{row + 0.5},{row % 2}" for row in range(60)]
    (tmp_path / "t.csv").write_text("\n".join(["id,x,label", *rows]), encoding="utf-8")
    recipe = RECIPE.replace(
        '{source: "builtin:digits-rows", train_per_class: 20,', "{source: t.csv, series: id,"
    )
    (tmp_path / "recipe.yaml").write_text(recipe.replace("epochs: 3", "epochs: 1"), encoding="utf-8")
    assert cli("fit", tmp_path / "recipe.yaml", "--out", tmp_path / "run").code == 0
    line = cli("bench", made / "bundle", "--against", tmp_path / "run", "--seconds", 0.1).error()
    assert "name the run that it was exported from" in line


def test_a_bundle_is_no_place_for_a_run(cli: Call, made: Path) -> None:
    before = sorted(made.rglob("*"))
    for words in (("fit",), ("fit", "--restart"), ("compare", "--vary", "model=gru")):
        line = cli(*words, made / "recipe.yaml", "--out", made / "bundle").error()
        assert "is a bundle, not a run directory: name another folder" in line
    assert sorted(made.rglob("*")) == before
    assert cli("verify", made / "bundle").code == 0


def test_gradients_and_layers_of_the_run(cli: Call, made: Path) -> None:
    answer = cli("gradients", made / "bundle.run")
    assert (answer.code, answer.err) == (0, "")
    assert "layers.0: " in answer.out and "before the first epoch" in answer.out
    (first, *_) = cli("gradients", made / "bundle.run", "--json").json["epochs"]
    assert [len(layer["norms"]) for layer in first["layers"]] == [8]
    rows = cli("layers", made / "bundle.run", "--json").json["rows"]
    assert {row["type"] for row in rows} == {"LSTM", "Linear"}


def test_golden_rows_are_predicted_whole_and_streamed_alike(cli: Call, made: Path) -> None:
    whole = cli("predict", made / "bundle", made / "bundle" / "golden", "--json").json["answers"]
    streamed = cli("predict", made / "bundle", made / "bundle" / "golden", "--stream", "--json").json[
        "answers"
    ]
    last = {record["input"]: record["labels"][0]["label"] for record in streamed}
    assert last == {record["input"]: record["labels"][0]["label"] for record in whole}
    assert len(streamed) == 8 * len(whole)


def test_compare_over_the_three_cells(cli: Call, made: Path) -> None:
    answer = cli(
        "compare", made / "recipe.yaml", "--vary", "model=rnn,gru,lstm", "--vary", "network.readout=last,middle",
        "--seeds", 1, "--set", "training.epochs=1", "--set", "variants=[fp32]", "--out", made / "compared", "--json",
    )  # fmt: skip
    assert answer.code == 1
    rows = answer.json["rows"]
    good, bad = rows[::2], rows[1::2]
    assert [row["choice"]["model"] for row in good] == ["rnn", "gru", "lstm"]
    assert [row["reason"] for row in good] == [""] * 3
    counts = [row["parameters"] for row in good]
    assert counts == sorted(counts) and len(set(counts)) == 3
    assert all(0 < row["step_us"] < 1e3 * row["p50_ms"] for row in good)
    assert all("network.readout" in row["reason"] for row in bad)
