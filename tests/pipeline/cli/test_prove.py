"""`edgewright prove`: a bundle is proven on a CPU that is not here, and says so."""

import dataclasses
import sys
from pathlib import Path

import pytest

from edgewright.pipeline.stages.prove import CLASSES
from edgewright.runtime import open_bundle
from edgewright.runtime.bundle.manifest import Manifest, Proof
from edgewright.runtime.graphs.proven import best_proven
from edgewright.runtime.graphs.session_options import cpu_class
from tests.command import Call, content_of
from tests.messages import plain
from tests.runtime.small_bundle import colour_weights, make_bundle, write_graph
from tests.test_saturation import emulator

AVX2 = CLASSES["x86-64-avx2"]


def test_what_passes_is_proven_and_what_does_not_is_not(tmp_path: Path, cli: Call) -> None:
    emulator()
    root = tmp_path / "bundle"

    def change(manifest: Manifest) -> Manifest:
        write_graph(root / "onnx" / "model_copy.onnx", colour_weights()[::-1].copy())
        return manifest

    before = content_of(make_bundle(root, change))
    told = cli("prove", root, "--json")
    assert told.code == 1 and told.json["on"] == AVX2
    assert {row["variant"]: row["passed"] for row in told.json["rows"]} == {"fp32": True, "copy": False}
    proven = {
        one.name: {proof.on: proof.how for proof in one.proven} for one in open_bundle(root).manifest.variants
    }
    assert proven == {"fp32": {AVX2: "emulated"}, "copy": {AVX2: "not"}}
    after = content_of(root)
    assert {name for name in after if after[name] != before.get(name)} == {"edgewright.json"}
    assert cli("prove", root, "--json").json == told.json and content_of(root) == after
    assert f"proven on {AVX2}, emulated: fp32" in cli("prove", root).out


def with_python(tmp_path: Path, program: str) -> str:
    """Words for `--python` that run `program` in the place of a Python."""
    file = tmp_path / "python.py"
    file.write_text(program, encoding="utf-8")
    return f"{sys.executable} {file}"


STAND_IN = """
import json, sys
row = {{"variant": sys.argv[-1], "provider": "cpu", "samples": 3, "relative": 0.0, "relative_allowed": 1.0,
       "decisions": 1.0, "decisions_needed": 1.0, "passed": True, "reason": ""}}
print(json.dumps({{"on": "{on}", "onnxruntime": "1.30.0", "row": row}}))
"""


def test_another_class_by_another_python(tmp_path: Path, cli: Call) -> None:
    def change(manifest: Manifest) -> Manifest:
        first, second = manifest.variants
        measured = Proof("arm64", "measured", "1.24.0")
        other = Proof("cuda", "measured", "1.24.0")
        return dataclasses.replace(
            manifest,
            default_variant="copy",
            variants=(
                dataclasses.replace(first, proven=(measured,)),
                dataclasses.replace(second, proven=(Proof("arm64", "not", "1.24.0"), other)),
            ),
        )

    root = make_bundle(tmp_path / "bundle", change)
    assert best_proven(open_bundle(root), "arm64").name == "fp32"
    told = cli("prove", root, "--on", "arm64", "--python", with_python(tmp_path, STAND_IN.format(on="arm64")))
    assert told.code == 0, told.err
    first, second = open_bundle(root).manifest.variants
    assert first.proven == (Proof("arm64", "measured", "1.24.0"),)  # what was measured says more
    assert second.proven == (Proof("cuda", "measured", "1.24.0"), Proof("arm64", "emulated", "1.30.0"))
    assert best_proven(open_bundle(root), "arm64").name == "copy"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--on", "arm64"), "give --python"),
        (("--python", "no-such-emulator python3"), "no-such-emulator is not installed"),
        (("--python", "'unclosed"), "quote it as a shell does"),
        (("--python", " "), "is not installed"),
        (("--python", f"{sys.executable} -c pass"), "printed no result"),
        (("--python", f"{sys.executable} -c 'raise SystemExit(3)'"), "it said nothing"),
        (
            ("--python", f"{sys.executable} -c 'import time; time.sleep(60)'", "--timeout", "1"),
            "longer than 1 s",
        ),
    ],
)
def test_what_cannot_be_proven_is_one_line(
    tmp_path: Path, cli: Call, words: tuple[str, ...], message: str
) -> None:
    root = make_bundle(tmp_path / "bundle")
    before = content_of(root)
    assert message in plain(cli("prove", root, *words).error())
    assert content_of(root) == before


def test_a_python_that_stands_for_another_class_proves_nothing(tmp_path: Path, cli: Call) -> None:
    root = make_bundle(tmp_path / "bundle")
    other = "arm64" if cpu_class() != "arm64" else "x86-64-avx2"
    told = cli("prove", root, "--on", other, "--python", with_python(tmp_path, STAND_IN.format(on="riscv64")))
    assert "stands for riscv64, not for" in told.error()
    assert all(one.proven == () for one in open_bundle(root).manifest.variants)
