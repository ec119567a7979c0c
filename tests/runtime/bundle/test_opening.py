"""Bundles that are not what their manifest says do not open."""

import dataclasses
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from edgewright.runtime.bundle.files import sha256_of_file
from edgewright.runtime.bundle.manifest import MANIFEST_NAME, MAX_MANIFEST_BYTES, SCHEMA_VERSION, sealed_json
from edgewright.runtime.bundle.opening import open_bundle
from edgewright.runtime.contracts import TensorSpec
from edgewright.runtime.engine import Engine
from edgewright.runtime.errors import BundleError
from tests.messages import refused
from tests.runtime.small_bundle import make_bundle, with_graph, write_manifest


def refusal(bundle: Path) -> str:
    """The message with which `bundle` is refused: one line."""
    with pytest.raises(BundleError) as caught:
        open_bundle(bundle)
    message = str(caught.value)
    assert "\n" not in message and ": " in message
    return message


def edit(bundle: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = bundle / MANIFEST_NAME
    document = json.loads(path.read_text())
    change(document)
    path.write_text(sealed_json(document))


def test_a_whole_bundle_opens(bundle: Path) -> None:
    opened = open_bundle(str(bundle))
    assert opened.root == bundle and opened.manifest.model == "colours"
    assert opened.path("onnx/model.onnx") == bundle / "onnx" / "model.onnx"
    assert opened.digest("onnx/model.onnx") == sha256_of_file(bundle / "onnx" / "model.onnx")
    for method in (opened.path, opened.digest):
        with refused(BundleError):
            method("onnx/other.onnx")


def test_a_link_to_the_whole_bundle_opens(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "current").symlink_to(bundle)
    assert open_bundle(tmp_path / "current").manifest.model == "colours"


def test_two_packs_are_the_same_bytes(tmp_path: Path) -> None:
    one, two = make_bundle(tmp_path / "one"), make_bundle(tmp_path / "two")
    assert (one / MANIFEST_NAME).read_bytes() == (two / MANIFEST_NAME).read_bytes()


# --- files ------------------------------------------------------------------------------------------------


def remove_file(bundle: Path) -> None:
    (bundle / "onnx" / "model.onnx").unlink()


def remove_folder(bundle: Path) -> None:
    shutil.rmtree(bundle / "golden")


def add_file(bundle: Path) -> None:
    (bundle / "onnx" / "weights.pkl").write_bytes(b"cos\nsystem\n(S'false'\ntR.")


def add_folder(bundle: Path) -> None:
    (bundle / "onnx" / "more").mkdir()


def truncate(bundle: Path) -> None:
    path = bundle / "onnx" / "model.onnx"
    path.write_bytes(path.read_bytes()[:-1])


def enlarge(bundle: Path) -> None:
    with (bundle / "golden.safetensors").open("ab") as file:
        file.truncate(1 << 40)  # a sparse file of a terabyte: refused by its size, never read


def alter(bundle: Path) -> None:
    path = bundle / "golden" / "1.png"
    content = bytearray(path.read_bytes())
    content[50] ^= 1
    path.write_bytes(content)


def link_to_a_copy(bundle: Path) -> None:
    path = bundle / "onnx" / "model.onnx"
    path.rename(bundle.parent / "elsewhere.onnx")
    path.symlink_to(bundle.parent / "elsewhere.onnx")


def link_inside(bundle: Path) -> None:
    (bundle / "onnx" / "model.onnx").unlink()
    (bundle / "onnx" / "model.onnx").symlink_to("model_copy.onnx")


def link_nowhere(bundle: Path) -> None:
    (bundle / "onnx" / "model.onnx").unlink()
    (bundle / "onnx" / "model.onnx").symlink_to("nothing")


def link_a_folder(bundle: Path) -> None:
    (bundle / "onnx").rename(bundle.parent / "onnx")
    (bundle / "onnx").symlink_to(bundle.parent / "onnx")


def link_extra(bundle: Path) -> None:
    (bundle / "passwords").symlink_to("/etc/passwd")


def hard_link(bundle: Path) -> None:
    os.link(bundle / "onnx" / "model.onnx", bundle.parent / "other-name.onnx")


def link_manifest(bundle: Path) -> None:
    (bundle / MANIFEST_NAME).rename(bundle.parent / "manifest.json")
    (bundle / MANIFEST_NAME).symlink_to(bundle.parent / "manifest.json")


def pipe(bundle: Path) -> None:
    (bundle / "onnx" / "model.onnx").unlink()
    os.mkfifo(bundle / "onnx" / "model.onnx")


def pipe_manifest(bundle: Path) -> None:
    (bundle / MANIFEST_NAME).unlink()
    os.mkfifo(bundle / MANIFEST_NAME)


def folder_for_file(bundle: Path) -> None:
    (bundle / "onnx" / "model.onnx").unlink()
    (bundle / "onnx" / "model.onnx").mkdir()


def folder_for_manifest(bundle: Path) -> None:
    (bundle / MANIFEST_NAME).unlink()
    (bundle / MANIFEST_NAME).mkdir()


def no_manifest(bundle: Path) -> None:
    (bundle / MANIFEST_NAME).unlink()


def no_bundle(bundle: Path) -> None:
    shutil.rmtree(bundle)


def file_for_bundle(bundle: Path) -> None:
    shutil.rmtree(bundle)
    bundle.write_text("not a folder")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (remove_file, "onnx/model.onnx is missing from the bundle"),
        (remove_folder, "golden/0.png is missing from the bundle"),
        (add_file, "holds a file 'onnx/weights.pkl' that it should not"),
        (add_folder, "holds a folder 'onnx/more' that it should not"),
        (truncate, "onnx/model.onnx in the bundle has .* bytes instead of"),
        (enlarge, "golden.safetensors in the bundle has 1099511627776 bytes"),
        (alter, "golden/1.png in the bundle has been altered"),
        (link_to_a_copy, "onnx/model.onnx in the bundle is a link"),
        (link_inside, "onnx/model.onnx in the bundle is a link"),
        (link_nowhere, "onnx/model.onnx in the bundle is a link"),
        (link_a_folder, "onnx in the bundle is a link"),
        (link_extra, "passwords in the bundle is a link"),
        (hard_link, "onnx/model.onnx in the bundle is a hard link"),
        (link_manifest, "edgewright.json in the bundle is a link"),
        (pipe, "onnx/model.onnx in the bundle is not a regular file"),
        (pipe_manifest, "edgewright.json in the bundle is not a regular file"),
        (folder_for_file, "holds a folder 'onnx/model.onnx'"),
        (folder_for_manifest, "edgewright.json in the bundle is not a regular file"),
        (no_manifest, "is not a bundle, it has no edgewright.json"),
        (no_bundle, "does not exist"),
        (file_for_bundle, "is not a folder"),
    ],
)
def test_a_damaged_bundle(bundle: Path, damage: Callable[[Path], None], message: str) -> None:
    damage(bundle)
    with pytest.raises(BundleError, match=message):
        open_bundle(bundle)
    refusal(bundle)


