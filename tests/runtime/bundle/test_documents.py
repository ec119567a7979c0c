"""Strict JSON, the manifest, and files written whole or not at all."""

import dataclasses
import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgewright.runtime import errors
from edgewright.runtime.bundle.files import (
    canonical_json,
    explain_os_error,
    sha256_of_bytes,
    sha256_of_file,
    write_atomically,
    write_json,
    write_text,
)
from edgewright.runtime.bundle.manifest import (
    MANIFEST_NAME,
    check_relative_path,
    manifest_from_json,
    manifest_to_json,
    sealed_json,
)
from edgewright.runtime.bundle.replacing import replace_directory
from edgewright.runtime.bundle.structure import StructureError, from_plain, parse_json, to_plain
from edgewright.runtime.errors import BundleError, EdgewrightError, MachineError
from tests.messages import refused


@dataclasses.dataclass(frozen=True)
class Inner:
    number: float
    names: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Outer:
    inner: Inner
    pair: tuple[int, int] | None
    table: dict[str, Inner]
    anything: Any = None


PLAIN = {
    "inner": {"number": 1.5, "names": ["a"]},
    "pair": [1, 2],
    "table": {"x": {"number": 1, "names": []}},
    "anything": {"deep": [1, None, True]},
}


def test_round_trip() -> None:
    value = from_plain(Outer, PLAIN)
    assert value.inner == Inner(1.5, ("a",)) and value.pair == (1, 2) and value.table["x"].number == 1.0
    assert from_plain(Outer, parse_json(canonical_json(to_plain(value)))) == value


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"inner": 5}, "inner: expected an object, found int"),
        ({"inner": {}}, "inner.number: missing"),
        ({"inner": {"number": "1"}}, "inner.number: expected float, found str"),
        ({"inner": {"number": True}}, "inner.number: expected float, found bool"),
        ({"inner": {"number": 1, "name": []}}, "inner.name: unknown key"),
        ({"inner": {"number": 1, "names": [1]}}, "inner.names.0: expected str"),
        ({"pair": [1]}, "pair: expected"),
        ({"pair": [1, 2.0]}, "pair: expected"),
        ({"table": []}, "table: expected an object, found list"),
        ({"table": {"y": None}}, "table.y: expected an object"),
    ],
)
def test_wrong_structure(change: dict[str, Any], message: str) -> None:
    with pytest.raises(StructureError, match=message):
        from_plain(Outer, PLAIN | change)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [1.0, float("-inf")]])
