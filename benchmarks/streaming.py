"""Streaming and recurrent graphs against torch and bare ONNX Runtime: each pair alternated, one thread."""

import tempfile
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from torch import nn

from benchmarks.common import Claim, Ratio, alternate, print_claims
from benchmarks.recurrent_subjects import FEATURES, PlainStep, RecurrentSubject, make_sensor_subject
from benchmarks.streaming_memory import memory_claim
from edgewright.runtime import Engine, open_bundle
from edgewright.runtime.graphs.session_options import cpu_session

ROUNDS = 300
BURST = 50
"""Steps in a row on each side, so that the clock's own cost (0.1 us) does not count."""

TURN = 5
"""Whole sequences in a row on each side."""

STREAMS = 64


def burst(step: Callable[[], Any], count: int = BURST) -> Callable[[], None]:
    """`count` calls of `step` as one."""

    def run() -> None:
        for _ in range(count):
            step()

    return run


def pushes(push: Callable[[Any], Any], steps: np.ndarray) -> Callable[[], None]:
    """Push a burst of different steps, as they come from a sensor: rows in the user's units."""
    rows = list(steps)

    def run() -> None:
        for row in rows:
            push(row)

    return run


def pushes_and_looks(push: Callable[[Any], Any], steps: np.ndarray) -> Callable[[], None]:
    """The same, and every answer is looked at: an answer is made from the graph's output when somebody looks."""
    rows = list(steps)

    def run() -> None:
        for row in rows:
            push(row).last[0]

    return run


class BareStep:
    """The least that ONNX Runtime needs for a step: inputs and states bound once, states handed over by turns."""

    def __init__(self, bundle: Path, variant: str = "fp32") -> None:
        opened = open_bundle(bundle)
        streaming = opened.manifest.streaming
        assert streaming is not None
        path = opened.path(opened.manifest.variant(variant).graphs["step"])
        self.session = cpu_session(path, threads=1)
        values = {spec.name: _buffer(spec.shape) for spec in (*streaming.inputs, *streaming.outputs)}
        self.outputs = {spec.name: values[spec.name] for spec in streaming.outputs}
        turns = [{state.input: _buffer(state.shape) for state in streaming.states} for _ in range(2)]
        self.bindings = []
        for now, after in ((turns[0], turns[1]), (turns[1], turns[0])):
            binding = self.session.io_binding()
            for spec in streaming.inputs:
                binding.bind_ortvalue_input(spec.name, values[spec.name])
            for spec in streaming.outputs:
                binding.bind_ortvalue_output(spec.name, values[spec.name])
            for state in streaming.states:
                binding.bind_ortvalue_input(state.input, now[state.input])
                binding.bind_ortvalue_output(state.output, after[state.input])
            self.bindings.append(binding)

    def burst(self) -> None:
        """A burst of steps."""
        run, (first, second) = self.session.run_with_iobinding, self.bindings
        for _ in range(BURST // 2):
            run(first)
            run(second)


def _buffer(shape: tuple[int | str, ...]) -> Any:
    sides = [1 if isinstance(side, str) else side for side in shape]
    return onnxruntime.OrtValue.ortvalue_from_numpy(np.zeros(sides, np.float32), "cpu", 0)


def _steps(count: int = BURST) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(count, FEATURES))


def _us(found: Ratio, count: int = BURST) -> str:
    return f"{found.first_s / count * 1e6:.1f} / {found.second_s / count * 1e6:.1f} us"


