"""The manifest: the only contract between the workstation that made a bundle and the device that runs it."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from edgewright.runtime.bundle.files import canonical_json, sha256_of_bytes
from edgewright.runtime.bundle.graph_specs import wrong_graph
from edgewright.runtime.bundle.structure import StructureError, from_plain, parse_json, to_plain
from edgewright.runtime.contracts import STEP, GraphSpec
from edgewright.runtime.errors import BundleError

MANIFEST_NAME = "edgewright.json"
SCHEMA_VERSION = 2
MAX_MANIFEST_BYTES = 16 << 20

OPERATOR_DOMAINS = ("", "ai.onnx.ml", "com.microsoft")
"""The domains of operators that a bundle may use; "" is the standard one, which is also called "ai.onnx"."""

_VERSION, _DIGEST = "schema_version", "digest"
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MOST_STEPS = 1_000_000
"""That a stream may remember: its memory is taken when it begins."""

_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?")

_LARGEST_TOLERANCE = 1000.0


def _check_range(name: str, value: float, most: float) -> None:
    if not 0.0 <= value <= most:
        raise ValueError(f"{name} is {value}, it has to be from 0 to {most:g}")


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

    def __post_init__(self) -> None:
        _check_range("tolerance.relative", self.relative, _LARGEST_TOLERANCE)
        _check_range("tolerance.decisions", self.decisions, 1.0)


@dataclass(frozen=True)
class Proof:
    """Where a variant was seen to answer as torch does.

    `on` is a provider ("cuda") or a class of CPUs ("x86-64 with VNNI", "x86-64 with AVX2", "x86-64", "arm64"). `how` is
    one of "measured" (judged there), "emulated" (the golden samples were replayed where an emulator stands for such a
    CPU) and "not". `onnxruntime` is the version that ran it.
    """

    on: str
    how: str
    onnxruntime: str


@dataclass(frozen=True)
class Variant:
    """One precision of the model that passed its verdict.

    `graphs` maps each role of the manifest's `graphs` to the file of that graph, whose name ends in .onnx. `domains`
    lists the domains of the operators that they use: of "" (the standard one), "ai.onnx.ml" and "com.microsoft"; where
    there is no list, in bundles of before it was written, each of them may be used. `proven` says where it was seen to
    hold: elsewhere `auto` does not take it.
    """

    name: str
    graphs: Mapping[str, str]
    tolerance: Tolerance
    proven: tuple[Proof, ...] = ()
    domains: tuple[str, ...] = ()


@dataclass(frozen=True)
class GoldenSample:
    """One raw input kept in the bundle: the id it had in the user's data and its file."""

    id: str
    file: str


@dataclass(frozen=True)
class Golden:
    """What torch answered to a few raw inputs.

    `outputs` is a safetensors file with the outputs of each sample: "3.logits" is the output "logits" of the fourth.
    `decisions` holds what torch decided for each sample, in the task's own terms (a label's index for
    classification).
    """

    samples: tuple[GoldenSample, ...]
    outputs: str
    decisions: tuple[Any, ...]


@dataclass(frozen=True)
class InputContract:
    """What raw inputs the model was trained on, where another kind would be answered wrongly in silence.

    `bits` of a pixel or a sound's sample, `window` of values that are mapped to these bits, `resize` how pictures
    change their size, `channels` their order ("RGB", "L"), `alpha` what becomes of transparency, `columns` the columns
    of a table by the name of their group. Reserved: nothing writes it yet.
    """

    bits: int | None = None
    window: tuple[float, float] | None = None
    resize: str | None = None
    channels: str | None = None
    alpha: str | None = None
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.bits is not None and not 1 <= self.bits <= 64:
            raise ValueError(f"contract.bits is {self.bits}, it has to be from 1 to 64")
        if self.window is not None and not -math.inf < self.window[0] < self.window[1] < math.inf:
            raise ValueError(f"contract.window {self.window} does not begin below its end")


