"""The second half of the pipeline: a run to a judged bundle, and a bundle held against its run again."""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import onnxruntime
import torch

from edgewright.exporters.bundle.write import Candidate, check_target, write_bundle
from edgewright.exporters.graph.export import Graph, export_graph, load_graph
from edgewright.exporters.judge.golden import apart_from_origin
from edgewright.exporters.judge.judge import judge
from edgewright.exporters.judge.ladder import climb
from edgewright.exporters.judge.measure import LIST
from edgewright.exporters.part import Part, TorchGraphs
from edgewright.exporters.precision.registry import (
    PRECISIONS,
    make_variant,
    role_file,
    wants_calibration,
)
from edgewright.exporters.recording import recorded
from edgewright.exporters.reference import Reference, Samples
from edgewright.exporters.verdict import FAIL, Budget, Ladder, Verdict, verdict_from_json, verdict_to_json
from edgewright.pipeline.data.samples import Sample, Splits
from edgewright.pipeline.data.sources import restore_splits
from edgewright.pipeline.fitted.streams import stream_memory, streams_of
from edgewright.pipeline.progress import Progress, silent
from edgewright.pipeline.recipe.load import load_recipe, override_export
from edgewright.pipeline.recipe.recipe import Recipe
from edgewright.pipeline.recipe.training import check_variants
from edgewright.pipeline.run_dir import finished_stage, lock_run, mark_stage, read_run_json
from edgewright.pipeline.stages.card_facts import card_facts, origin_of
from edgewright.pipeline.stages.fit import DATA, check_outside_data, fit_run, many_processes, run_recipe
from edgewright.pipeline.training.results import LoadedModel, load_trained
from edgewright.runtime.bundle.files import canonical_json, sha256_of_bytes, write_text
from edgewright.runtime.bundle.manifest import StreamMemory
from edgewright.runtime.bundle.opening import open_bundle
from edgewright.runtime.bundle.structure import to_plain
from edgewright.runtime.contracts import MODEL, STEP, Tensors
from edgewright.runtime.errors import BundleError, ExportError, RecipeError
from edgewright.runtime.graphs.session_options import cpu_class
from edgewright.runtime.tasks.base import Task

_SAME_MODEL = 1e-2
"""How far torch may lie from itself on another machine, relative."""

_FORMAT = 8
_MAKERS = ("onnx", "torch", "transformers", "edgewright")
"""The libraries whose version has a part in what a stage makes, beside onnxruntime, which has one of two names."""

_FOLDER = "export"


@dataclass(frozen=True)
class Outcome:
    """What came of judging a run. `bundle` is None when nothing may ship; `demanded` holds the variants that the user
    listed by name, each of which has to pass."""

    verdict: Verdict
    bundle: Path | None
    demanded: tuple[str, ...]

    @property
    def failed_demands(self) -> tuple[str, ...]:
        """The variants that were listed and failed."""
        return tuple(
            row.name for row in self.verdict.rows if row.name in self.demanded and row.status == FAIL
        )

    @property
    def passed(self) -> bool:
        """Whether there is a bundle and every demand was met."""
        return self.bundle is not None and not self.failed_demands


@dataclass(frozen=True)
class _Loaded:
    recipe: Recipe
    splits: Splits
    model: LoadedModel
    device_task: Task[Any]
    stream: StreamMemory | None

    @property
    def parts(self) -> dict[str, Part]:
        """What becomes a graph, by role: of a step only where its state is what a stream remembers."""
        parts = self.model.built.parts()
        if self.stream is None or self.stream.memory == "context":
            parts.pop(STEP, None)
        return parts

    @property
    def graphs(self) -> TorchGraphs:
        """The model, as torch runs it."""
        return TorchGraphs(self.model.built.parts())


class _Batches:
    """What the graph of a role is given on each calibration sample, encoded when they are walked: not every precision
    does that.
    """

    def __init__(self, loaded: "_Loaded", role: str, samples: tuple[Sample, ...], progress: Progress) -> None:
        self._loaded, self._role, self._samples, self._progress = loaded, role, samples, progress

    def __iter__(self) -> Iterator[Tensors]:
        task, graphs = self._loaded.device_task, self._loaded.graphs
        for done, sample in enumerate(self._samples):
            self._progress("calibrating", done + 1, len(self._samples))
            encoded = task.encode(sample.raw)
            if self._role == MODEL:
                yield task.collate(task.windows(encoded))
            else:
                yield from recorded(task, encoded, graphs).get(self._role, ())


def ship(
    recipe_path: Path,
    out: Path,
    run_dir: Path,
    overrides: tuple[str, ...] = (),
    provider: str = "auto",
    restart: bool = False,
    progress: Progress | None = None,
) -> Outcome:
    """The whole way from a recipe to a bundle. Every stage that is finished is taken as it is."""
    if many_processes():
        raise RecipeError(
            "ship runs in one process: run 'edgewright fit' under torchrun, then 'edgewright export'"
        )
    recipe = load_recipe(recipe_path, overrides)
    check_target(out)
    check_outside_data(recipe, out)
    fit_run(recipe, run_dir, restart, progress)
    return export_run(run_dir, out, None, provider, progress, recipe)