def test_what_json_cannot_hold_is_not_written(value: Any) -> None:
    with pytest.raises(StructureError, match="cannot be written as JSON"):
        to_plain(value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(value=JSON)
def test_canonical_json_comes_back_the_same(value: Any) -> None:
    assert parse_json(canonical_json(value)) == value


@settings(max_examples=300, deadline=None)
@given(content=st.binary(max_size=200))
def test_any_bytes_are_json_or_a_structure_error(content: bytes) -> None:
    try:
        parse_json(content)
    except StructureError as error:
        assert "\n" not in str(error)


def paths_of(value: Any, prefix: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a document."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, item in items for place in [(*prefix, key), *paths_of(item, (*prefix, key))]]


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_any_value_anywhere_in_a_manifest(data: st.DataObject) -> None:
    """Any JSON value at any place: a BundleError of one line, or a manifest that survives a round trip."""
    document = json.loads(EXAMPLE)
    place = data.draw(st.sampled_from(paths_of(document)))
    holder = document
    for key in place[:-1]:
        holder = holder[key]
    holder[place[-1]] = data.draw(JSON)
    try:
        manifest = manifest_from_json(sealed_json(document))
    except BundleError as error:
        assert "\n" not in str(error)
    else:
        assert manifest_from_json(manifest_to_json(manifest)) == manifest


NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(1 << 70), 1 << 70)


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_any_number_in_the_place_of_another(data: st.DataObject) -> None:
    """A manifest that is let through means something, whatever the numbers in it were."""
    document = json.loads(EXAMPLE)
    document["decision"] = {"threshold": 0.5, "temperature": 1.0, "reject_below": 0.1}
    document["variants"][0]["tolerance"]["decisions"] = 1.0
    numbers = [
        place
        for place in paths_of(document)
        if isinstance(at(document, place), (int, float)) and place[0] != "golden"
    ]
    for place in data.draw(st.lists(st.sampled_from(numbers), min_size=1, max_size=3)):
        at(document, place[:-1])[place[-1]] = data.draw(NUMBERS)
    try:
        manifest = manifest_from_json(sealed_json(document))
    except BundleError as error:
        assert "\n" not in str(error)
        return
    (variant,) = manifest.variants
    assert 0 <= variant.tolerance.relative <= 1000 and 0 <= variant.tolerance.decisions <= 1
    assert manifest.decision is not None
    assert 0 <= (manifest.decision.threshold or 0) <= 1 and (manifest.decision.temperature or 1) > 0
    assert 0 <= manifest.seed < 1 << 64 and all(entry.size >= 0 for entry in manifest.files)
    for spec in (*manifest.graphs["model"].inputs, *manifest.graphs["model"].outputs):
        assert all(axis == "batch" or 1 <= int(axis) <= 1 << 28 for axis in spec.shape)


def at(document: Any, place: tuple[Any, ...]) -> Any:
    """The value at a place of a document."""
    for key in place:
        document = document[key]
    return document


EXAMPLE = """{
  "task": "image-classification", "model": "m", "processor": {}, "labels": ["a"],
  "graphs": {"model": {
    "inputs": [{"name": "pixel_values", "dtype": "float32", "shape": ["batch", 3, 8, 8]}],
    "outputs": [{"name": "logits", "dtype": "float32", "shape": ["batch", 1]}]
  }},
  "variants": [{"name": "fp32", "graphs": {"model": "m.onnx"}, "tolerance": {"relative": 1e-4}}],
  "default_variant": "fp32",
  "files": [
    {"path": "m.onnx", "sha256": "DIGEST", "size": 3},
    {"path": "g.png", "sha256": "DIGEST", "size": 3}
  ],
  "golden": {"samples": [{"id": "x", "file": "g.png"}], "outputs": "m.onnx", "decisions": [0]},
  "verdict": {}, "versions": {}, "licence": "MIT", "seed": 0, "schema_version": 2
}""".replace("DIGEST", "0" * 64)


@given(path=st.text(max_size=30))
def test_a_path_that_is_let_through_stays_inside(path: str) -> None:
    try:
        check_relative_path(path)
    except BundleError as error:
        assert MANIFEST_NAME in str(error) and "\n" not in str(error)
        return
    root = Path("/bundle")
    assert Path(os.path.normpath(root / path)) == root / path
    assert (root / path).is_relative_to(root) and root / path != root


# --- files ------------------------------------------------------------------------------------------------


def test_digests(tmp_path: Path) -> None:
    content = os.urandom(3 << 20)
    (tmp_path / "file").write_bytes(content)
    assert sha256_of_file(tmp_path / "file") == sha256_of_bytes(content)


def test_a_failed_write_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file.txt"
    write_text(path, "old")
    with pytest.raises(RuntimeError), write_atomically(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old" and list(path.parent.iterdir()) == [path]
    write_json(path, {"b": 1, "a": 2})
    assert path.read_text() == '{\n  "a": 2,\n  "b": 1\n}\n'


def test_a_failed_directory_leaves_what_was_there(tmp_path: Path) -> None:
    target = tmp_path / "target"
    replace_directory(target, lambda folder: write_text(folder / "a" / "one", "1"))

    def fail(folder: Path) -> None:
        write_text(folder / "two", "2")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        replace_directory(target, fail)
    assert (target / "a" / "one").read_text() == "1" and list(tmp_path.iterdir()) == [target]
    replace_directory(target, lambda folder: write_text(folder / "three", "3"))
    assert [path.name for path in target.iterdir()] == ["three"] and list(tmp_path.iterdir()) == [target]


def test_a_file_where_a_folder_is_needed(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with refused(MachineError):
        write_text(tmp_path / "file" / "inside", "y")


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.ENOSPC, "no disk space left while writing .*: free some space"),
        (errno.EDQUOT, "no disk space left"),
        (errno.EACCES, "choose a folder you may write to"),
        (errno.EROFS, "choose a folder you may write to"),
        (errno.EIO, "cannot write .*: Input/output error"),
    ],
)
def test_trouble_with_the_disk_is_one_line(
    tmp_path: Path, number: int, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, content: bytes) -> int:
        raise OSError(number, os.strerror(number))

    write_text(tmp_path / "file", "old")
    monkeypatch.setattr(Path, "write_bytes", refuse)
    with pytest.raises(MachineError, match=message) as caught:
        write_text(tmp_path / "file", "new")
    monkeypatch.undo()
    assert "\n" not in str(caught.value)
    assert (tmp_path / "file").read_text() == "old" and len(list(tmp_path.iterdir())) == 1


def test_an_error_without_a_number() -> None:
    assert "odd" in str(explain_os_error(OSError("odd"), Path("x")))


def test_messages_cannot_break_a_line_or_steer_a_terminal() -> None:
    hostile = "a\nb\r\x1b[2J\x07\udcffé日 c"
    assert str(BundleError(hostile)) == r"a\nb\r\x1b[2J\x07\udcff" + "é日 c"
    assert str(errors.RecipeError("one\ntwo\x1b")) == "one\ntwo\\x1b", (
        "a recipe has one line for each problem"
    )
    assert str(BundleError()) == ""


def test_every_error_is_one_of_ours() -> None:
    ours = [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and kind.__module__ == errors.__name__
    ]
    assert len(ours) > 5 and all(issubclass(kind, EdgewrightError) for kind in ours)