def step_against_torch(cell: str, least: float, subject: RecurrentSubject) -> list[Claim]:
    """One `stream.push` against the same step in torch, which gets a ready tensor.

    Beside it: with both answers read as a number, and against torch without oneDNN, whose start costs an LSTM more than
    its single step.
    """
    plain, steps = PlainStep(cell, 128), _steps()
    what = f"one streaming step, {cell.upper()} 128, `stream.push` against torch"
    claims = []
    with (
        Engine(subject.bundle, "fp32", "cpu") as engine,
        engine.stream() as stream,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")  # torch remarks on the GPU that is not there
        for beside, theirs, ours, fused in (
            ("", burst(plain), pushes(stream.push, steps), True),
            (
                ", both answers read",
                burst(lambda: plain().item()),
                pushes_and_looks(stream.push, steps),
                True,
            ),
            (" without oneDNN", burst(plain), pushes(stream.push, steps), False),
        ):
            with torch.backends.mkldnn.flags(enabled=fused):
                found = alternate(theirs, ours, ROUNDS)
            claims.append(
                Claim(
                    what + beside, "(beside)" if beside else f">= {least} x faster",
                    f"{found.ratio:.2f} x ({_us(found)})", bool(beside) or found.ratio >= least,
                )
            )  # fmt: skip
    return claims


def step_against_bare(subject: RecurrentSubject) -> list[Claim]:
    """What `push` adds to the run itself: checks, scaling, the handing over of states; and a look at each answer."""
    bare = BareStep(subject.bundle)
    claims = []
    with Engine(subject.bundle, "fp32", "cpu") as engine, engine.stream() as stream:
        for what, run, most in (
            ("", pushes(stream.push, _steps()), 1.15),
            (" and a look at every answer", pushes_and_looks(stream.push, _steps()), None),
        ):
            found = alternate(run, bare.burst, ROUNDS)
            claims.append(
                Claim(
                    f"`stream.push`{what} / bare `session.run_with_iobinding` with bound buffers, LSTM 128",
                    "(beside)" if most is None else f"<= {most} x", f"{found.ratio:.3f} x ({_us(found)})",
                    most is None or found.ratio <= most,
                )
            )  # fmt: skip
    return claims


def whole_int8(folder: Path) -> Claim:
    """A hundred steps of a large LSTM at once: int8 against torch."""
    subject = make_sensor_subject("lstm", 512, folder, ("fp32", "int8-dynamic"))
    cell, head = nn.LSTM(FEATURES, 512).eval(), nn.Linear(512, 1).eval()
    steps = torch.randn(100, 1, FEATURES)

    def eager() -> None:
        with torch.inference_mode():
            head(cell(steps)[0])

    feeds = {"values": steps.numpy().transpose(1, 0, 2).copy(), "lengths": np.array([100], np.int32)}
    with Engine(subject.bundle, "int8-dynamic", "cpu", threads=1) as engine:
        # By turns of five: the first call after the other side's finds its weights in no cache, a device's only once.
        found = alternate(burst(eager, TURN), burst(partial(engine.infer, feeds), TURN), 40)
    return Claim(
        "LSTM 512, 100 steps, int8 against torch, one thread", ">= 4 x faster",
        f"{found.ratio:.2f} x ({found.first_s / TURN * 1e3:.2f} / {found.second_s / TURN * 1e3:.2f} ms)",
        found.ratio >= 4.0,
    )  # fmt: skip


def many_streams(subject: RecurrentSubject, variant: str, look: bool = False) -> Claim:
    """A step of 64 independent streams: one batched run against 64 pushes; with `look` every answer is read."""
    block = _steps(STREAMS)
    with Engine(subject.bundle, variant, "cpu") as engine:
        streams = [engine.stream() for _ in range(STREAMS)]
        group = engine.streams(STREAMS)

        def one_by_one() -> None:
            for stream, row in zip(streams, block, strict=True):
                answer = stream.push(row)
                if look:
                    answer.last[0]

        def batched() -> None:
            answers = group.push(block)
            if look:
                for answer in answers:
                    answer.last[0]

        found = alternate(one_by_one, batched, ROUNDS)
    rates = " / ".join(f"{STREAMS / seconds:,.0f}" for seconds in (found.second_s, found.first_s))
    return Claim(
        f"64 streams batched against 64 one by one, LSTM 128 {variant}{', every answer read' if look else ''}",
        "(beside)" if look else ">= 7 x more steps per second", f"{found.ratio:.2f} x ({rates} steps/s)",
        look or found.ratio >= 7.0,
    )  # fmt: skip


def measure() -> list[Claim]:
    """All claims of streaming."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        lstm = make_sensor_subject("lstm", 128, folder, ("fp32", "int8-dynamic"))
        gru = make_sensor_subject("gru", 128, folder)
        return [
            *step_against_torch("lstm", 4.8, lstm),
            *step_against_torch("gru", 2.3, gru),
            *step_against_bare(lstm),
            whole_int8(folder),
            many_streams(lstm, "fp32"),
            many_streams(lstm, "int8-dynamic"),
            many_streams(lstm, "int8-dynamic", look=True),
            memory_claim(folder),
        ]


if __name__ == "__main__":
    raise SystemExit(print_claims(measure()))
