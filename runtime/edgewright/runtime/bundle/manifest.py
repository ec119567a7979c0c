"""The manifest: the only contract between the workstation that made a bundle and the device that runs it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from edgewright.runtime.bundle.files import canonical_json
from edgewright.runtime.bundle.structure import StructureError, from_plain, parse_json, to_plain
from edgewright.runtime.contracts import Streaming, TensorSpec
from edgewright.runtime.errors import BundleError

MANIFEST_NAME = "edgewright.json"
SCHEMA_VERSION = 1
MAX_MANIFEST_BYTES = 16 << 20

_SHA256 = re.compile(r"[0-9a-f]{64}")
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?")


@dataclass(frozen=True)
class FileEntry:
    """One file of the bundle: path relative to the bundle, hex SHA-256, size in bytes."""

    path: str
    sha256: str
    size: int


@dataclass(frozen=True)
class Tolerance:
    """How far a device's outputs may lie from torch's on the golden samples.

    `relative` is the largest absolute difference divided by the largest absolute value torch gave for that
    output. `decisions` is the share of golden samples whose decision must equal torch's.
    """

    relative: float
    decisions: float = 1.0


@dataclass(frozen=True)
class Variant:
    """One precision of the model that passed its verdict.

    `graphs` maps a role ("model", "step", later "encoder", "decoder", ...) to the file of that graph.
    """

    name: str
    graphs: Mapping[str, str]
    tolerance: Tolerance


@dataclass(frozen=True)
class GoldenSample:
    """One raw input kept in the bundle: the id it had in the user's data and its file."""

    id: str
    file: str


@dataclass(frozen=True)
class Golden:
    """What torch answered to a few raw inputs.

    `outputs` is a safetensors file; it holds one tensor per graph output, rows in the order of `samples`.
    `decisions` holds what torch decided for each sample, in the task's own terms (a label's index for
    classification).
    """

    samples: tuple[GoldenSample, ...]
    outputs: str
    decisions: tuple[Any, ...]


@dataclass(frozen=True)
class Manifest:
    """Everything a device needs to know. `processor` belongs to the task; the runtime never sees a model's
    name in code.

    `assets` maps a role that the task knows ("tokenizer") to a file of the bundle. With `streaming` every variant has a
    graph "step" beside its "model".
    """

    task: str
    model: str
    processor: Mapping[str, Any]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    labels: tuple[str, ...]
    variants: tuple[Variant, ...]
    default_variant: str
    files: tuple[FileEntry, ...]
    golden: Golden
    verdict: Mapping[str, Any]
    versions: Mapping[str, str]
    licence: str
    seed: int
    assets: Mapping[str, str] = field(default_factory=dict)
    streaming: Streaming | None = None
    schema_version: int = field(default=SCHEMA_VERSION)

    def variant(self, name: str) -> Variant:
        """The variant called `name`, or the one that ships for "auto". Raises `BundleError` with the names
        there are.
        """
        wanted = self.default_variant if name == "auto" else name
        for variant in self.variants:
            if variant.name == wanted:
                return variant
        names = ", ".join(variant.name for variant in self.variants)
        raise BundleError(f"the bundle has no variant {name!r}: choose one of auto, {names}")


def check_relative_path(path: str) -> str:
    """Return `path` if it names a file inside the bundle on every platform, else raise `BundleError`."""
    parts = path.split("/")
    bad = (
        not path
        or len(path) > 512
        or any(character in path for character in '\\:*?"<>|')
        or any(ord(character) < 32 for character in path)
        or any(
            part in ("", ".", "..") or part.endswith((".", " ")) or _RESERVED.fullmatch(part)
            for part in parts
        )
        or PurePosixPath(path).is_absolute()
    )
    if bad:
        raise BundleError(
            f"{MANIFEST_NAME} names {path!r}, which is no file inside the bundle: get a fresh copy of it"
        )
    return path


def manifest_to_json(manifest: Manifest) -> str:
    """Canonical JSON: the same manifest is always the same bytes."""
    return canonical_json(to_plain(manifest))


def manifest_from_json(text: str | bytes) -> Manifest:
    """Read and check a manifest. Raises `BundleError` naming the first thing that is wrong."""
    try:
        document = parse_json(text)
        if not isinstance(document, dict):
            raise StructureError("the document is not an object")
        version = document.get("schema_version")
        if isinstance(version, int) and not isinstance(version, bool) and version > SCHEMA_VERSION:
            raise BundleError(
                f"{MANIFEST_NAME} has schema version {version}, this one reads up to {SCHEMA_VERSION}: "
                "update edgewright on this machine"
            )
        manifest = from_plain(Manifest, document)
    except StructureError as error:
        raise BundleError(f"{MANIFEST_NAME}: {error}: get a fresh copy of the bundle") from None
    _check(manifest)
    return manifest


def _check(manifest: Manifest) -> None:
    def fail(message: str) -> BundleError:
        return BundleError(f"{MANIFEST_NAME}: {message}: get a fresh copy of the bundle")

    if manifest.schema_version != SCHEMA_VERSION:
        raise fail(f"schema_version {manifest.schema_version} is unknown")
    paths = [check_relative_path(entry.path) for entry in manifest.files]
    if len({path.casefold() for path in paths}) != len(paths):
        raise fail("two files have the same name")
    for entry in manifest.files:
        if not _SHA256.fullmatch(entry.sha256) or entry.size < 0:
            raise fail(f"files: the digest or size of {entry.path} is malformed")
    known = set(paths)
    names = [variant.name for variant in manifest.variants]
    if not names:
        raise fail("variants: empty")
    if len(set(names)) != len(names):
        raise fail("two variants have the same name")
    if manifest.default_variant not in names:
        raise fail(f"default_variant {manifest.default_variant!r} is not one of {', '.join(names)}")
    needed = [path for variant in manifest.variants for path in variant.graphs.values()]
    needed += [sample.file for sample in manifest.golden.samples]
    needed += manifest.assets.values()
    if manifest.golden.samples:
        needed.append(manifest.golden.outputs)
    for path in needed:
        if path not in known:
            raise fail(f"{path} is used but not listed in files")
    if len(manifest.golden.decisions) != len(manifest.golden.samples):
        raise fail("golden: samples and decisions differ in number")
    if not manifest.inputs or not manifest.outputs:
        raise fail("inputs or outputs: empty")