@pytest.mark.parametrize("path", ["a\0b", "x" * 5000])
def test_a_path_that_no_system_can_have(path: str) -> None:
    with refused(BundleError):
        open_bundle(path)


def test_an_unreadable_file(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> str:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(
        "edgewright.runtime.bundle.opening.sha256_of_file", refuse
    )  # root may read everything
    assert "cannot be read (Permission denied)" in refusal(bundle)


def test_every_flipped_bit_and_every_truncation_is_found(bundle: Path) -> None:
    opened = open_bundle(bundle)
    random = np.random.default_rng(0)
    paths = [bundle / MANIFEST_NAME, *(bundle / entry.path for entry in opened.manifest.files)]
    originals = {path: path.read_bytes() for path in paths}
    for number in range(1200):
        path = paths[int(random.integers(len(paths)))]
        content = bytearray(originals[path])
        if number % 6:
            content[int(random.integers(len(content)))] ^= 1 << int(random.integers(8))
        else:
            content = content[: int(random.integers(len(content)))]
        path.write_bytes(content)
        with pytest.raises(BundleError, match=path.name):
            open_bundle(bundle)
        path.write_bytes(originals[path])
    open_bundle(bundle)


def test_every_bit_of_a_manifest_counts(bundle: Path) -> None:
    manifest = bundle / MANIFEST_NAME
    original = manifest.read_bytes()
    random = np.random.default_rng(1)
    for place in random.permutation(len(original))[:1200]:
        content = bytearray(original)
        content[place] ^= 1 << int(random.integers(8))
        manifest.write_bytes(content)
        assert MANIFEST_NAME in refusal(bundle)
    manifest.write_bytes(original)
    open_bundle(bundle)


def test_an_oversized_manifest_is_not_read(bundle: Path) -> None:
    with (bundle / MANIFEST_NAME).open("ab") as file:
        file.truncate(MAX_MANIFEST_BYTES + 1)
    assert "more than the 16777216 allowed" in refusal(bundle)


# --- manifest ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "broken JSON at line 1"),
        (b"{", "broken JSON"),
        (b"[]", "not an object"),
        (b"null", "not an object"),
        (b'{"task": 1, "task": 2}', "a key occurs twice"),
        (b'{"seed": NaN}', "NaN is not JSON"),
        (b'{"seed": -Infinity}', "Infinity is not JSON"),
        (b'{"variants": [{"tolerance": {"relative": 1e999}}]}', "1e999 is beyond every number"),
        (b'{"seed": -1.5e400}', "-1.5e400 is beyond every number"),
        (b"\xff\xfe\xfa", "UTF-8|broken JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"verdict": ' + b'{"a":' * 5000 + b"1" + b"}" * 5001, "nested too deeply"),
        (b'{"seed": ' + b"9" * 10_000 + b"}", "integer string conversion|digits"),
        (b'{"schema_version": 99}', "schema version 99, .* up to 2.*update edgewright"),
        (b'{"schema_version": 1, "task": "t"}', "an older edgewright .*'edgewright export RUN --out BUNDLE'"),
        (b'{"schema_version": 0}', "schema_version 0 is unknown"),
        (b'{"schema_version": 2}', "it has been altered, its digest differs"),
        (b'{"schema_version": 2, "digest": 7}', "it has been altered, its digest differs"),
        (sealed_json({"schema_version": 2}).encode(), "task: missing"),
        (sealed_json({"schema_version": 2}).encode() + b" ", "it is not written as edgewright writes it"),
        (
            sealed_json({"schema_version": 2, "seed": 1e5}).replace("100000.0", "1e5").encode(),
            "not written as",
        ),
        (b"{}", "schema_version: expected int, found NoneType"),
    ],
)
def test_a_manifest_that_is_no_manifest(bundle: Path, text: bytes, message: str) -> None:
    (bundle / MANIFEST_NAME).write_bytes(text)
    with pytest.raises(BundleError, match=message):
        open_bundle(bundle)
    refusal(bundle)


