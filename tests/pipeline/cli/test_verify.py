"""`edgewright verify`: yes or no, without torch and against the run."""

import dataclasses
from pathlib import Path

from edgewright.runtime import open_bundle
from tests.command import Call, Shipped, spoil_bundle
from tests.runtime.recurrent_bundle import case, make_recurrent_bundle
from tests.runtime.small_bundle import write_manifest

VARIANTS = ["fp32", "fp16", "int8-dynamic", "int8-static"]


def test_a_good_bundle_gets_a_yes(cli: Call, shipped: Shipped) -> None:
    answer = cli("verify", shipped.bundle)
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.splitlines()[-1] == "yes: this device gives torch's answers"
    for variant in VARIANTS:
        assert f"\n{variant} " in answer.out


def test_as_json(cli: Call, shipped: Shipped) -> None:
    answer = cli("verify", shipped.bundle, "--json", "--provider", "cpu")
    assert (answer.code, answer.err) == (0, "")
    assert answer.json["passed"] is True
    assert [row["variant"] for row in answer.json["rows"]] == VARIANTS
    for row in answer.json["rows"]:
        assert row["passed"] is True
        assert row["relative"] <= row["relative_allowed"]
        assert row["decisions"] == 1.0
        assert row["provider"] == "cpu"


def test_wrong_answers_under_right_digests_get_a_no(cli: Call, shipped: Shipped, tmp_path: Path) -> None:
    bundle = spoil_bundle(shipped.copy_bundle(tmp_path / "bundle"), "fp16")
    answer = cli("verify", bundle)
    assert (answer.code, answer.err) == (1, "")
    assert answer.out.splitlines()[-1] == "NO: this device does not give torch's answers"
    assert "\nfp16: outputs differ from torch's by" in answer.out
    answer = cli("verify", bundle, "--json")
    assert answer.code == 1
    assert answer.json["passed"] is False
    assert [row["variant"] for row in answer.json["rows"] if not row["passed"]] == ["fp16"]


def test_against_its_run_every_rung_holds(cli: Call, shipped: Shipped) -> None:
    answer = cli("verify", shipped.bundle, "--against", shipped.run, "--json")
    assert (answer.code, answer.err) == (0, "")
    rungs = answer.json["rungs"]
    assert [rung["name"] for rung in rungs if rung["status"] == "ok"][:3] == ["encode", "export", "fusion"]
    assert {rung["name"] for rung in rungs} == {
        "encode",
        "export",
        "fusion",
        "precision",
        "provider",
        "decode",
    }
    assert not [rung for rung in rungs if rung["status"] == "failed"]


def test_against_its_run_the_first_bad_rung_is_named(cli: Call, shipped: Shipped, tmp_path: Path) -> None:
    bundle = shipped.copy_bundle(tmp_path / "bundle")
    manifest = open_bundle(bundle).manifest
    processor = {**manifest.processor, "mean": [0.9, 0.1, 0.5]}
    write_manifest(bundle, dataclasses.replace(manifest, processor=processor))
    answer = cli("verify", bundle, "--against", shipped.run)
    assert (answer.code, answer.err) == (1, "")
    assert answer.out.splitlines()[-1] == "NO: the first bad rung is encode"


def test_against_what_is_not_its_run(cli: Call, shipped: Shipped, tmp_path: Path) -> None:
    assert "there is no run" in cli("verify", shipped.bundle, "--against", tmp_path / "none").error()
    assert "not a finished run" in cli("verify", shipped.bundle, "--against", tmp_path).error()
    bundle = shipped.copy_bundle(tmp_path / "bundle")
    manifest = open_bundle(bundle).manifest
    write_manifest(bundle, dataclasses.replace(manifest, labels=("a", "b", "c", "d")))
    assert "has other labels" in cli("verify", bundle, "--against", shipped.run).error()


def test_against_another_run_of_the_same_kind(cli: Call, shipped: Shipped, tmp_path: Path) -> None:
    other = tmp_path / "other.run"
    assert cli("fit", shipped.recipe, "--out", other, "--set", "training.seed=7").code == 0
    message = cli("verify", shipped.bundle, "--against", other).error()
    assert "was made from another model than that of" in message and str(other) in message
    assert cli("verify", shipped.bundle, "--against", shipped.run).code == 0


def test_against_a_run_of_another_task(cli: Call, shipped: Shipped, tmp_path: Path) -> None:
    bundle = make_recurrent_bundle(tmp_path / "bundle", case("sequence-regression"))
    message = cli("verify", bundle, "--against", shipped.run).error()
    assert "is for sequence-regression" in message and "trained image-classification" in message