def export_run(
    run_dir: Path,
    out: Path,
    variants: tuple[str, ...] | None = None,
    provider: str = "auto",
    progress: Progress | None = None,
    recipe: Recipe | None = None,
    overrides: tuple[str, ...] = (),
) -> Outcome:
    """Export a finished run, make its variants, judge them, and write what passed to `out`.

    Args:
        variants: precisions to make, instead of those of the recipe; each is then a demand.
        overrides: "key=value" for the recipe's variants, quantization or budget.
        recipe: the run's recipe with a budget or variants of its own; None for the run's own.

    Raises:
        RecipeError: `run_dir` is not a run, or `variants` is not possible.
        ExportError: the model cannot be exported.
        MachineError: `out` holds something else, or the machine refuses to write.
    """
    report = progress or silent
    wanted = _variants(variants)
    check_target(out)
    with lock_run(_existing(run_dir)):
        recipe = override_export(recipe or run_recipe(run_dir), overrides)
        loaded = _load(run_dir, recipe)
        check_outside_data(loaded.recipe, out)
        names = wanted or recipe.wanted_variants
        demanded = wanted or (() if recipe.variants == "auto" else recipe.variants)
        candidate = _make_candidate(run_dir, loaded, names, report)
        samples = _samples(loaded)
        verdict = _judged(run_dir, loaded, candidate, samples, provider, report)
        bundle = None
        if verdict.ships is not None:
            bundle = write_bundle(out, candidate, verdict, samples)
    return Outcome(verdict, bundle, demanded)


def verify_run(
    bundle: Path, run_dir: Path, provider: str = "auto", progress: Progress | None = None
) -> Ladder:
    """Climb the whole ladder of a bundle against the torch model of the run it came from.

    Raises:
        BundleError: the bundle does not open, or was made from another model than the run's.
    """
    opened = open_bundle(bundle)
    loaded = _load(_existing(run_dir), None)
    task = loaded.recipe.task
    if opened.manifest.task != task:
        raise BundleError(
            f"{bundle} is for {opened.manifest.task}, {run_dir} trained {task}: name the run that it was exported from"
        )
    if sorted(opened.manifest.labels) != sorted(loaded.device_task.labels):
        raise BundleError(f"{bundle} has other labels than {run_dir}: name the run that it was exported from")
    if progress is not None:
        progress("climbing the ladder", 0, 0)
    reference = _reference(loaded)
    apart = apart_from_origin(reference, opened)
    if not apart <= _SAME_MODEL:
        raise BundleError(
            f"{bundle} was made from another model than that of {run_dir}, whose answers are {apart:.2g} from those it "
            "keeps: name the run that it was exported from, or export it again"
        )
    return climb(reference, opened, _samples(loaded), _budget(loaded.recipe), provider)


def _variants(names: tuple[str, ...] | None) -> tuple[str, ...] | None:
    if names is None:
        return None
    try:
        checked = check_variants(names)
    except ValueError as error:
        raise RecipeError(f"--variants: {error}") from None
    return tuple(checked)


def _existing(run_dir: Path) -> Path:
    if not run_dir.is_dir():
        raise RecipeError(f"there is no run {run_dir}: run 'edgewright fit RECIPE --out {run_dir}' first")
    return run_dir


def _load(run_dir: Path, recipe: Recipe | None) -> _Loaded:
    recipe = recipe or run_recipe(run_dir)
    splits = restore_splits(read_run_json(run_dir, DATA), recipe)
    model = load_trained(run_dir)
    device_task = model.task.device_task(model.built.settings, model.classes, model.built.assets)
    return _Loaded(recipe, splits, model, device_task, stream_memory(recipe, splits, model.built))


def _samples(loaded: _Loaded) -> Samples:
    chosen = loaded.splits.evaluation
    return Samples(
        tuple(sample.id for sample in chosen),
        [sample.raw for sample in chosen],
        loaded.model.task.truths(chosen, loaded.device_task),
        () if loaded.stream is None else streams_of(chosen, loaded.recipe.split_seed),
    )


def _reference(loaded: _Loaded) -> Reference:
    return Reference(loaded.graphs, loaded.device_task, loaded.model.task.metric())


def _budget(recipe: Recipe) -> Budget:
    budget = recipe.budget
    return Budget(budget.max_drop, budget.smaller_by, budget.faster_by, budget.require)


def _key(**parts: Any) -> str:
    versions = {name: metadata.version(name) for name in _MAKERS}
    versions["onnxruntime"] = (
        onnxruntime.__version__
    )  # it makes every precision but fp32, and runs the judged ones
    plain = to_plain({**parts, "format": _FORMAT, "versions": versions})
    return sha256_of_bytes(canonical_json(plain).encode())


