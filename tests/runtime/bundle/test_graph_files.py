"""Graphs of a bundle keep to the operators that the manifest lists, and to weights that lie in the bundle."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgewright.runtime.bundle.manifest import Manifest
from edgewright.runtime.bundle.onnx_file import OnnxFile, read_onnx_file
from edgewright.runtime.bundle.opening import open_bundle
from edgewright.runtime.engine import Engine
from edgewright.runtime.errors import BundleError
from tests.messages import refused
from tests.runtime.loops import write_loop
from tests.runtime.small_bundle import colour_image, write_graph, write_manifest


def edited(bundle: Path, change: Callable[[onnx.ModelProto], None], **parts: Any) -> Path:
    """The bundle with a change in its first graph, and with other `parts` of its first variant."""
    manifest = open_bundle(bundle).manifest
    path = bundle / "onnx" / "model.onnx"
    model = onnx.load(path)
    change(model)
    path.write_bytes(model.SerializeToString())
    return with_variant(bundle, manifest, **parts)


def with_variant(bundle: Path, manifest: Manifest, **parts: Any) -> Path:
    first, *others = manifest.variants
    variants = (dataclasses.replace(first, **parts), *others)
    return write_manifest(bundle, dataclasses.replace(manifest, variants=variants))


def inside_a_loop(node: onnx.NodeProto) -> onnx.NodeProto:
    """An If whose branches hold a Loop whose body holds `node`."""
    value = helper.make_tensor_value_info
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), node],
        "body",
        [value("i", TensorProto.INT64, []), value("go", TensorProto.BOOL, [])],
        [value("on", TensorProto.BOOL, [])],
    )
    loop = helper.make_node("Loop", ["", "true"], [], body=body)
    branch = helper.make_graph([loop], "branch", [], [value("end", TensorProto.FLOAT, None)])
    return helper.make_node("If", ["true"], ["end"], then_branch=branch, else_branch=branch)


def add_node(domain: str, deep: bool = False) -> Callable[[onnx.ModelProto], None]:
    def change(model: onnx.ModelProto) -> None:
        node = helper.make_node("Anything", ["mean"], ["odd"], domain=domain)
        model.graph.node.append(inside_a_loop(node) if deep else node)
        model.opset_import.append(helper.make_opsetid(domain, 1))

    return change


# --- domains --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize(
    "domain", ["evil.example", "org.pytorch.aten", "com.microsoft.experimental", "ai.onnx.training"]
)
def test_operators_that_no_bundle_may_use(bundle: Path, domain: str, deep: bool) -> None:
    with refused(BundleError):
        open_bundle(edited(bundle, add_node(domain, deep)))


@pytest.mark.parametrize("deep", [False, True])
def test_operators_that_the_manifest_does_not_list(bundle: Path, deep: bool) -> None:
    path = edited(bundle, add_node("com.microsoft", deep), domains=("",))
    for open_it in (open_bundle, Engine):
        with refused(BundleError):
            open_it(path)


@pytest.mark.parametrize("listed", [(), ("", "com.microsoft"), ("ai.onnx", "com.microsoft", "ai.onnx.ml")])
def test_operators_that_a_bundle_may_use(bundle: Path, listed: tuple[str, ...]) -> None:
    assert (
        open_bundle(edited(bundle, add_node("com.microsoft"), domains=listed)).manifest.variants[0].domains
        == listed
    )


def test_a_list_without_the_standard_operators(bundle: Path) -> None:
    with refused(BundleError):
        open_bundle(with_variant(bundle, open_bundle(bundle).manifest, domains=("com.microsoft",)))


def test_an_import_that_nothing_uses_is_no_operator(bundle: Path) -> None:
    def change(model: onnx.ModelProto) -> None:
        model.opset_import.append(helper.make_opsetid("ai.onnx.training", 1))

    assert Engine(edited(bundle, change), provider="cpu")(colour_image(2)).label == "blue"


@pytest.mark.parametrize("domain", ["", "mine", "com.microsoft"])
def test_functions_of_a_graph_are_refused(bundle: Path, domain: str) -> None:
    def change(model: onnx.ModelProto) -> None:
        body = [helper.make_node("Relu", ["x"], ["y"])]
        opset = [helper.make_opsetid("", 18)]
        model.functions.append(helper.make_function(domain, "Mine", ["x"], ["y"], body, opset))

    with refused(BundleError):
        open_bundle(edited(bundle, change))


@pytest.mark.parametrize("name", ["onnx/model.ort", "onnx/model.onnx.txt", "golden/0.png"])
def test_a_graph_that_would_be_read_as_something_else(bundle: Path, name: str) -> None:
    manifest = open_bundle(bundle).manifest
    if not (bundle / name).exists():
        (bundle / "onnx" / "model.onnx").rename(bundle / name)
    with refused(BundleError):
        open_bundle(with_variant(bundle, manifest, graphs={"model": name}))


# --- weights --------------------------------------------------------------------------------------------------


def outside(place: str) -> Callable[[onnx.ModelProto], None]:
    def change(model: onnx.ModelProto) -> None:
        tensor = model.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=place)

    return change


def outside_of_an_attribute(place: str) -> Callable[[onnx.ModelProto], None]:
    def change(model: onnx.ModelProto) -> None:
        tensor = TensorProto(data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
        tensor.external_data.add(key="location", value=place)
        constant = helper.make_node("Constant", [], ["kept"], value=tensor)
        model.graph.node.append(inside_a_loop(constant))

    return change


PLACES = [
    "/etc/passwd", "../../secret.bin", "unlisted.bin", "../onnx/../../up", "*/_ORT_MEM_ADDR_/*", "", "..\\secret",
    "C:/x", "model.onnx/../../../etc/passwd",
]  # fmt: skip


@pytest.mark.parametrize("where", [outside, outside_of_an_attribute])
@pytest.mark.parametrize("place", PLACES)
def test_weights_that_lie_elsewhere(bundle: Path, where: Any, place: str) -> None:
    (bundle.parent / "secret.bin").write_bytes(bytes(1000))
    path = edited(bundle, where(place))
    with pytest.raises(BundleError, match=r"takes weights from .*, which is no file of the bundle: get"):
        open_bundle(path)
    with pytest.raises(BundleError, match="takes weights from"):
        Engine(path, provider="cpu")


@pytest.mark.parametrize("place", ["weights", "./w.bin", "deep/w.bin", "deep/../w.bin"])
def test_weights_in_the_bundle_count_in_its_answers(bundle: Path, place: str, tmp_path: Path) -> None:
    manifest = open_bundle(bundle).manifest
    path = bundle / "onnx" / "model.onnx"
    found = []
    for turn in (0, 1):
        kernel = np.roll(
            numpy_helper.to_array(onnx.load(bundle / "onnx/model_copy.onnx").graph.initializer[0]), turn, 0
        )
        write_graph(path)
        (bundle / "onnx" / "deep").mkdir(exist_ok=True)
        (bundle / "onnx" / place).write_bytes(kernel.tobytes())
        model = onnx.load(path)
        outside(place)(model)
        path.write_bytes(model.SerializeToString())
        if not any((bundle / "onnx" / "deep").iterdir()):
            (bundle / "onnx" / "deep").rmdir()
        write_manifest(bundle, manifest)
        try:
            found.append(Engine(bundle, provider="cpu")(colour_image(0)).label)
        except BundleError as error:  # this place is not one that ONNX Runtime takes
            assert "deep/.." in place and "onnxruntime" in str(error)
            return
    assert found == ["red", "green"], "one graph with two files of weights: neither answers for the other"


# --- the file itself ------------------------------------------------------------------------------------------


def by_onnx(path: Path) -> OnnxFile:
    """What `read_onnx_file` has to find, by the onnx package."""
    model = onnx.load(path, load_external_data=False)
    graphs, domains, weights = [model.graph], set(), set()
    for graph in graphs:
        tensors = list(graph.initializer)
        for node in graph.node:
            domains.add(node.domain)
            for attribute in node.attribute:
                graphs += [attribute.g, *attribute.graphs]
                tensors += [attribute.t, *attribute.tensors]
        weights |= {
            entry.value for tensor in tensors for entry in tensor.external_data if entry.key == "location"
        }
    return OnnxFile(frozenset(domains), bool(model.functions), frozenset(weights))


@pytest.mark.parametrize(
    "change",
    [
        lambda model: None,
        add_node("a"),
        add_node("b", deep=True),
        outside("w.bin"),
        outside_of_an_attribute("x/y"),
        lambda model: model.graph.node.append(
            inside_a_loop(inside_a_loop(helper.make_node("N", [], [], domain="ü")))
        ),
        lambda model: model.metadata_props.add(key="location", value="no weights"),
    ],
)
def test_what_is_found_is_what_onnx_finds(tmp_path: Path, change: Any) -> None:
    path = tmp_path / "model.onnx"
    write_graph(path)
    model = onnx.load(path)
    change(model)
    path.write_bytes(model.SerializeToString())
    assert read_onnx_file(path) == by_onnx(path)


def test_a_loop_is_walked(tmp_path: Path) -> None:
    write_loop(tmp_path / "loop.onnx", 3)
    assert (
        read_onnx_file(tmp_path / "loop.onnx")
        == by_onnx(tmp_path / "loop.onnx")
        == OnnxFile(frozenset({""}), False, frozenset())
    )


def nested(depth: int) -> bytes:
    """Graphs in attributes of nodes of graphs."""
    content = b""
    for number in (6, 5, 1) * depth:
        length, size = b"", len(content)
        while size > 127:
            length, size = length + bytes([size & 127 | 128]), size >> 7
        content = bytes([number << 3 | 2]) + length + bytes([size]) + content
    return b"\x3a" + varint(len(content)) + content


def varint(value: int) -> bytes:
    found = b""
    while value > 127:
        found, value = found + bytes([value & 127 | 128]), value >> 7
    return found + bytes([value])


@pytest.mark.parametrize(
    "content",
    [
        b"", b"not a graph", b"\x00", bytes(100), b"\x3a", b"\x3a\x05\x0a", b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
        b"\x08" + b"\xff" * 11, b"\x3b\x3c", b"\x09\x01", nested(40), b"\x3a\x05\x0a\x03\x3a\x01\xff",
    ],
)  # fmt: skip
def test_bytes_that_are_no_model(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with refused(BundleError):
        read_onnx_file(path)


def test_a_field_for_every_byte_ends_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgewright.runtime.bundle.onnx_file._MOST_FIELDS", 10_000)
    path = tmp_path / "model.onnx"
    body = b"\x0a\x00" * 20_000  # nodes of nothing
    path.write_bytes(b"\x3a" + varint(len(body)) + body)
    with refused(BundleError):
        read_onnx_file(path)


def test_any_damage_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    write_loop(path, 3)
    whole, random = path.read_bytes(), np.random.default_rng(0)
    for number in range(1000):
        content = bytearray(whole)
        for place in random.integers(len(content), size=1 + number % 3):
            content[place] = int(random.integers(256))
        path.write_bytes(content[: int(random.integers(1, len(content)))] if number % 5 == 0 else content)
        try:
            read_onnx_file(path)
        except BundleError as error:
            assert "\n" not in str(error)