@dataclass(frozen=True)
class Decision:
    """How scores become a decision: scores are divided by `temperature`; from `threshold` on a label is given; below
    `reject_below` nothing is decided. Reserved: nothing writes it yet.
    """

    threshold: float | None = None
    temperature: float | None = None
    reject_below: float | None = None

    def __post_init__(self) -> None:
        for name in ("threshold", "reject_below"):
            _check_range(f"decision.{name}", getattr(self, name) or 0.0, 1.0)
        if self.temperature is not None and not 0.0 < self.temperature < math.inf:
            raise ValueError(f"decision.temperature is {self.temperature}, it has to be above 0")


@dataclass(frozen=True)
class StreamMemory:
    """What an answer of a stream is made of, which is also how streams were judged.

    `memory` "context": the last `steps` steps, exactly as if the graph "model" were given these alone. "carried": every
    step since the stream began or was reset, by the state of the graph "step"; `steps` is then how many steps the
    longest sample of the training had. Of sound, `pause` is after how many quiet steps (frames) a stream begins anew;
    None for never, and `onset` how many frames after the first that is not.
    """

    memory: str
    steps: int
    pause: int | None = None
    onset: int = 0

    def __post_init__(self) -> None:
        if self.memory not in ("context", "carried"):
            raise ValueError(f"memory {self.memory!r} is not one of context, carried")
        if not 1 <= self.steps <= _MOST_STEPS or self.pause == 0 or min(self.pause or 0, self.onset) < 0:
            raise ValueError(
                f"{self.steps} steps, a pause of {self.pause} and an onset of {self.onset} cannot be"
            )


@dataclass(frozen=True)
class Manifest:
    """Everything a device needs to know. `processor` belongs to the task; the runtime never sees a model's
    name in code.

    `graphs` maps each role to what its graph takes and gives, whatever the precision: "model", and "step" where the
    model streams step by step. `stream` says what a stream remembers; None for a model that does not stream, and for an
    older bundle with a graph "step", whose state is carried. `assets` maps a role that the task knows ("tokenizer") to
    a file of the bundle. `options` are the values of the task's options where nothing else is asked for (reserved:
    nothing writes it yet). Entries with their default value are not written.
    """

    task: str
    model: str
    processor: Mapping[str, Any]
    graphs: Mapping[str, GraphSpec]
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
    options: Mapping[str, Any] = field(default_factory=dict)
    contract: InputContract | None = None
    decision: Decision | None = None
    stream: StreamMemory | None = None

    @property
    def streaming(self) -> GraphSpec | None:
        """What the graph "step" takes and gives; None for a model that does not stream step by step."""
        return self.graphs.get(STEP)

    @property
    def streams(self) -> bool:
        """Whether there is a streaming form."""
        return self.stream is not None or STEP in self.graphs

    def variant(self, name: str) -> Variant:
        """The variant called `name`, or the one that ships for "auto". Raises `BundleError` with the names
        there are.
        """
        name = name if isinstance(name, str) else f"<{type(name).__name__}>"
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
    return sealed_json({_VERSION: SCHEMA_VERSION, **to_plain(manifest, sparse=True)})


def sealed_json(document: Mapping[str, Any]) -> str:
    """A manifest's document as canonical JSON with an entry "digest": the SHA-256 of the JSON of all others."""
    others = {key: value for key, value in document.items() if key != _DIGEST}
    return canonical_json({**others, _DIGEST: _digest_of(others)})


def _digest_of(document: Mapping[str, Any]) -> str:
    return sha256_of_bytes(_bytes_of(document))


def _bytes_of(document: Mapping[str, Any]) -> bytes:
    return canonical_json(document).encode("utf-8", "surrogatepass")


def manifest_from_json(text: str | bytes) -> Manifest:
    """Read and check a manifest: its form, its digest, the bytes, which have to be those that `manifest_to_json` gives.

    Raises `BundleError` naming the first thing that is wrong.
    """
    try:
        document = parse_json(text)
        if not isinstance(document, dict):
            raise StructureError("the document is not an object")
        _check_version(document.pop(_VERSION, None))
        _check_whole(text, document)
        manifest = from_plain(Manifest, document)
    except ValueError as error:  # a `StructureError`, or what a part of it says of its values
        raise BundleError(f"{MANIFEST_NAME}: {error}: get a fresh copy of the bundle") from None
    _check(manifest)
    return manifest