def _make_candidate(run_dir: Path, loaded: _Loaded, names: tuple[str, ...], report: Progress) -> Candidate:
    parts = loaded.parts
    graphs: dict[str, dict[str, Graph]] = {}
    failures: dict[str, str] = {}
    for done, name in enumerate(names):
        report("exporting", done, len(names))
        fp32 = graphs.get("fp32", {})
        made = {
            role: _graph(run_dir, loaded, name, role, part, fp32.get(role), report)
            for role, part in parts.items()
        }
        failed = next((found for found in made.values() if isinstance(found, str)), None)
        if failed is None:
            graphs[name] = {role: graph for role, graph in made.items() if isinstance(graph, Graph)}
        else:
            failures[name] = failed
    report("exporting", len(names), len(names))
    recipe, model = loaded.recipe, loaded.model
    return Candidate(
        task=recipe.task,
        model=model.built.name,
        device_task=loaded.device_task,
        graphs=graphs,
        specs={role: part.spec for role, part in parts.items() if part.spec is not None},
        licence=model.built.licence,
        seed=recipe.training.seed,
        failures=failures,
        facts=card_facts(recipe, loaded.splits, loaded.device_task),
        config=model.built.build.get("config"),
        origin=origin_of(recipe, loaded.splits, model.built),
        stream=loaded.stream,
    )


def _graph(
    run_dir: Path,
    loaded: _Loaded,
    name: str,
    role: str,
    part: Part,
    fp32: Graph | None,
    report: Progress,
) -> Graph | str:
    """One precision of one part, from an earlier run of this stage where it is finished; why not, where it failed."""
    quantization = loaded.recipe.quantization
    stateful = part.spec is not None and bool(part.spec.states)
    calibrated = fp32 is not None and not stateful and wants_calibration(name, fp32)
    calibration = loaded.splits.calibration if calibrated else ()
    key = _key(
        weights=loaded.model.weights_sha256,
        precision=name,
        role=role,
        calibration=[sample.content for sample in calibration],
        method=quantization.method,
        per_channel=quantization.per_channel,
    )
    path = run_dir / _FOLDER / role_file(PRECISIONS[name].file, role)
    stage = _stage(name, role)
    marker = finished_stage(run_dir, stage, key)
    if marker is not None:
        if marker["result"] is not None:
            return str(marker["result"]["failure"])
        return load_graph(path)
    if name == "fp32":
        example = _example(loaded, part) if part.example is None else part.example()
        module, outputs = part.exported or part.module, (*part.extra, *part.output_names)
        axes, route = part.dynamic_axes, part.route
        graph = export_graph(module, example, path, part.input_names, outputs, axes, route, part.limits)
    else:
        assert fp32 is not None, "a recipe's variants begin with fp32"
        batches = _Batches(loaded, role, calibration, report)
        method, per_channel = quantization.method, quantization.per_channel
        try:
            graph = make_variant(fp32, name, batches, path, method, per_channel, stateful)
        except ExportError as error:
            mark_stage(run_dir, stage, key, result={"failure": str(error)})
            return str(error)
    mark_stage(run_dir, stage, key, graph.files)
    return graph


def _stage(name: str, role: str) -> str:
    return f"{_FOLDER}/{name}" if role == MODEL else f"{_FOLDER}/{name}.{role}"


def _example(loaded: _Loaded, part: Part) -> tuple[torch.Tensor, ...]:
    samples = (loaded.splits.train or loaded.splits.evaluation)[:1] * 2
    task = loaded.device_task
    feeds = task.collate([row for sample in samples for row in task.windows(task.encode(sample.raw))])
    return tuple(torch.from_numpy(feeds[name]) for name in part.input_names)


def _judged(
    run_dir: Path, loaded: _Loaded, candidate: Candidate, samples: Samples, provider: str, report: Progress
) -> Verdict:
    key = _key(
        weights=loaded.model.weights_sha256,
        graphs={
            name: {role: _exported_files(run_dir, _stage(name, role)) for role in graphs}
            for name, graphs in candidate.graphs.items()
        },
        failures=candidate.failures,
        samples=[sample.content for sample in loaded.splits.evaluation],
        stream=loaded.stream,
        metric=loaded.model.task.metric_name,
        budget=_budget(loaded.recipe),
        provider=provider,
        threads=torch.get_num_threads(),
        lists=LIST,
        cpu=cpu_class(),
    )
    path = run_dir / _FOLDER / "verdict.json"
    stage = f"{_FOLDER}/verdict"
    if finished_stage(run_dir, stage, key) is not None:
        return verdict_from_json(path.read_bytes())
    verdict = judge(
        _reference(loaded),
        candidate,
        samples,
        _budget(loaded.recipe),
        provider,
        progress=lambda done, total: report("judging", done, total),
    )
    write_text(path, verdict_to_json(verdict))
    mark_stage(run_dir, stage, key, (path,))
    return verdict


def _exported_files(run_dir: Path, stage: str) -> Any:
    """The digests of the files of one graph, as its stage left them."""
    return read_run_json(run_dir, f"{stage}.done.json")["files"]
