"""The streaming form of a variant: stepped through encoded samples, and timed against torch's."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from edgewright.exporters.distance import TensorDistance, distance
from edgewright.exporters.judge.measure import Opener
from edgewright.exporters.judge.timing import Latency, measure_latency
from edgewright.exporters.part import TorchGraphs
from edgewright.runtime.contracts import STEP, GraphSpec, Tensors
from edgewright.runtime.streams.runner import StepRunner, check_step_graph

_MOST_STEPS = 20_000
"""Steps that are compared in all; the samples behind are left out."""

_CALLS = (
    25  # of one side before the next one's turn: a step is too short to be timed alone, or with a cold cache
)


def open_step(path: Path, streaming: GraphSpec, provider: str, opener: Opener) -> StepRunner:
    """The step graph at `path`, ready for one stream on one thread.

    Raises `BundleError` when it takes or gives something else than `streaming` says.
    """
    session = opener(path, provider=provider, threads=1, cache=False)
    check_step_graph(path.name, session, streaming)
    return StepRunner(session, streaming, 1)


def step_through(runner: StepRunner, sample: Tensors) -> Iterator[Tensors]:
    """Every step of one encoded sample, from the initial states on: the outputs after it, without a batch axis.

    The arrays are the runner's own and change with the next step.
    """
    runner.reset()
    stepped, *others = runner.feeds  # time runs along the first; all others belong to the whole sequence
    for name in others:
        runner.feeds[name][...] = sample[name]
    for value in sample[stepped]:
        runner.feeds[stepped][...] = value
        runner.step()
        yield {name: output[0] for name, output in runner.outputs.items()}


def stream_apart(
    runner: StepRunner, samples: Sequence[Tensors], whole: Sequence[Tensors], every: Collection[str]
) -> tuple[TensorDistance, int]:
    """How far the steps of `samples` lie from `whole`, the outputs of the whole graph on each.

    The outputs `every`, with an answer for every step, are compared at every step, any other at the last one. Returns
    the distance, and how many of the samples were compared.
    """
    wanted: list[Tensors] = []
    found: list[Tensors] = []
    steps = 0
    for sample, outputs in zip(samples, whole, strict=True):
        steps += len(sample[next(iter(runner.feeds))])
        if wanted and steps > _MOST_STEPS:
            break
        answers = [
            {name: value.copy() for name, value in step.items()} for step in step_through(runner, sample)
        ]
        found.append(
            {
                name: np.stack([step[name] for step in answers]) if name in every else answers[-1][name]
                for name in answers[-1]
            }
        )
        wanted.append(outputs)
    return distance(wanted, found), len(found)


def step_latencies(
    runners: Mapping[str, StepRunner],
    streaming: GraphSpec,
    torch_graphs: TorchGraphs,
    sample: Tensors,
    seconds: float,
) -> dict[str, Latency]:
    """Latency of one step, in milliseconds, by variant, and of "torch" where it has a step; each on one thread."""
    sides: dict[str, Callable[[], object]] = {}
    if STEP in torch_graphs.parts:
        feeds = _first_step(streaming, sample)
        sides["torch"] = _many(lambda: torch_graphs.run(STEP, feeds))
    for name, runner in runners.items():
        next(step_through(runner, sample))
        sides[name] = _many(runner.step)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        found = measure_latency(sides, seconds)
    finally:
        torch.set_num_threads(before)
    return {
        name: Latency(
            latency.p50_ms / _CALLS, latency.p95_ms / _CALLS, tuple(time / _CALLS for time in latency.rounds)
        )
        for name, latency in found.items()
    }


def _many(call: Callable[[], object]) -> Callable[[], None]:
    def calls() -> None:
        for _ in range(_CALLS):
            call()

    return calls


def _first_step(streaming: GraphSpec, sample: Tensors) -> Tensors:
    feeds: Tensors = {}
    for place, spec in enumerate(streaming.inputs):
        value = sample[spec.name] if place else sample[spec.name][0]
        feeds[spec.name] = np.broadcast_to(value, _one(spec.shape)).astype(spec.dtype)
    for state in streaming.states:
        feeds[state.input] = np.full(_one(state.shape), state.initial, np.float32)
    return feeds


def _one(shape: tuple[int | str, ...]) -> list[int]:
    return [1 if isinstance(axis, str) else axis for axis in shape]
