"""Writes the bundle: what passed, what torch answered, and nothing that differs between two equal runs."""

import base64
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from edgewright.exporters.bundle.card import model_card
from edgewright.exporters.bundle.hub import hub_files
from edgewright.exporters.bundle.origin import UNKNOWN, Origin
from edgewright.exporters.graph.export import Graph, copy_graph
from edgewright.exporters.precision.exact_sums import saturating
from edgewright.exporters.precision.registry import PRECISIONS, role_file
from edgewright.exporters.reference import Samples
from edgewright.exporters.verdict import GoldenAnswers, Verdict
from edgewright.runtime.bundle.files import (
    canonical_json,
    explain_os_error,
    sha256_of_file,
)
from edgewright.runtime.bundle.manifest import (
    MANIFEST_NAME,
    OPERATOR_DOMAINS,
    FileEntry,
    Golden,
    GoldenSample,
    Manifest,
    StreamMemory,
    Variant,
    manifest_to_json,
)
from edgewright.runtime.bundle.onnx_file import read_onnx_file
from edgewright.runtime.bundle.replacing import replace_directory
from edgewright.runtime.contracts import STEP, GraphSpec, Tensors
from edgewright.runtime.errors import ExportError, MachineError
from edgewright.runtime.tasks.base import Task
from edgewright.runtime.tasks.description import ModelFacts

_LIBRARIES = (
    "edgewright",
    "numpy",
    "onnx",
    "onnxruntime",
    "onnxruntime-gpu",
    "pillow",
    "soundfile",
    "tokenizers",
    "torch",
    "torchvision",
    "timm",
    "transformers",
)


def library_versions() -> dict[str, str]:
    """Versions of the libraries that had a part in the bundle."""
    found: dict[str, str] = {}
    for name in _LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """Everything of a bundle but its verdict.

    `graphs` maps a precision to its graphs by role and has to hold fp32; `failures` maps a precision that could not be
    made to the reason. One that lacks a role that fp32 has counts as a failure. `specs` says of a role whose graph has
    states or constants what it takes and gives; any other graph says so itself. `device_task` is the training side's:
    its `processor`, `labels` and `assets` go into the bundle. `facts` are lines of the model card (what it was trained
    on, the metric, ...), in the order to print them. `config` is the config.json of the checkpoint that the model came
    from, where there is one; `origin` says where the model came from in the words of hubs; `stream` what a stream
    remembers, of a model that has one.
    """

    task: str
    model: str
    device_task: Task[Any]
    graphs: Mapping[str, Mapping[str, Graph]]
    licence: str
    seed: int
    failures: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=library_versions)
    specs: Mapping[str, GraphSpec] = field(default_factory=dict)
    config: Mapping[str, Any] | None = None
    origin: Origin = UNKNOWN
    stream: StreamMemory | None = None

    def __post_init__(self) -> None:
        if "fp32" not in self.graphs:
            raise ExportError(
                "there is no fp32 graph: export the model first, the other precisions are made from it"
            )
        roles = self.graphs["fp32"].keys()
        wanted = {**dict.fromkeys(self.device_task.signatures.keys() - {STEP}), **dict.fromkeys(self.specs)}
        if not wanted.keys() <= roles:
            raise ExportError(
                f"in fp32 there has to be a graph for each role of {', '.join(wanted)}: export all of them"
            )
        whole = {name: graphs for name, graphs in self.graphs.items() if roles <= graphs.keys()}
        reasons = {
            name: f"there is no {min(roles - graphs.keys())} graph in {name}: leave {name} out"
            for name, graphs in self.graphs.items()
            if name not in whole
        }
        object.__setattr__(self, "graphs", whole)
        object.__setattr__(self, "failures", {**reasons, **self.failures})

    @property
    def signatures(self) -> dict[str, GraphSpec]:
        """What the graph of each role takes and gives."""
        graphs = self.graphs["fp32"]
        return {role: self.specs.get(role) or self._signature(role, graph) for role, graph in graphs.items()}

    def _signature(self, role: str, graph: Graph) -> GraphSpec:
        """What a graph says of itself: an output that the task knows nothing of is there for other tools."""
        known = self.device_task.signatures.get(role)
        read = {spec.name for spec in (graph.outputs if known is None else known.outputs)}
        return GraphSpec(
            graph.inputs,
            tuple(spec for spec in graph.outputs if spec.name in read),
            extra=tuple(spec for spec in graph.outputs if spec.name not in read),
        )

    def without_stream(self) -> "Candidate":
        """The same without its streaming form."""
        graphs = {
            name: {role: graph for role, graph in made.items() if role != STEP}
            for name, made in self.graphs.items()
        }
        specs = {role: spec for role, spec in self.specs.items() if role != STEP}
        return replace(self, graphs=graphs, specs=specs, stream=None)

    def size(self, name: str) -> int:
        """Bytes of all graphs of the precision `name`."""
        return sum(graph.size for graph in self.graphs[name].values())


def write_bundle(target: Path, candidate: Candidate, verdict: Verdict, samples: Samples) -> Path:
    """Write the variants that passed to `target`, atomically; the same arguments always give the same bytes.

    A bundle that stands at `target` is replaced; any other folder with something in it is left alone.

    Raises:
        ExportError: nothing passed, or the graph of a passing variant is missing.
        MachineError: the machine refuses, or `target` holds something that is not a bundle.
    """
    if verdict.ships is None:
        raise ExportError(f"nothing may be shipped: {verdict.reason}")
    missing = [name for name in verdict.ranking if name not in candidate.graphs]
    if missing:
        raise ExportError(f"the graph of {missing[0]} is missing: make the variants again")
    names = [name for name in candidate.graphs if name in verdict.ranking]
    if verdict.stream_reason:
        candidate = candidate.without_stream()
    return write_candidate(target, candidate, names, verdict.ranking, verdict.golden, verdict, samples)


