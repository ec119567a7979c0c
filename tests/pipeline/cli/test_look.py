"""The commands that only look: models, layers, doctor, bench."""

from pathlib import Path

import onnx
import pytest

from tests.command import Call, Shipped, spoil_bundle


def test_models_as_a_table(cli: Call) -> None:
    answer = cli("models", "resnet1")
    assert (answer.code, answer.err) == (0, "")
    (row,) = [line for line in answer.out.splitlines() if line.startswith("resnet18 ")]
    assert row.split()[1:4] == ["11.7", "M", "224x224"]


def test_models_as_json(cli: Call) -> None:
    answer = cli("models", "mobilenet_v*", "--json")
    assert answer.code == 0
    assert {entry["name"] for entry in answer.json} == {
        "mobilenet_v2", "mobilenet_v3_large", "mobilenet_v3_small",
    }  # fmt: skip
    for entry in answer.json:
        assert {"name", "library", "parameters", "input_size", "licence"} <= entry.keys()


def test_timm_models(cli: Call) -> None:
    answer = cli("models", "timm:*inception_v4*")
    assert answer.code == 0
    assert "timm:inception_v4" in answer.out


def test_models_without_a_pattern_names_all_and_timm(cli: Call) -> None:
    answer = cli("models")
    assert len(answer.out.splitlines()) > 60
    assert "edgewright models 'timm:*'" in answer.out


def test_no_model_that_matches(cli: Call) -> None:
    assert "no model matches 'resnt'" in cli("models", "resnt").error()
    answer = cli("models", "resnt", "--json")
    assert (answer.code, answer.json, len(answer.err.splitlines())) == (1, [], 1)


def test_layers_of_a_model(cli: Call) -> None:
    answer = cli("layers", "resnet18", "--unfreeze", "layer4,fc", "--json")
    assert (answer.code, answer.err) == (0, "")
    assert (answer.json["model"], answer.json["parameters"]) == ("resnet18", 11_689_512)
    states = {row["name"]: row["state"] for row in answer.json["rows"]}
    assert states["fc"] == "trainable"
    assert states["conv1"] == "frozen"
    assert sum(row["parameters"] for row in answer.json["rows"]) == 11_689_512
    norms = {row["name"]: row["batchnorm"] for row in answer.json["rows"] if "bn" in row["name"]}
    assert norms["bn1"] != norms["layer4.0.bn1"]


def test_layers_of_a_run(cli: Call, shipped: Shipped) -> None:
    answer = cli("layers", shipped.run)
    assert (answer.code, answer.err) == (0, "")
    last = answer.out.splitlines()[-1]
    assert last.startswith("timm:test_resnet: ")
    total, trainable = (word.replace(",", "") for word in (last.split()[1], last.split()[3]))
    assert total == trainable
    assert cli("layers", shipped.run, "--unfreeze", "1", "--json").json["trainable"] == 4 * 96 + 4


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["resnt18"], "did you mean resnet18"),
        (["./nothing"], "there is no run ./nothing"),
        (
            ["resnet18", "--unfreeze", "layr4"],
            "--unfreeze: resnet18 has no layer 'layr4': did you mean layer4",
        ),
        (["resnet18", "--unfreeze", "99"], "--unfreeze: resnet18 has 6 blocks"),
        (["resnet18", "--unfreeze", ""], "--unfreeze:"),
    ],
)
def test_layers_of_what_is_not_there(cli: Call, words: list[str], expected: str) -> None:
    assert expected in cli("layers", *words).error()


def test_layers_of_a_folder_that_is_no_run(cli: Call, tmp_path: Path) -> None:
    assert "not a finished run" in cli("layers", tmp_path).error()


def test_doctor_as_json(cli: Call) -> None:
    answer = cli("doctor", "--no-hub", "--json")
    assert (answer.code, answer.err) == (0, "")
    assert answer.json.keys() == {
        "python", "system", "cpu", "cores", "cpu_class", "features", "int8_saturates", "versions", "providers", "hubs",
        "advice",
    }  # fmt: skip
    assert answer.json["hubs"] == {}
    assert answer.json["versions"]["torch"]
    assert any(entry["starts"] and "CPU" in entry["name"] for entry in answer.json["providers"])


def test_doctor_for_a_person(cli: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgewright.pipeline.stages.doctor._reachable", lambda host: "pytorch" in host)
    answer = cli("doctor")
    assert (answer.code, answer.err) == (0, "")
    assert "reachable     torchvision weights" in answer.out
    assert "out of reach  Hugging Face hub" in answer.out


def test_bench_of_all_variants_against_torch(cli: Call, shipped: Shipped) -> None:
    answer = cli(
        "bench", shipped.bundle, "--seconds", 0.1, "--against", shipped.run, "--json", "--threads", 1
    )
    assert (answer.code, answer.err) == (0, "")
    assert [row["variant"] for row in answer.json] == ["fp32", "fp16", "int8-dynamic", "int8-static"]
    for row in answer.json:
        assert row.keys() == {
            "variant", "provider", "p50_ms", "p95_ms", "throughput", "start_ms", "peak_mb", "ratio_to_torch", "step_us",
            "step_ratio_to_torch",
        }  # fmt: skip
        assert 0 < row["p50_ms"] <= row["p95_ms"]
        assert row["provider"] == "cpu"
        assert row["ratio_to_torch"] > 0
        # the process that measures, not this one, which holds torch
        assert 20 < row["peak_mb"] < 300


def test_bench_of_one_variant_without_torch(cli: Call, shipped: Shipped) -> None:
    answer = cli(
        "bench", shipped.bundle, "--seconds", 0.1, "--variant", "auto", "--batch", 2, "--provider", "cpu"
    )
    assert (answer.code, answer.err) == (0, "")
    header, _, row = answer.out.splitlines()
    assert "answers/s (batch 2)" in header
    assert row.startswith(shipped.report["verdict"]["ships"])
    assert row.split()[-1] == "-"


def test_bench_of_what_is_not_there(cli: Call, shipped: Shipped, tmp_path: Path) -> None:
    assert "no variant 'x'" in cli("bench", shipped.bundle, "--variant", "x").error()
    assert "does not exist" in cli("bench", tmp_path / "none").error()
    assert (
        "no trained weights" in cli("bench", shipped.bundle, "--against", tmp_path, "--seconds", 0.1).error()
    )


def test_bench_says_in_one_line_what_its_process_met(cli: Call, shipped: Shipped, tmp_path: Path) -> None:
    bundle = shipped.copy_bundle(tmp_path / "bundle")

    def rename(graph: Path) -> None:
        model = onnx.load(graph)
        model.graph.node[0].op_type = "NoSuchOperator"
        onnx.save(model, graph)

    spoil_bundle(bundle, "fp32", rename)
    line = cli("bench", bundle, "--variant", "fp32", "--seconds", 0.1).error()
    assert line.startswith("fp32 cannot be measured: ")
    assert "errors." not in line
