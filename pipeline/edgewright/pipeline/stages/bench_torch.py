"""How many times as fast as torch each variant is, the two taken in turn in one run."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from edgewright.exporters.judge.steps import open_step, step_latencies
from edgewright.exporters.judge.timing import Latency, measure_latency
from edgewright.exporters.part import TorchGraphs
from edgewright.pipeline.stages.bench_row import Ratios
from edgewright.pipeline.training.results import load_trained
from edgewright.runtime import Engine, open_bundle
from edgewright.runtime.bundle.files import canonical_json
from edgewright.runtime.bundle.opening import Bundle
from edgewright.runtime.bundle.structure import to_plain
from edgewright.runtime.contracts import STEP, Tensors
from edgewright.runtime.errors import BundleError
from edgewright.runtime.graphs.session import open_session
from edgewright.runtime.tasks.base import Task


def ratios_to_torch(
    bundle: Path, run_dir: Path, variants: Sequence[str], seconds: float, provider: str, threads: int | None
) -> Mapping[str, Ratios]:
    """For each variant, the median of torch's time over its own on one encoded golden sample, graph alone.

    Of a bundle with a streaming form also that of one step, on one thread. Raises `BundleError` when the bundle is not
    of this run.
    """
    opened = open_bundle(bundle)
    loaded = load_trained(run_dir)
    if loaded.record.task != opened.manifest.task:
        raise BundleError(
            f"{bundle} is for {opened.manifest.task}, {run_dir} for {loaded.record.task}: "
            "name the run that it was exported from"
        )
    engines = {name: Engine(opened, name, provider, threads) for name in variants}
    task = engines[variants[0]].task
    device_task = loaded.task.device_task(loaded.built.settings, loaded.classes, loaded.built.assets)
    if _raw_side(device_task) != _raw_side(task):
        raise BundleError(
            f"{bundle} prepares its input in another way or has other labels than {run_dir}: "
            "name the run that it was exported from"
        )
    raw = next(
        raw
        for sample in opened.manifest.golden.samples
        for _, raw in task.inputs(str(opened.path(sample.file)))
    )
    sample = task.encode(raw)
    graphs = TorchGraphs(loaded.built.parts())
    whole = _whole(graphs, engines, sample, seconds, threads)
    steps = _steps(graphs, opened, variants, sample, seconds, provider)
    return {
        name: Ratios(
            whole[name].times_as_fast_as(whole["torch"]),
            steps[name].times_as_fast_as(steps["torch"]) if name in steps else None,
        )
        for name in variants
    }


def _raw_side(task: Task[Any]) -> str:
    """What a device task does before and after the graph, to be compared."""
    return canonical_json(to_plain([task.processor, task.labels]))


def _whole(
    graphs: TorchGraphs, engines: Mapping[str, Engine], sample: Tensors, seconds: float, threads: int | None
) -> Mapping[str, Latency]:
    task = next(iter(engines.values())).task
    sides: dict[str, Callable[[], object]] = {"torch": lambda: list(task.run((sample,), graphs))}
    for name, engine in engines.items():
        sides[name] = partial(engine.outputs, sample)
    before = torch.get_num_threads()
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        return measure_latency(sides, seconds)
    finally:
        torch.set_num_threads(before)
        for engine in engines.values():
            engine.close()


def _steps(
    graphs: TorchGraphs,
    opened: Bundle,
    variants: Sequence[str],
    sample: Tensors,
    seconds: float,
    provider: str,
) -> Mapping[str, Latency]:
    streaming = opened.manifest.streaming
    if streaming is None or STEP not in graphs.parts:
        return {}
    runners = {
        name: open_step(
            opened.path(opened.manifest.variant(name).graphs[STEP]), streaming, provider, open_session
        )
        for name in variants
    }
    return step_latencies(runners, streaming, graphs, sample, seconds)
