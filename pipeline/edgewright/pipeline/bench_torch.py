"""How many times as fast as torch each variant is, the two taken in turn in one run."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import torch

from edgewright.exporters.samples import Reference
from edgewright.exporters.timing import measure_latency
from edgewright.pipeline.training.results import load_trained
from edgewright.runtime import Engine, open_bundle

__all__ = ["ratios_to_torch"]


def ratios_to_torch(
    bundle: Path, run_dir: Path, variants: Sequence[str], seconds: float, provider: str, threads: int | None
) -> Mapping[str, float]:
    """For each variant, the median of torch's time over its own on one encoded golden sample, graph alone."""
    opened = open_bundle(bundle)
    loaded = load_trained(run_dir)
    task = loaded.task.device_task(loaded.built.settings, loaded.classes)
    reference = Reference(
        module=loaded.built.module,
        task=task,
        encode=task.encode,
        metric=loaded.task.metric(),
        metric_name=loaded.task.metric_name,
    )
    feeds = task.collate([task.encode(opened.path(opened.manifest.golden.samples[0].file))])
    engines = {name: Engine(opened, name, provider, threads) for name in variants}
    sides: dict[str, Callable[[], object]] = {"torch": lambda: reference.run(feeds)}
    for name, engine in engines.items():
        sides[name] = partial(engine.infer, feeds)
    before = torch.get_num_threads()
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        latencies = measure_latency(sides, seconds)
    finally:
        torch.set_num_threads(before)
        for engine in engines.values():
            engine.close()
    return {name: latencies[name].times_as_fast_as(latencies["torch"]) for name in variants}