def _check_version(version: Any) -> None:
    if not isinstance(version, int) or isinstance(version, bool):
        raise StructureError(f"{_VERSION}: expected int, found {type(version).__name__}")
    if version > SCHEMA_VERSION:
        raise BundleError(
            f"{MANIFEST_NAME} has schema version {version}, this one reads up to {SCHEMA_VERSION}: "
            "update edgewright on this machine"
        )
    if version == 1:
        raise BundleError(
            f"the bundle was made by an older edgewright ({MANIFEST_NAME} has schema version 1): make it anew with "
            "'edgewright export RUN --out BUNDLE', where RUN is the folder of the run that it came from"
        )
    if version != SCHEMA_VERSION:
        raise StructureError(f"{_VERSION} {version} is unknown")


def _check_whole(text: str | bytes, document: dict[str, Any]) -> None:
    """Take the digest out of `document` and compare it; then no bit of `text` can differ but in the digest itself."""
    digest = document.pop(_DIGEST, None)
    versioned = {**document, _VERSION: SCHEMA_VERSION}
    try:
        if digest != _digest_of(versioned):
            raise StructureError("it has been altered, its digest differs")
        found = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
        if found != _bytes_of({**versioned, _DIGEST: digest}):
            raise StructureError("it has been altered, it is not written as edgewright writes it")
    except RecursionError:
        raise StructureError("nested too deeply") from None


def _check(manifest: Manifest) -> None:
    def fail(message: str) -> BundleError:
        return BundleError(f"{MANIFEST_NAME}: {message}: get a fresh copy of the bundle")

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
    wrong = _wrong_names(manifest)
    if wrong:
        raise fail(wrong)
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
    if not manifest.graphs.keys() - {STEP}:
        raise fail("graphs: there is none that answers a whole input")
    for variant in manifest.variants:
        if variant.graphs.keys() != manifest.graphs.keys():
            raise fail(f"variants: {variant.name} has other graphs than {', '.join(manifest.graphs)}")
    if manifest.stream is not None and (manifest.stream.memory == "carried") != (STEP in manifest.graphs):
        raise fail(f"stream: a memory {manifest.stream.memory} does not fit {', '.join(manifest.graphs)}")
    for role, graph in manifest.graphs.items():
        if not graph.inputs or not graph.outputs:
            raise fail(f"graphs: the inputs or outputs of {role} are empty")
        for source in graph.constants.values():
            other, _, output = source.partition(".")
            if other not in manifest.graphs or all(
                spec.name != output for spec in manifest.graphs[other].outputs
            ):
                raise fail(f"graphs: {role} takes {source!r}, which no graph gives")
        wrong = wrong_graph(role, graph)
        if wrong:
            raise fail(f"graphs: {role}: {wrong}")


def _wrong_names(manifest: Manifest) -> str:
    """What is wrong with the names, paths and numbers of a manifest beside its graphs; empty where nothing is."""
    for variant in manifest.variants:
        if variant.name in ("", "auto"):
            return f"variants: none can be called {variant.name!r}"
        odd = [domain for domain in variant.domains if domain not in (*OPERATOR_DOMAINS, "ai.onnx")]
        if odd:
            return f"variants: {variant.name} lists the operators of {odd[0]!r}, which no bundle may use"
        odd = [path for path in variant.graphs.values() if not path.endswith(".onnx")]
        if odd:
            return f"variants: {odd[0]} is no .onnx file"
    labels = manifest.labels
    if "" in labels or len(set(labels)) != len(labels):
        twice = next((label for label in labels if labels.count(label) > 1), "")
        return f"labels: {twice!r} occurs twice" if twice else "labels: one is empty"
    if not 0 <= manifest.seed < 1 << 64:
        return f"seed is {manifest.seed}, it has to be from 0 to 2^64 - 1"
    return "task: empty" if not manifest.task else ""
