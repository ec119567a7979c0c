"""How long torch and every variant take for one sample, and for one step of a model with a streaming form."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from edgewright.exporters.judge.measure import Files, Measured, Setting
from edgewright.exporters.judge.steps import open_step, step_latencies
from edgewright.exporters.judge.timing import Latency, measure_latency
from edgewright.runtime.contracts import STEP, Tensors
from edgewright.runtime.errors import EdgewrightError
from edgewright.runtime.graphs.graphs import Graphs
from edgewright.runtime.streams.runner import StepRunner


def typical_sample(setting: Setting, measured: Measured) -> Tensors:
    """The sample that latencies are measured on, encoded: the first one, or one of median length."""
    row = 0
    if measured.lengths is not None:
        row = int(np.argsort(measured.lengths, kind="stable")[len(setting.samples) // 2])
    return setting.task.encode(setting.samples.raws[row])


def whole_latencies(
    setting: Setting, sample: Tensors, variants: Mapping[str, Graphs], seconds: float
) -> dict[str, Latency]:
    """Latency of the graphs on one encoded sample, of "torch" and of each variant."""

    def side(graphs: Graphs) -> Callable[[], object]:
        return lambda: list(setting.task.run((sample,), graphs))

    sides = {"torch": side(setting.reference.graphs)}
    sides |= {name: side(graphs) for name, graphs in variants.items()}
    before = torch.get_num_threads()
    torch.set_num_threads(setting.threads or before)
    try:
        return measure_latency(sides, seconds)
    finally:
        torch.set_num_threads(before)


def stepped_latencies(
    setting: Setting, sample: Tensors, variants: Mapping[str, Files], measured: Measured, seconds: float
) -> dict[str, Latency]:
    """Latency of one step by variant; a variant whose step graph does not run becomes one of `measured.errors`."""
    streaming = setting.specs.get(STEP)
    if streaming is None:
        return {}
    runners: dict[str, StepRunner] = {}
    for name in list(measured.variants):
        try:
            runners[name] = open_step(variants[name][STEP], streaming, setting.provider, setting.opener)
            runners[name].step()
        except EdgewrightError as error:
            runners.pop(name, None)
            del measured.variants[name]
            measured.errors[name] = f"its step graph: {error}"
    return step_latencies(runners, streaming, setting.reference.graphs, sample, seconds)


def row_speeds(name: str, whole: Mapping[str, Latency], steps: Mapping[str, Latency]) -> dict[str, Any]:
    """The fields of the row of `name` that tell of time, from the latencies of whole samples and of steps."""
    found = {
        "p50_ms": whole[name].p50_ms,
        "p95_ms": whole[name].p95_ms,
        "torch_p50_ms": whole["torch"].p50_ms,
        "torch_p95_ms": whole["torch"].p95_ms,
        "speed_vs_torch": whole[name].times_as_fast_as(whole["torch"]),
        "speed_vs_fp32": whole[name].times_as_fast_as(whole["fp32"]) if "fp32" in whole else None,
    }
    if name in steps:
        found["step_p50_us"] = steps[name].p50_ms * 1e3
        if "torch" in steps:
            found["torch_step_p50_us"] = steps["torch"].p50_ms * 1e3
            found["step_speed_vs_torch"] = steps[name].times_as_fast_as(steps["torch"])
        if "fp32" in steps:
            found["step_speed_vs_fp32"] = steps[name].times_as_fast_as(steps["fp32"])
    return found