def put(key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda document: document.__setitem__(key, value)


def rename_first_file(path: str) -> Callable[[dict[str, Any]], None]:
    return lambda document: document["files"][0].__setitem__("path", path)


OUTSIDE = [
    "../secret", "golden/../../secret", "/etc/passwd", "C:\\secret", "C:secret", "a\\b", "", ".", "golden/",
    "golden//1.png", "golden/./1.png", "nul", "golden/CON.png", "a\nb", "a\0b", "name.", "name ", "x" * 600,
    "a:b", "a*", "\\\\server\\share",
]  # fmt: skip


@pytest.mark.parametrize("path", OUTSIDE)
def test_a_path_outside_of_the_bundle(bundle: Path, path: str) -> None:
    edit(bundle, rename_first_file(path))
    assert "no file inside the bundle" in refusal(bundle)


def with_state(**changed: Any) -> Callable[[dict[str, Any]], None]:
    """A state more, with something changed."""
    state = {"input": "kept", "output": "next", "shape": ["batch", 2], "initial": 0.0}
    state |= {"dtype": "float32", "grows": None}
    return lambda document: document["graphs"]["model"].update(states=[{**state, **changed}])


def with_capacity(axis: str, size: int) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        with_state(shape=["batch", "past"], grows="past")(document)
        document["graphs"]["model"].update(capacity={axis: size})

    return change


def with_tolerance(**changed: Any) -> Callable[[dict[str, Any]], None]:
    return lambda document: document["variants"][0]["tolerance"].update(changed)


def with_axes(*shape: int | str) -> Callable[[dict[str, Any]], None]:
    return lambda document: document["graphs"]["model"]["inputs"][0].update(shape=list(shape))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put("schema_version", 3), "schema version 3"),
        (put("schema_version", 0), "schema_version 0 is unknown"),
        (put("schema_version", True), "schema_version: expected int"),
        (put("schema_version", "1"), "schema_version: expected int"),
        (put("task", 5), "task: expected str, found int"),
        (put("seed", 1.5), "seed: expected int, found float"),
        (put("labels", "red"), "labels: expected a list, found str"),
        (put("labels", ["a", 2]), "labels.1: expected str"),
        (put("surprise", 1), "surprise: unknown key"),
        (put("variants", []), "variants: empty"),
        (put("inputs", []), "inputs: unknown key"),
        (put("graphs", {}), "graphs: there is none that answers a whole input"),
        (
            lambda d: d["graphs"]["model"].update(inputs=[]),
            "graphs: the inputs or outputs of model are empty",
        ),
        (
            lambda d: d["graphs"].update(step=d["graphs"]["model"]),
            "variants: fp32 has other graphs than model, step",
        ),
        (
            lambda d: d["graphs"]["model"].update(constants={"pixel_values": "encoder.keys"}),
            "graphs: model takes 'encoder.keys', which no graph gives",
        ),
        (
            lambda d: d["graphs"]["model"].update(constants={"picture": "model.logits"}),
            "graphs: model: it has no inputs picture",
        ),
        (with_state(shape=["batch", "past", "wide"], grows="past"), "the axes of the state 'kept' are"),
        (with_state(shape=[1, "past"], grows="past"), "the axes of the state 'kept' are"),
        (with_state(shape=["batch", "past"]), "the axes of the state 'kept' are"),
        (with_state(shape=["batch", 4], grows="past"), "the axes of the state 'kept' are"),
        (with_state(shape=["batch", 0]), "the axes of the state 'kept' are"),
        (with_state(shape=["batch", 4], dtype="text"), "the state 'kept' is of the type 'text'"),
        (with_capacity("other", 3), "no state grows to the capacity"),
        (with_capacity("past", 0), "no state grows to the capacity"),
        (put("contract", {"bits": "8"}), "contract: expected InputContract or NoneType"),
        (put("decision", {"threshold": 0.5, "above": 1}), "decision: expected Decision or NoneType"),
        (lambda d: d["variants"][0].update(proven=[{"on": "cuda"}]), "variants.0.proven.0.how: missing"),
        (put("default_variant", "int4"), "default_variant 'int4' is not one of fp32, copy"),
        (lambda d: d["variants"].append(d["variants"][0]), "two variants have the same name"),
        (lambda d: d["variants"][0]["graphs"].update(model="onnx/none.onnx"), "used but not listed"),
        (lambda d: d["golden"]["samples"].pop(), "samples and decisions differ"),
        (lambda d: d["golden"].update(outputs="nothing"), "nothing is used but not listed"),
        (lambda d: d["golden"]["samples"][0].update(file="../x"), "used but not listed"),
        (lambda d: d["files"].append(dict(d["files"][0])), "two files have the same name"),
        (
            lambda d: d["files"].append(d["files"][0] | {"path": d["files"][0]["path"].upper()}),
            "two files have the same name",
        ),
        (lambda d: d["files"][0].update(sha256="0" * 63), "digest or size of .* is malformed"),
        (lambda d: d["files"][0].update(sha256="A" * 64), "digest or size of .* is malformed"),
        (lambda d: d["files"][0].update(size=-1), "digest or size of .* is malformed"),
        (lambda d: d["files"][0].update(size=1.0), "size: expected int"),
        (lambda d: d["files"][0].update(sha256="0" * 64), "has been altered"),
        (lambda d: d["files"].pop(0), "golden/0.png is used but not listed"),
        (lambda d: d["files"].append(d["files"][0] | {"path": "extra.bin"}), "extra.bin is missing"),
        (lambda d: d["files"].append(d["files"][0] | {"path": "onnx"}), "onnx is missing"),
        (lambda d: d.pop("golden"), "golden: missing"),
        (lambda d: d.pop("schema_version"), "schema_version: expected int, found NoneType"),
        (with_tolerance(relative=-1), "tolerance.relative is -1.0, it has to be from 0 to 1000"),
        (with_tolerance(relative=1e300), r"tolerance.relative is 1e\+300"),
        (with_tolerance(decisions=2.0), "tolerance.decisions is 2.0, it has to be from 0 to 1"),
        (with_tolerance(decisions=-0.5), "tolerance.decisions is -0.5"),
        (put("labels", ["red", "green", "red"]), "labels: 'red' occurs twice"),
        (put("labels", ["red", "", "blue"]), "labels: one is empty"),
        (lambda d: d["variants"][1].update(name="auto"), "none can be called 'auto'"),
        (lambda d: d["variants"][1].update(name=""), "none can be called ''"),
        (lambda d: d["variants"][0].update(domains=["", "my.own"]), "lists the operators of 'my.own'"),
        (put("seed", -1), "seed is -1, it has to be from 0"),
        (put("seed", 1 << 64), "seed is 18446744073709551616, it has to be from 0"),
        (put("task", ""), "task: empty"),
        (with_axes("batch", 3, 0, 16), "graphs: model: the axes of 'pixel_values' are"),
        (with_axes("batch", -3, 16, 16), "graphs: model: the axes of 'pixel_values' are"),
        (with_axes("batch", 3, 1 << 20, 1 << 20), "graphs: model: the axes of 'pixel_values' are"),
        (with_axes("", 3, 16, 16), "graphs: model: a tensor or an axis has no name"),
        (
            lambda d: d["graphs"]["model"].update(outputs=d["graphs"]["model"]["outputs"] * 2),
            "two tensors have the same name",
        ),
        (with_state(shape=["batch", 1 << 40]), "the axes of the state 'kept' are"),
        (with_capacity("past", 1 << 40), "the capacity .* is out of bounds"),
        (put("decision", {"threshold": 2.0}), "decision.threshold is 2.0"),
        (put("decision", {"reject_below": -0.1}), "decision.reject_below is -0.1"),
        (put("decision", {"temperature": 0.0}), "decision.temperature is 0.0, it has to be above 0"),
        (put("contract", {"bits": 0}), "contract.bits is 0"),
        (put("contract", {"window": [5.0, 5.0]}), "contract.window .* does not begin below its end"),
    ],
)
def test_a_manifest_with_one_wrong_value(
    bundle: Path, change: Callable[[dict[str, Any]], None], message: str
) -> None:
    edit(bundle, change)
    with pytest.raises(BundleError, match=message):
        open_bundle(bundle)
    refusal(bundle)


