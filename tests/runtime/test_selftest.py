"""The golden self-test says yes when the device is right, and says why when it is not."""

import dataclasses
import json
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from safetensors.numpy import save_file

from edgewright.runtime.bundle.manifest import Golden, Manifest, Tolerance
from edgewright.runtime.bundle.opening import open_bundle
from edgewright.runtime.contracts import Tensors
from edgewright.runtime.errors import BundleError, MachineError
from edgewright.runtime.self_test import golden_outputs, relative_difference, selftest
from tests.messages import refused
from tests.runtime.encoder_bundle import case, make_encoder_bundle
from tests.runtime.small_bundle import (
    colour_image,
    colour_weights,
    golden_file,
    make_bundle,
    write_graph,
    write_manifest,
)


def test_a_good_bundle_passes(bundle: Path) -> None:
    rows = selftest(bundle)
    assert [row.variant for row in rows] == ["fp32", "copy"]
    assert all(row.passed and row.reason == "" and row.provider == "cpu" for row in rows)
    assert all(row.samples == 3 and row.decisions == 1.0 for row in rows)
    assert rows[0].relative is not None and rows[0].relative < 1e-6
    assert rows[1].relative == pytest.approx(0.001, rel=0.01), "the copy's weights are 0.1 % larger"


def test_chosen_variants(bundle: Path) -> None:
    opened = open_bundle(bundle)
    assert [row.variant for row in selftest(opened, ["copy"], provider="cpu", threads=1)] == ["copy"]
    assert [row.variant for row in selftest(opened, ["auto"])] == ["fp32"]
    assert [row.variant for row in selftest(opened, [])] == ["fp32", "copy"]
    with refused(BundleError):
        selftest(opened, ["int8"])


def replace_variant(manifest: Manifest, tolerance: Tolerance) -> Manifest:
    changed = tuple(dataclasses.replace(variant, tolerance=tolerance) for variant in manifest.variants)
    return dataclasses.replace(manifest, variants=changed)


def test_outputs_outside_the_tolerance(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "b", lambda manifest: replace_variant(manifest, Tolerance(5e-4)))
    good, bad = selftest(bundle)
    assert good.passed and not bad.passed
    assert bad.reason == "outputs differ from torch's by 0.001, 0.0005 is allowed"
    assert bad.decisions == 1.0


def test_a_graph_that_decides_otherwise(bundle: Path) -> None:
    """Weights with red and blue exchanged, digests and all: only the golden answers can tell."""
    manifest = open_bundle(bundle).manifest
    write_graph(bundle / "onnx" / "model.onnx", colour_weights()[[2, 1, 0]])
    write_manifest(bundle, manifest)
    row = selftest(bundle, ["fp32"])[0]
    assert not row.passed and row.decisions == pytest.approx(1 / 3)
    assert "2 of 3 decisions differ from torch's, first on red/photo.png" in row.reason


def test_some_decisions_may_be_allowed_to_differ(bundle: Path) -> None:
    manifest = replace_variant(open_bundle(bundle).manifest, Tolerance(10.0, 0.3))
    write_graph(bundle / "onnx" / "model.onnx", colour_weights()[[2, 1, 0]])
    write_manifest(bundle, manifest)
    assert selftest(bundle, ["fp32"])[0].passed


def test_a_raw_file_that_was_exchanged(bundle: Path) -> None:
    manifest = open_bundle(bundle).manifest
    colour_image(2).save(bundle / "golden" / "0.png")
    write_manifest(bundle, manifest)
    row = selftest(bundle, ["fp32"])[0]
    assert not row.passed and "1 of 3 decisions differ from torch's, first on red/photo.png" in row.reason


def test_a_wrong_mean_is_noticed(bundle: Path) -> None:
    manifest = open_bundle(bundle).manifest
    processor = dict(manifest.processor) | {"mean": [0.45, 0.5, 0.5]}
    write_manifest(bundle, dataclasses.replace(manifest, processor=processor))
    row = selftest(bundle, ["fp32"])[0]
    assert not row.passed and row.relative is not None and row.relative > 1e-2