def check_target(target: Path) -> None:
    """Raise `MachineError` unless a bundle may be written to `target`: nothing there, an empty folder, or a bundle.

    A stage that takes long calls this first, so that the answer does not come after the work.
    """
    try:
        foreign = target.exists() and not (target / MANIFEST_NAME).is_file()
        if foreign and (not target.is_dir() or any(target.iterdir())):
            raise MachineError(
                f"{target} exists and is not a bundle: choose another place, or remove it yourself"
            )
        parent = next(folder for folder in target.absolute().parents if folder.exists())
    except OSError as error:
        raise explain_os_error(error, target) from error
    if not os.access(parent, os.W_OK):
        raise MachineError(f"cannot write {target}: choose a folder you may write to")


def write_candidate(
    target: Path,
    candidate: Candidate,
    names: list[str],
    ranking: tuple[str, ...],
    golden: GoldenAnswers,
    verdict: Verdict | None,
    samples: Samples,
) -> Path:
    """Write `names` whether they passed or not; the ladder climbs such a bundle before there is a verdict."""
    check_target(target)

    def fill(folder: Path) -> None:
        (folder / "onnx").mkdir()
        variants = []
        quantized = _quantized(candidate, ranking)
        for name in names:
            file = "model_quantized.onnx" if name == quantized else PRECISIONS[name].file
            graphs = candidate.graphs[name]
            paths = {role: f"onnx/{role_file(file, role)}" for role in graphs}
            for role, graph in graphs.items():
                copy_graph(graph, folder / paths[role])
            domains = _domains(name, [folder / path for path in paths.values()])
            proven = verdict.proven(name) if verdict is not None else ()
            variants.append(Variant(name, paths, golden.tolerances[name], proven, domains))
        manifest = Manifest(
            task=candidate.task,
            model=candidate.model,
            processor=candidate.device_task.processor,
            graphs=candidate.signatures,
            labels=candidate.device_task.labels,
            variants=tuple(variants),
            default_variant=ranking[0],
            files=(),
            golden=_write_golden(folder, candidate, golden, samples),
            verdict=verdict.summary() if verdict is not None else {},
            versions=candidate.versions,
            licence=candidate.licence,
            seed=candidate.seed,
            assets={role: name for role, (name, _) in candidate.device_task.assets.items()},
            stream=candidate.stream,
        )
        for name, content in candidate.device_task.assets.values():
            (folder / name).write_bytes(content)
        origin = candidate.origin
        told = ModelFacts(manifest.graphs, candidate.config, origin.pooling)
        description = candidate.device_task.describe(told)
        for name, document in hub_files(description, manifest.model, candidate.config, origin).items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(canonical_json(document), encoding="utf-8")
        card = model_card(manifest, description, verdict, candidate.facts, origin)
        (folder / "README.md").write_text(card, encoding="utf-8")
        files = tuple(
            FileEntry(file.relative_to(folder).as_posix(), sha256_of_file(file), file.stat().st_size)
            for file in sorted(folder.rglob("*"))
            if file.is_file()
        )
        manifest = Manifest(**{**vars(manifest), "files": tuple(sorted(files, key=lambda entry: entry.path))})
        (folder / MANIFEST_NAME).write_text(manifest_to_json(manifest), encoding="utf-8")

    replace_directory(target, fill)
    return target


def _domains(name: str, graphs: list[Path]) -> tuple[str, ...]:
    """The domains of all operators of a variant."""
    found = sorted({domain for graph in graphs for domain in read_onnx_file(graph).domains})
    foreign = [domain for domain in found if domain not in OPERATOR_DOMAINS]
    if foreign:
        raise ExportError(f"{name} uses operators of {foreign[0]!r}, which no bundle may: leave {name} out")
    return tuple(found)


def _quantized(candidate: Candidate, ranking: tuple[str, ...]) -> str | None:
    """The best int8 that is right on every CPU without a session option: it gets the name that other tools look for."""
    for name in ranking:
        graphs = candidate.graphs[name].values()
        if name.startswith("int8-") and not any(saturating(onnx.load(graph.path)) for graph in graphs):
            return name
    return None


def _write_golden(folder: Path, candidate: Candidate, golden: GoldenAnswers, samples: Samples) -> Golden:
    if golden.ids:  # an empty folder is none of a bundle
        (folder / "golden").mkdir()
    kept = []
    for index, sample_id in enumerate(golden.ids):
        raw = samples.raw(sample_id)
        content, suffix = candidate.device_task.raw_file(raw)
        file = f"golden/{index}{suffix}"
        (folder / file).write_bytes(content)
        _check_same(candidate.device_task, raw, folder / file, sample_id)
        kept.append(GoldenSample(sample_id, file))
    (folder / "golden.safetensors").write_bytes(base64.b64decode(golden.outputs))
    return Golden(tuple(kept), "golden.safetensors", golden.decisions)


def _check_same(task: Task[Any], raw: Any, file: Path, sample_id: str) -> None:
    kept: Tensors = task.encode(file)
    for name, value in task.encode(raw).items():
        if not np.array_equal(value, kept[name]):
            raise ExportError(
                f"the file kept for golden sample {sample_id} encodes to other tensors: give files as raw inputs"
            )