def test_the_schema_version_is_the_one_tested() -> None:
    assert SCHEMA_VERSION == 2


# --- what only the engine can see -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": ("red", "green")}, "output 'logits' of batch x 2 float32"),
        ({"labels": ()}, "needs labels"),
        ({"task": "image-clasification"}, "did you mean image-classification"),
        ({"task": "speech"}, "does not know the task 'speech'"),
        ({"processor": {}}, "processor.resize: missing"),
    ],
)
def test_a_manifest_that_does_not_fit_the_model(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    bundle = make_bundle(tmp_path / "odd", lambda manifest: dataclasses.replace(manifest, **change))
    with pytest.raises(BundleError, match=message):
        Engine(bundle)


def test_a_crop_that_the_graph_does_not_take(bundle: Path) -> None:
    edit(bundle, lambda document: document["processor"].update(crop=[16, 17]))
    with refused(BundleError):
        Engine(bundle)


def test_a_graph_that_differs_from_the_manifest(bundle: Path) -> None:
    manifest = open_bundle(bundle).manifest
    path = bundle / "onnx" / "model.onnx"
    model = onnx.load(path)
    model.graph.input[0].name = model.graph.node[0].input[0] = "picture"
    onnx.save(model, path)
    write_manifest(bundle, manifest)
    with refused(BundleError):
        Engine(bundle)


def test_a_bundle_with_the_names_of_before_says_so_in_one_line(bundle: Path) -> None:
    manifest = open_bundle(bundle).manifest
    for variant in manifest.variants:
        path = bundle / variant.graphs["model"]
        model = onnx.load(path)
        model.graph.input[0].name = model.graph.node[0].input[0] = "image"
        onnx.save(model, path)
    before = dataclasses.replace(manifest.graphs["model"].inputs[0], name="image")
    write_manifest(bundle, with_graph(manifest, inputs=(before,)))
    with refused(BundleError):
        Engine(bundle)


def test_what_is_there_for_other_tools_is_named_and_not_asked_for(bundle: Path) -> None:
    manifest = open_bundle(bundle).manifest
    path = bundle / "onnx" / "model.onnx"
    model = onnx.load(path)
    shape: tuple[int | str, ...] = ("batch", 3, 16, 16)
    model.graph.output.insert(0, onnx.helper.make_tensor_value_info("kept", onnx.TensorProto.FLOAT, shape))
    onnx.save(model, path)
    write_manifest(bundle, manifest)
    with refused(BundleError):
        Engine(bundle)
    write_manifest(bundle, with_graph(manifest, extra=(TensorSpec("kept", "float32", shape),)))
    with Engine(bundle) as engine:
        assert engine.infer(np.zeros((2, 3, 16, 16), np.float32)).keys() == {"logits"}
        assert engine(bundle / "golden" / "1.png").label == manifest.labels[1]


def test_a_graph_that_is_no_graph(bundle: Path) -> None:
    manifest = open_bundle(bundle).manifest
    (bundle / "onnx" / "model.onnx").write_bytes(b"not a graph")
    write_manifest(bundle, manifest)
    with refused(BundleError):
        Engine(bundle)


def test_a_variant_without_a_graph(bundle: Path) -> None:
    edit(bundle, lambda document: document["variants"][0].update(graphs={"encoder": "onnx/model.onnx"}))
    assert "variants: fp32 has other graphs than model" in refusal(bundle)


def test_an_unknown_variant(bundle: Path) -> None:
    with refused(BundleError):
        Engine(bundle, variant="int8")