def test_a_variant_that_cannot_run_here_is_a_row(bundle: Path) -> None:
    manifest = open_bundle(bundle).manifest
    path = bundle / "onnx" / "model_copy.onnx"
    model = onnx.load(path)
    model.graph.node[1].op_type = "OfTomorrow"
    onnx.save(model, path)
    write_manifest(bundle, manifest)
    good, bad = selftest(bundle)
    assert good.passed and not bad.passed
    assert (bad.relative, bad.decisions, bad.provider) == (None, None, None)
    assert "is not a graph that onnxruntime" in bad.reason


def test_a_provider_that_is_not_there_is_a_row(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgewright.runtime.graphs.session.nvidia_driver_present", lambda: False)
    rows = selftest(bundle, provider="cuda")
    assert [row.passed for row in rows] == [False, False]
    assert all("CUDA was asked for" in row.reason for row in rows)


def test_no_onnxruntime_is_an_error(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with refused(MachineError):
        selftest(bundle)


def test_a_golden_image_that_cannot_be_read_is_a_row(bundle: Path) -> None:
    manifest = open_bundle(bundle).manifest
    (bundle / "golden" / "1.png").write_bytes(b"no image")
    write_manifest(bundle, manifest)
    row = selftest(bundle, ["fp32"])[0]
    assert not row.passed and row.provider == "cpu" and "1.png is not a JPEG" in row.reason


def test_no_golden_samples(tmp_path: Path) -> None:
    bundle = make_bundle(
        tmp_path / "b", lambda manifest: dataclasses.replace(manifest, golden=Golden((), "", ()))
    )
    with refused(BundleError):
        selftest(bundle)


@pytest.mark.parametrize("missing", ["end_logits", "start_logits"])
def test_a_golden_output_that_is_missing_is_not_taken_for_a_good_one(tmp_path: Path, missing: str) -> None:
    bundle = make_encoder_bundle(tmp_path / "answers", case("answers"))
    assert all(row.passed for row in selftest(bundle))
    manifest = open_bundle(bundle).manifest
    path = bundle / "golden.safetensors"
    outputs = golden_outputs(open_bundle(bundle))
    for one in outputs:
        del one[missing]
    path.write_bytes(golden_file(outputs))
    write_manifest(bundle, manifest)
    (row, *_) = selftest(bundle)
    assert not row.passed and missing in row.reason


@pytest.mark.parametrize("kind", ["text", "name", "rows", "one less", "digits", "odd type"])
def test_golden_outputs_that_do_not_fit(bundle: Path, kind: str) -> None:
    manifest = open_bundle(bundle).manifest
    path = bundle / "golden.safetensors"
    if kind == "text":
        path.write_bytes(b"no safetensors")
    elif kind == "name":
        save_file({"logits": np.zeros((3, 3), np.float32)}, path)
    elif kind == "one less":
        fewer: list[Tensors] = [{"logits": np.zeros(3), "more": np.zeros(3)}, {"logits": np.zeros(3)}]
        path.write_bytes(golden_file(fewer))
    elif kind == "digits":
        save_file({"9" * 5000 + ".logits": np.zeros(3, np.float32)}, path)
    elif kind == "odd type":
        header = json.dumps({"0.logits": {"dtype": "F8_E4M3", "shape": [3], "data_offsets": [0, 3]}}).encode()
        path.write_bytes(len(header).to_bytes(8, "little") + header + b"abc")
    else:
        path.write_bytes(golden_file([{"logits": np.zeros(3, np.float32)}] * 2))
    write_manifest(bundle, manifest)
    with refused(BundleError):
        selftest(bundle)


def test_relative_difference() -> None:
    expected: list[Tensors] = [{"a": np.array([1.0, -4.0], np.float32)}, {"a": np.array([8.0], np.float32)}]
    near: list[Tensors] = [{"a": np.array([1.0, -3.0], np.float32)}, expected[1]]
    assert relative_difference(near, expected) == 0.125
    more: list[Tensors] = [{**one, "more": np.zeros(1)} for one in expected]
    assert relative_difference(more, expected) == 0
    others: tuple[Tensors, ...] = ({}, {"a": np.zeros(3)}, {"a": np.array([1.0, np.nan])})
    for other in others:
        assert relative_difference([other, expected[1]], expected) == float("inf")
    zero: list[Tensors] = [{"a": np.zeros(2)}]
    assert relative_difference([{"a": np.zeros(2)}], zero) == 0
    assert relative_difference([{"a": np.full(2, 1e-9)}], zero) == float("inf")
